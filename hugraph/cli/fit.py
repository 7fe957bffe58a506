"""`hugraph fit`."""

import logging
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hugraph.cli.drawing import figures_option
from hugraph.cli.outcome import write_outcome
from hugraph.cli.paths import PathName, data_overrides, new_directory
from hugraph.cli.stopping import stoppable
from hugraph.cli.terminal import count, say, write_json, write_line
from hugraph.errors import HugraphError

if TYPE_CHECKING:
    from hugraph.assembly.experiment import Experiment
    from hugraph.interfaces import Recommender
    from hugraph.train import RunDir
    from hugraph.train.processes import Processes


@click.command(short_help="Train the model of a spec and test it.")
@click.option("--spec", "-s", type=PathName(), metavar="SPEC", help="The spec, a YAML file.")
@click.option(
    "--data",
    type=PathName(),
    metavar="DIR",
    help="Fit on the dataset in DIR instead of the spec's.",
)
@click.option(
    "--run",
    "run_path",
    type=PathName(),
    metavar="DIR",
    help="Run directory; runs/<spec>-<time> if left out.",
)
@click.option(
    "--resume",
    type=PathName(),
    metavar="RUN",
    help="Go on with a run that was stopped, exactly.",
)
@figures_option
@click.option("--quiet", "-q", is_flag=True, help="Show no progress.")
@click.option("--json", "as_json", is_flag=True, help="Write the result as JSON, and nothing else.")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
def fit(
    spec: str | None,
    data: str | None,
    run_path: str | None,
    resume: str | None,
    figures: bool,
    quiet: bool,
    as_json: bool,
    overrides: tuple[str, ...],
) -> None:
    """Train the model of a spec, test it once, and keep everything in a run directory.

    KEY=VALUE changes the spec, as in `train.lr=1e-3` or `'evaluate.k=[5,10]'`. Ctrl-C finishes the
    current step and stops; every finished epoch is kept, and `--resume RUN` goes on to the same
    result, to the last bit, as if nothing had happened. When going on, only `train.epochs` and
    `train.early_stopping.patience` may change.

    Under `torchrun` several processes train together, each on its part of every batch, to the same
    result up to rounding.

    \b
    hugraph fit --spec examples/huign_3level.yaml
    hugraph fit --spec examples/lightgcn.yaml --data my_dataset train.lr=3e-3
    hugraph fit --resume runs/huign_3level-20250131-101500
    torchrun --nproc-per-node 2 -m hugraph fit --spec examples/huign_3level.yaml
    """
    if overrides and "=" not in overrides[0] and overrides[0].endswith((".yaml", ".yml")):
        raise click.UsageError(
            f"{overrides[0]!r} is not of the form KEY=VALUE; did you mean --spec {overrides[0]}?"
        )
    if (spec is None) == (resume is None):
        raise click.UsageError("Give either --spec SPEC or --resume RUN.")
    if resume is not None and run_path is not None:
        raise click.UsageError("--resume names the run directory already; leave --run out.")

    quiet = quiet or as_json
    resumable: list[Path] = []  # the run, once it can go on

    def then() -> str:
        if not resumable:
            return "the run had not begun, so there is nothing to resume"
        command = f"hugraph fit --resume {shlex.quote(str(resumable[0]))}"
        if (resumable[0] / "result.json").exists():
            return f"the run is finished, but for what TensorBoard shows\n  draw it with: {command}"
        begun = (resumable[0] / "metrics.jsonl").exists()
        kept = "every finished epoch is kept" if begun else "no epoch is finished yet"
        return f"{kept}\n  go on with: {command}"

    with _together() as processes:
        if processes is not None and processes.rank:
            _assist(spec, resume, data, overrides, processes)
            result = None
        else:
            with stoppable(then):
                if resume is not None:
                    path = Path(resume)
                    experiment, result = _go_on(
                        path, data, overrides, figures, quiet, resumable, processes
                    )
                else:
                    assert spec is not None
                    path = Path(run_path) if run_path else new_directory(Path(spec).stem)
                    changes = (*data_overrides(data), *overrides)
                    experiment, result = _begin(
                        spec, path, changes, figures, quiet, resumable, processes
                    )
    if result is not None and as_json:
        write_json(result)
    elif result is not None:
        _show(result, experiment, path)


@contextmanager
def _together() -> Iterator["Processes | None"]:
    """Joins the other processes, if there are any; the first one that fails speaks for all."""
    from hugraph.train.processes import joined

    with joined() as processes:
        if processes is None:
            yield None
            return
        if processes.rank:
            logging.getLogger("hugraph").setLevel(logging.CRITICAL)
        try:
            yield processes
        except KeyboardInterrupt:
            sys.exit(130)
        except Exception as error:
            if processes.speaks_first():
                raise
            sys.exit(error.exit_code if isinstance(error, HugraphError) else 1)


def _assist(
    spec: str | None,
    resume: str | None,
    data: str | None,
    overrides: Sequence[str],
    processes: "Processes",
) -> None:
    """Trains along with the first process, and neither says nor writes anything."""
    from hugraph.assembly import SCHEMA, Experiment, reopen, runs
    from hugraph.assembly.demand import require_memory

    if resume is not None:
        experiment = reopen(Path(resume), data=data, overrides=overrides)
    else:
        assert spec is not None
        resolved = SCHEMA.resolve(spec, (*data_overrides(data), *overrides))
        experiment = Experiment.prepare(resolved)
    require_memory(experiment, processes)
    runs.assist(experiment, experiment.build_model(), processes)


