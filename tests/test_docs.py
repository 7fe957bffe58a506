"""What the documentation says is so: its code runs, its commands parse, its names exist."""

import re
import shlex
from pathlib import Path
from pydoc import locate

import click
import pytest

import hugraph.graph
import hugraph.nn
import hugraph.train
from hugraph import errors
from hugraph.assembly.catalog import REGISTRIES
from hugraph.assembly.options import call, options
from hugraph.assembly.sections import SCHEMA
from hugraph.cli.main import hugraph as command_line

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
TEXTS = {str(path.relative_to(ROOT)): path.read_text() for path in PAGES}


@pytest.fixture
def hooks(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS / "hooks"))


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def commands(text):
    """Every command line that begins with `hugraph`, its prompt and its backticks taken off."""
    inline = re.findall(r"`(hugraph [^`\n]*)`", text)
    shown = re.findall(r"^\$ (hugraph .*)$", text, flags=re.MULTILINE)
    return [line for line in inline + shown if not re.search(r"[A-Z]{2,}|\.\.\.", line)]


def pages_with(find):
    return [name for name, text in TEXTS.items() if find(text)]


@pytest.mark.parametrize("name", pages_with(lambda text: blocks(text, "python")))
def test_the_python_of_a_page_runs_from_top_to_bottom(name, tmp_path, monkeypatch, capsys):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    code = "\n".join(blocks(TEXTS[name], "python"))
    exec(compile(code, name, "exec"), {"__name__": "page"})
    assert capsys.readouterr().out


@pytest.mark.parametrize("name", pages_with(lambda text: blocks(text, "yaml")))
def test_every_whole_spec_of_a_page_is_valid(name, tmp_path):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    for text in blocks(TEXTS[name], "yaml"):
        assert "version: 1\n" in text, "a spec that is shown is whole"
        path = tmp_path / "my.yaml"
        path.write_text(text)
        SCHEMA.resolve(path)


@pytest.mark.parametrize("name", pages_with(commands))
def test_every_command_of_a_page_is_one(name):
    for line in commands(TEXTS[name]):
        command, arguments = command_line, shlex.split(line.split(" > ")[0])[1:]
        while isinstance(command, click.Group) and arguments and arguments[0][0] != "-":
            command = command.get_command(click.Context(command), arguments.pop(0))
            assert command is not None, line
        if isinstance(command, click.Group):
            known = {option for parameter in command.params for option in parameter.opts}
            assert set(arguments) <= known, line
        elif arguments:
            command.make_context("hugraph", arguments)


@pytest.mark.parametrize("name", TEXTS)
def test_every_link_from_a_page_leads_somewhere(name):
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", TEXTS[name])
    made = {DOCS / page for page in ("contributing.md", "changelog.md")}
    targets = [(ROOT / name).parent / link for link in links if "://" not in link]
    assert [path for path in targets if not path.exists() and path.resolve() not in made] == []


def test_the_readme_is_short_and_shows_a_spec_of_ten_lines_and_code_of_twenty():
    assert len(TEXTS["README.md"].splitlines()) < 120
    (spec,), (code,) = (blocks(TEXTS["README.md"], kind) for kind in ("yaml", "python"))
    assert len(spec.splitlines()) <= 10
    assert len(code.splitlines()) <= 22


def test_the_spec_reference_has_every_component_and_every_option(hooks):
    from spec_reference import reference

    text = reference()
    for kind, registry in REGISTRIES.items():
        for name, constructor in registry.items():
            heading = f"`{registry.key}: {name}` {{ #{kind}-{name} }}"
            assert heading in text
            entries = re.split(r"^#", text.split(heading)[1], flags=re.MULTILINE)[0]
            assert re.findall(r"^`(\w+)` ·", entries, flags=re.MULTILINE) == list(
                options(constructor)
            )


def test_the_spec_reference_leaves_no_option_without_an_explanation(hooks):
    from spec_reference import reference

    assert re.findall(r"^`\w+` ·.*\n:   $", reference(), flags=re.MULTILINE) == []


def test_the_command_line_page_has_the_help_of_every_command(hooks):
    from command_line import reference

    text = reference()
    for name, command in command_line.commands.items():
        assert f"## hugraph {name}\n" in text
        for parameter in command.params:
            assert all(option in text for option in parameter.opts if option.startswith("--"))


def names_shown():
    return set(re.findall(r"^::: ([\w.]+)", "\n".join(TEXTS.values()), flags=re.MULTILINE))


def test_every_name_of_the_api_reference_exists_and_is_documented():
    assert [name for name in names_shown() if not getattr(locate(name), "__doc__", None)] == []


def test_every_public_name_of_layers_graphs_and_training_has_its_place_in_the_reference():
    public = {
        f"{module.__name__}.{name}"
        for module in (hugraph.nn, hugraph.graph, hugraph.train)
        for name in module.__all__
    }
    assert public - names_shown() == set()


def test_every_component_has_its_place_in_the_reference():
    found = [locate(name) for name in names_shown()]
    constructors = [c for registry in REGISTRIES.values() for c in registry.values()]
    assert [c for c in constructors if call(c)[0] not in found] == []


def test_the_official_spec_has_every_option_that_the_decisions_name_for_it():
    table = TEXTS["docs/decisions.md"].split("## Not offered")[0]
    named = re.findall(r"\| `([\w.]+=.+?)` \|$", table, flags=re.MULTILINE)
    assert len(named) == 13
    path = ROOT / "examples/huign_official_code.yaml"
    assert SCHEMA.tree(SCHEMA.resolve(path, named)) == SCHEMA.tree(SCHEMA.resolve(path))


def test_the_paper_spec_has_none_of_the_official_options():
    table = TEXTS["docs/decisions.md"].split("## Not offered")[0]
    path = ROOT / "examples/huign_paper.yaml"
    paper = SCHEMA.tree(SCHEMA.resolve(path))
    for override in re.findall(r"\| `([\w.]+=.+?)` \|$", table, flags=re.MULTILINE):
        assert SCHEMA.tree(SCHEMA.resolve(path, [override])) != paper, override


def test_the_options_of_the_decisions_exist():
    named = re.findall(
        r"`((?:model|graph|data|train|evaluate)\.[\w.]+=\w+)`", TEXTS["docs/decisions.md"]
    )
    assert named
    for override in named:
        SCHEMA.resolve(ROOT / "examples/huign_paper.yaml", [override])


def test_the_exit_codes_of_the_page_are_those_of_the_errors():
    rows = re.findall(
        r"^\| (\d+) \|.*\[`(\w+)`\]", TEXTS["docs/reliability.md"], flags=re.MULTILINE
    )
    told = {name: int(code) for code, name in rows}
    assert told == {
        error.__name__: error.exit_code for error in errors.HugraphError.__subclasses__()
    }
