"""A table or figure of a paper as one file: a study, whose rows are specs on the same data."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import torch
from annotated_types import MinLen
from numpy.typing import NDArray

from hugraph.assembly.experiment import Experiment, load_data, require_modalities
from hugraph.assembly.layers import nested, read_text
from hugraph.assembly.options import call
from hugraph.assembly.runs import complete, require_home, trained_model
from hugraph.assembly.schema import Schema
from hugraph.assembly.sections import SCHEMA, Spec
from hugraph.assembly.spec import Node, gathered, parse
from hugraph.checks import distinct
from hugraph.errors import DataError, DivergedError, SpecError, is_out_of_memory
from hugraph.models.huign import HUIGN
from hugraph.nn import Intents
from hugraph.train import RunDir

_THRESHOLD, _MODALITIES = "graph.min_common_users", "model.modalities"


@dataclass(frozen=True, kw_only=True)
class StudyRow:
    """A row of a study: a spec, and what is changed in it.

    Args:
        spec: Path of the spec, relative to the study; the `spec` of the study if left out.
        overrides: What the row changes, by dotted key, as in `model.levels: [32, 8]`.
        each: `modality` makes of it one row for each modality of the data, which it uses alone.
    """

    spec: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    each: Literal["modality"] | None = None


@dataclass(frozen=True, kw_only=True)
class Study:
    """A study file.

    Args:
        title: What the rows have to do with each other.
        paper: Which table or figure of which paper it follows.
        spec: Path of the spec of every row that names none, relative to this file.
        overrides: What is changed in every spec, by dotted key; a row may change it again.
        rows: The rows, by name.
        grid: Choices by dotted key; every row takes every combination.
        figure: What to draw: `loss_by_threshold`, the metrics of every row over the
            `graph.min_common_users` of the grid, and how many edges are left; or `tsne`, the items
            of one HUIGN by their intents, in three dimensions.
    """

    title: str
    paper: str
    spec: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    rows: Annotated[Mapping[str, StudyRow], MinLen(1)]
    grid: Mapping[str, Annotated[Sequence[Any], MinLen(1)]] = field(default_factory=dict)
    figure: Literal["loss_by_threshold", "tsne"] | None = None


STUDY = Schema(Study, {})


@dataclass(frozen=True)
class Row:
    """A row of the table that a study becomes.

    Attributes:
        name: Of the row in the study; with `each: modality`, the modality behind it.
        point: By key of the grid, the value.
        specs: By seed.
    """

    name: str
    point: Mapping[str, Any]
    specs: Mapping[int, Spec]

    @property
    def spec(self) -> Spec:
        """That of the first seed."""
        return next(iter(self.specs.values()))

    @property
    def directory(self) -> Path:
        """Where its runs are, relative to the directory of the study."""
        values = (f"{key.rpartition('.')[2]}-{value}" for key, value in self.point.items())
        return Path(*(re.sub(r"[^\w.]+", "-", part).strip("-.") for part in (self.name, *values)))


@dataclass(frozen=True)
class Fitted:
    """How the runs of a row ended.

    Attributes:
        row: What was run.
        runs: The run directories, by seed.
        results: Of these runs, as `finish` returns them; none if one failed.
        failure: Why it failed, if it did.
    """

    row: Row
    runs: Mapping[int, Path]
    results: tuple[dict[str, Any], ...]
    failure: str | None = None

    def values(self, metric: str) -> list[float]:
        """A test metric of every run."""
        return [result["test"][metric] for result in self.results]


class ItemIntents(NamedTuple):
    """Items as one modality of a HUIGN has them."""

    distributions: NDArray[np.float32]  # (num_items, num_intents), over the intents of all levels
    level: int  # from 1, the finest: the coarsest at which not all items have one strongest intent
    strongest: NDArray[np.int64]  # (num_items,), the strongest intent of that level


@dataclass(frozen=True)
class _Draft:
    """A row of the study at a point of the grid, before the modalities of the data are known."""

    name: str
    point: Mapping[str, Any]
    resolve: Callable[[Sequence[str | Node]], Spec]
    changes: tuple[str | Node, ...]
    each: Node | None

    def row(self, seeds: Sequence[int]) -> Row:
        specs = {seed: self.resolve([*self.changes, f"seed={seed}"]) for seed in seeds}
        return Row(self.name, self.point, specs)

    def alone(self, modality: str) -> "_Draft":
        assert self.each
        names = Node([Node(modality, self.each.place)], self.each.place)
        change = nested(_MODALITIES, names)
        return replace(self, name=f"{self.name} {modality}", changes=(*self.changes, change))


class Reproduction:
    """The rows of a study, ready to run; all is checked before anything runs.

    Args:
        path: The study, a YAML file.
        overrides: Changes of every spec, after those of the study and before those of a row.
        seeds: What `seed` is in turn, for each row; by default that of the first row's spec.

    Attributes:
        study: What the file holds.
        rows: For each row of the study, one for each modality, if it asks for that, and each point
            of the grid.

    Raises:
        SpecError: With every fault in `problems`: a study or a spec that cannot be run as written,
            or rows that could not be compared.
        DataError: If the data cannot be used.
        ResourceError: If there is no permission to read a file.
    """

    def __init__(
        self, path: Path, overrides: Sequence[str] = (), *, seeds: Sequence[int] = ()
    ) -> None:
        self._path, self._overrides = path, tuple(overrides)
        text = read_text(path, kind="study")
        self._tree = _children(parse(text, str(path)))
        if "model" in self._tree and "rows" not in self._tree:
            fix = f"fit it with `hugraph fit --spec {path}`"
            raise SpecError("this is a spec, not a study", at=str(path), fix=fix)
        self.study = STUDY.parse(text, str(path))

        faults = [*self._faulty_keys(seeds)]
        drafts: list[_Draft] = []
        plain: list[Row] = []
        for name in self.study.rows:
            with _into(faults):
                for draft in self._drafts(name):
                    seeds = seeds or (draft.resolve(draft.changes).seed,)
                    drafts.append(draft)
                    plain.append(draft.row(seeds))
        faults += self._incomparable(plain)
        faults += self._undrawable(plain)
        self._raise(faults)

        self._dataset = load_data(plain[0].spec)
        self._experiment = Experiment.prepare(plain[0].spec, self._dataset)
        self.rows: list[Row] = []
        for draft, row in zip(drafts, plain, strict=True):
            with _into(faults):
                self.rows += self._expanded(draft, row)
        for row in self.rows:
            with _into(faults):
                self._require_modalities(row)
        faults += self._indistinct()
        self._raise(faults)

    @property
    def data(self) -> str:
        """Name of the dataset, marked if it is synthetic."""
        return f"{self._dataset.name}{' (synthetic)' * self._dataset.synthetic}"

    @property
    def metrics(self) -> list[str]:
        """What every run is tested by."""
        evaluate = self.rows[0].spec.evaluate.options
        return [f"{name}@{k}" for k in evaluate["k"] for name in evaluate["metrics"]]

    @property
    def cut(self) -> int:
        """The length of the lists that matter most: that of early stopping."""
        return int(self.rows[0].spec.train.early_stopping.metric.partition("@")[2])

    def run(self, directory: Path) -> Iterator[Fitted]:
        """Fits and tests every row; a finished run is not repeated, a stopped one goes on.

        A row that fails, as where no edge is left at a threshold, does not stop the others.

        Args:
            directory: Of the runs of this study.

        Raises:
            RunError: If the directory holds anything else, or runs of other specs or of other data.
            BusyError: If another process is at the same run.
            ResourceError: If the system refuses.
        """
        rows = {row.directory.parts[0] for row in self.rows}
        require_home(directory, "row of this study", rows.__contains__)
        for row in self.rows:
            runs = {seed: directory / row.directory / f"seed-{seed}" for seed in row.specs}
            results: list[dict[str, Any]] = []
            failure = None
            try:
                for seed, spec in row.specs.items():
                    results.append(complete(spec, runs[seed], self._dataset))
            except (DataError, DivergedError, SpecError) as error:
                failure = f"{error.at}: {error.what}" if error.at else error.what
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                failure = "out of memory"
            yield Fitted(row, runs, () if failure else tuple(results), failure)

    def edges(self) -> dict[int, int]:
        """By threshold of the grid, the edges between items in the split of the first seed."""
        return self._experiment.edges(self.study.grid[_THRESHOLD])

    def intents(self, fitted: Fitted) -> dict[str, ItemIntents]:
        """By modality, what the first run of a HUIGN has learned of the items."""
        seed, path = next(iter(fitted.runs.items()))
        experiment = Experiment.prepare(fitted.row.specs[seed], self._dataset)
        model = trained_model(experiment, RunDir(path))
        assert isinstance(model, HUIGN)
        with torch.no_grad():
            learned = model.intents()
        return {name: _of_items(modality) for name, modality in learned.items()}

    def _drafts(self, name: str) -> Iterator[_Draft]:
        """A row of the study at every point of the grid."""
        row = _children(self._tree["rows"])[name]
        node = _children(row)
        spec = node.get("spec") or self._tree.get("spec")
        if spec is None:
            raise SpecError(
                f"row {name!r} has no spec",
                at=str(row.place),
                fix="name one in the row, or one for all rows at the top",
            )
        file = self._path.parent / str(spec.value)
        read_text(file, spec.place)  # a missing one is named where it is asked for
        resolve = SCHEMA.reader(file)
        changes: list[str | Node] = [*_changes(self._tree), *self._overrides, *_changes(node)]
        grid = _children(self._tree.get("grid"))
        for values in product(*map(_items, grid.values())):
            chosen = dict(zip(grid, values, strict=True))
            point = {key: value.plain() for key, value in chosen.items()}
            at_point = (*changes, *(nested(key, value) for key, value in chosen.items()))
            yield _Draft(name, point, resolve, at_point, node.get("each"))

    def _expanded(self, draft: _Draft, row: Row) -> list[Row]:
        """The row, or one for each modality."""
        if draft.each is None:
            return [row]
        used = row.spec.model.options.get("modalities") or self._dataset.features
        return [draft.alone(modality).row([*row.specs]) for modality in used]

    def _require_modalities(self, row: Row) -> None:
        try:
            require_modalities(row.spec, self._dataset)
        except SpecError as error:
            error.at = f"{self._path}: row {row.name!r}, {error.at}"
            raise

    def _faulty_keys(self, seeds: Sequence[int]) -> Iterator[SpecError]:
        """What is named twice, and what cannot be varied."""
        if not distinct(seeds):
            yield SpecError("a seed is listed twice", at="seeds", fix="list each once")
        given = {override.partition("=")[0] for override in self._overrides}
        rows = _children(self._tree["rows"]).values()
        varied = [*(_children(row).get("overrides") for row in rows), self._tree.get("grid")]
        for key, node in (item for one in varied for item in _children(one).items()):
            if key == "seed":
                yield SpecError("rows share their seeds", at=str(node.key), fix="use --seeds")
            if key in given:
                what = f"{key} is varied by the study and also set"
                yield SpecError(what, at=str(node.key), fix="drop one of the two")

    def _incomparable(self, rows: Sequence[Row]) -> Iterator[SpecError]:
        for row in rows:
            for part, value in _test(row.spec).items():
                if value != _test(rows[0].spec)[part]:
                    yield SpecError(
                        f"rows {rows[0].name!r} and {row.name!r} differ in {part}",
                        at=str(self._path),
                        fix=f"set {part} for all of them, data by --data DIR",
                    )

    def _undrawable(self, rows: Sequence[Row]) -> Iterator[SpecError]:
        """Why the figure cannot be drawn of these rows."""
        one = len(rows) == 1 and all(row.each is None for row in self.study.rows.values())
        wanted = {
            "loss_by_threshold": ([*self.study.grid] == [_THRESHOLD], f"a grid of {_THRESHOLD}"),
            "tsne": (one and _is_huign(rows[0].spec), "one row, of a huign"),
        }
        if self.study.figure:
            there, what = wanted[self.study.figure]
            if rows and not there:
                at = str(self._tree["figure"].place)
                yield SpecError(
                    f"figure {self.study.figure} needs {what}", at=at, fix="change the one or other"
                )

    def _indistinct(self) -> Iterator[SpecError]:
        """Rows whose names leave nothing, or the same, of them as a directory."""
        seen: dict[Path, Row] = {}
        for row in self.rows:
            taken = seen.setdefault(row.directory, row) is not row
            if taken or len(row.directory.parts) < 1 + len(row.point):
                point = "".join(f", {key}={value}" for key, value in row.point.items())
                what = f"row {row.name!r}{point} cannot be told by its letters and digits"
                yield SpecError(what, at=str(self._path), fix="choose another name or value")

    def _raise(self, faults: Sequence[SpecError]) -> None:
        if different := {(fault.what, fault.at): fault for fault in faults}:
            raise gathered([*different.values()], str(self._path))


@contextmanager
def _into(faults: list[SpecError]) -> Iterator[None]:
    """Keeps what is found wrong, so that the rest is looked at too."""
    try:
        yield
    except SpecError as error:
        faults += error.problems or [error]


def _changes(section: Mapping[str, Node]) -> list[Node]:
    """The `overrides` of a study or of one of its rows, as changes of a spec."""
    overrides = _children(section.get("overrides"))
    return [nested(key, node) for key, node in overrides.items()]


def _children(node: Node | None) -> dict[str, Node]:
    return node.value if node and isinstance(node.value, dict) else {}


def _items(node: Node) -> list[Node]:
    return node.value if isinstance(node.value, list) else []


def _test(spec: Spec) -> dict[str, Any]:
    """What results are comparable by."""
    return {"data": replace(spec.data, scaling="raw"), "evaluate": spec.evaluate}


def _of_items(intents: Intents) -> ItemIntents:
    distributions = intents.representations().cpu().numpy()
    widths = [assignment.shape[1] for assignment in intents.assignments]
    levels = np.split(distributions, np.cumsum(widths)[:-1], axis=1)
    strongest = [level.argmax(axis=1) for level in levels]
    telling = [level for level, found in enumerate(strongest) if len(np.unique(found)) > 1]
    level = max(telling, default=0)
    return ItemIntents(distributions, level + 1, strongest[level])


def _is_huign(spec: Spec) -> bool:
    constructor = call(spec.model.constructor)[0]
    return isinstance(constructor, type) and issubclass(constructor, HUIGN)
