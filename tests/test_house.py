"""Imports run downwards, heavy libraries stay in their rooms, and no data can run code."""

import ast
import subprocess
import sys
from pathlib import Path

import networkx as nx
import pytest

import hugraph

ROOT = Path(hugraph.__file__).parent
FLOORS = [
    {"hugraph"},  # the package itself
    {"checks", "compiled", "errors", "process", "sizes"},
    {"file_matrix"},
    {"dgl_backend", "interfaces", "metrics", "seed"},
    {"nn"},
    {"data", "graph", "models", "train"},
    {"assembly", "report"},
    {"cli"},
    {"__main__"},
]
FLOOR = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}
HOMES = {
    "click": ("hugraph.cli",),
    "dgl": ("hugraph.dgl_backend",),
    "jinja2": ("hugraph.report.page",),
    "matplotlib": ("hugraph.report.figures",),
    "numba": ("hugraph.compiled",),
    "optuna": ("hugraph.assembly.study",),
    "plotly": ("hugraph.report.page",),
    "pydantic": ("hugraph.assembly", "hugraph.checks"),
    "rich": ("hugraph.cli", "hugraph.report"),
    "sklearn": ("hugraph.report.keywords", "hugraph.report.labels", "hugraph.report.projection"),
    "sqlalchemy": ("hugraph.assembly.study",),
    "tensorboard": ("hugraph.train",),
    "torch.utils.tensorboard": ("hugraph.train",),
    "yaml": ("hugraph.assembly.spec",),
}
CODE_CARRIERS = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
CODE_RUNNERS = {"eval", "exec", "compile", "__import__", "torch.load", "yaml.load"}


def module_name(path):
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


TREES = {module_name(path): ast.parse(path.read_text()) for path in sorted(ROOT.rglob("*.py"))}


def within(name, prefix):
    return name == prefix or name.startswith(f"{prefix}.")


def imports_of(tree):
    """Every module that a tree imports; `from a import b` is `a.b` where that is a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in line {node.lineno}"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in TREES or inner in HOMES else node.module


def own_imports(name):
    return {target for target in imports_of(TREES[name]) if within(target, "hugraph")}


def calls_in(tree):
    """Every call with the dotted name of what is called, `np` written out."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func).replace("np.", "numpy."), node


def room(name):
    return name.split(".")[1] if "." in name else "hugraph"


def test_every_room_has_a_floor():
    assert {room(name) for name in TREES} <= set(FLOOR)


def test_a_module_imports_only_from_its_own_room_and_lower_floors():
    upward = [
        (name, target)
        for name in TREES
        for target in own_imports(name)
        if room(target) != room(name) and FLOOR[room(target)] >= FLOOR[room(name)]
    ]
    assert upward == []


def test_no_module_imports_itself_through_others():
    graph = nx.DiGraph((name, target) for name in TREES for target in own_imports(name))
    assert list(nx.simple_cycles(graph)) == []


@pytest.mark.parametrize(
    ("above", "below", "door"),
    [("report", "train", "hugraph.train.run_dir"), ("train", "nn", "hugraph.nn.functional")],
)
def test_a_room_enters_another_by_one_door(above, below, door):
    used = {t for name in TREES if room(name) == above for t in own_imports(name)}
    assert {target for target in used if room(target) == below} <= {door}


def test_a_heavy_library_is_imported_only_where_it_lives():
    strays = [
        (name, target)
        for name in TREES
        for target in imports_of(TREES[name])
        for library, homes in HOMES.items()
        if within(target, library) and not any(within(name, home) for home in homes)
    ]
    assert strays == []


def test_nothing_that_is_read_can_run_code():
    dangers = []
    for name, tree in TREES.items():
        imported = {target.split(".")[0] for target in imports_of(tree)}
        dangers += [(name, carrier) for carrier in imported & CODE_CARRIERS]
        for called, node in calls_in(tree):
            pickle = {k.arg: ast.unparse(k.value) for k in node.keywords}.get("allow_pickle")
            if called in CODE_RUNNERS or pickle not in (None, "False"):
                dangers.append((name, called, node.lineno))
            if called == "numpy.load" and pickle is None:
                dangers.append((name, "numpy.load without allow_pickle=False", node.lineno))
    assert dangers == []


def test_only_the_command_line_prints():
    printing = {name for name in TREES for called, _ in calls_in(TREES[name]) if called == "print"}
    assert {name for name in printing if room(name) != "cli"} == set()


def test_every_module_says_what_it_is():
    assert [name for name, tree in TREES.items() if not ast.get_docstring(tree)] == []


def loaded_by(statement):
    program = f"{statement}\nimport sys\nprint(*sys.modules, sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_layers_and_graphs_load_nothing_that_only_the_command_line_needs():
    loaded = loaded_by("import hugraph.nn, hugraph.graph")
    assert "hugraph.nn" in loaded
    unwanted = ("click", "yaml", "rich", "tensorboard", "polars", "numba", "hugraph.assembly")
    assert [name for name in loaded if any(within(name, library) for library in unwanted)] == []


def test_only_a_sweep_loads_what_searches():
    assert not {"optuna", "sqlalchemy"} & {*loaded_by("import hugraph.assembly, hugraph.cli.main")}


def test_the_package_itself_loads_no_tensor_library():
    assert "torch" not in loaded_by("import hugraph")