def _begin(
    spec: str,
    path: Path,
    overrides: Sequence[str],
    figures: bool,
    quiet: bool,
    resumable: list[Path],
    processes: "Processes | None",
) -> tuple["Experiment", dict[str, Any]]:
    from hugraph.assembly import SCHEMA, Experiment, begin
    from hugraph.assembly.demand import require_memory
    from hugraph.train import RunDir

    resolved = SCHEMA.resolve(spec, overrides)
    if path.exists():
        with RunDir.create(path):
            pass  # refused now if it is in use, not after the data are loaded
    experiment = Experiment.prepare(resolved)
    _introduce(experiment, quiet)
    require_memory(experiment, processes)
    model = experiment.build_model()  # a run begins only once nothing is wrong with it
    with RunDir.create(path) as run:
        begin(experiment, run)
        resumable.append(path)
        return experiment, _train(experiment, model, run, figures, quiet, processes)


def _go_on(
    path: Path,
    data: str | None,
    overrides: Sequence[str],
    figures: bool,
    quiet: bool,
    resumable: list[Path],
    processes: "Processes | None",
) -> tuple["Experiment", dict[str, Any]]:
    from hugraph.assembly import go_on, reopen
    from hugraph.assembly.demand import require_memory
    from hugraph.train import RunDir

    resumable.append(path)
    with RunDir.resume(path) as run:
        experiment = reopen(path, data=data, overrides=overrides)
        _introduce(experiment, quiet)
        require_memory(experiment, processes)
        model = experiment.build_model()
        before = _result_file(path)
        go_on(experiment, run)
        result = _train(experiment, model, run, figures, quiet, processes)
        if before == _result_file(path) and not quiet:
            say(f"note: already finished{_way_on(experiment, result['epochs'])}")
    return experiment, result


def _way_on(experiment: "Experiment", epochs: int) -> str:
    config = experiment.spec.train
    if 0 < epochs < config.epochs:
        return "; it stopped early: raise train.early_stopping.patience to go on"
    longer = epochs and config.lr_schedule == "constant"
    return "; raise train.epochs to go on" if longer else ""


def _train(
    experiment: "Experiment",
    model: "Recommender",
    run: "RunDir",
    figures: bool,
    quiet: bool,
    processes: "Processes | None",
) -> dict[str, Any]:
    from hugraph.assembly import runs
    from hugraph.assembly.propagation import keep_propagated
    from hugraph.cli.board import show_on_board
    from hugraph.cli.progress import progress

    metric = experiment.spec.train.early_stopping.metric
    keep_propagated(experiment, model, run)
    with progress(metric, quiet=quiet) as on_progress:
        result = runs.finish(experiment, model, run, on_progress, processes)
    tell: Callable[[str], None] = (lambda text: None) if quiet else say
    show_on_board(experiment, model, run, result, tell, figures=figures)
    return result


def _introduce(experiment: "Experiment", quiet: bool) -> None:
    if not quiet:
        for line in _introduction(experiment):
            say(line)


def _introduction(experiment: "Experiment") -> list[str]:
    dataset, counts = experiment.dataset, experiment.split.counts
    kind = " (synthetic)" if dataset.synthetic else ""
    lines = [
        f"{dataset.name}{kind}: {count(dataset.num_users, 'user')}, "
        f"{count(dataset.num_items, 'item')}, "
        f"{count(counts['train'], 'interaction')} to train on, "
        f"{counts['validation']:,} to validate, {counts['test']:,} to test"
    ]
    notable = {
        "users_without_training": (
            "user has no training interaction; nothing is known of their taste",
            "users have no training interaction; nothing is known of their tastes",
        ),
        "cold_items_in_validation": (
            "item of the validation part is not in training",
            "items of the validation part are not in training",
        ),
        "cold_items_in_test": (
            "item of the test part is not in training; it counts as a miss unless its content "
            "ranks it",
            "items of the test part are not in training; they count as misses unless their "
            "content ranks them",
        ),
        "items_without_interactions": (
            "item has no interaction at all",
            "items have no interaction at all",
        ),
    }
    lines += [
        f"note: {count(counts[key], *texts)}" for key, texts in notable.items() if counts[key]
    ]
    return lines + [f"note: {warning}" for warning in dataset.warnings]


def _result_file(path: Path) -> bytes | None:
    file = path / "result.json"
    return file.read_bytes() if file.exists() else None


def _show(result: Mapping[str, Any], experiment: "Experiment", path: Path) -> None:
    best, epochs = result["best_epoch"], result["epochs"]
    training = f"best epoch {best} of {epochs}, {result['seconds']:.1f} s" if epochs else ""
    write_line()
    write_outcome(experiment, result["test"], result["popularity"], training)
    run, user = shlex.quote(str(path)), shlex.quote(str(experiment.dataset.user_ids[0]))
    cut = int(experiment.spec.train.early_stopping.metric.split("@")[1])
    cuts = ",".join(str(k) for k in (cut, 2 * cut) if k <= experiment.dataset.num_items)
    commands = [
        f"hugraph recommend {run} --user {user} --k 10",
        f"hugraph evaluate {run} 'evaluate.k=[{cuts}]'" if cuts else f"hugraph evaluate {run}",
    ]
    commands += [f"tensorboard --logdir {run}"] if epochs else []
    write_line("\n  ".join([f"run directory: {path}\nnext:", *commands]), wrap=False)
