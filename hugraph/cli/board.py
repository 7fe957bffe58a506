"""What TensorBoard shows of a finished run beside its curves: items, and figures."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hugraph.cli.drawing import MOST_ITEMS, require_drawing
from hugraph.cli.terminal import count
from hugraph.errors import DataError, HugraphError, ResourceError, is_out_of_memory

if TYPE_CHECKING:
    from hugraph.assembly.experiment import Experiment
    from hugraph.interfaces import IntentColumn, Recommender
    from hugraph.report.intents import IntentLevel
    from hugraph.train import RunDir

_POINTS = 10_000  # items in the projector, which places no more by t-SNE
_DPI = 110


def show_on_board(
    experiment: "Experiment",
    model: "Recommender",
    run: "RunDir",
    result: dict[str, Any],
    tell: Callable[[str], None],
    *,
    figures: bool,
) -> None:
    """Writes items for the projector, and pictures of the last epoch.

    The run is done: what cannot be shown, for want of memory or of a library, is left out.

    Args:
        experiment: Of the run.
        model: With its best weights.
        run: Finished, and held.
        result: `epochs` and `best_epoch`, of what `result.json` holds.
        tell: Is told what happens, and what is left out.
        figures: Whether to draw, and to name intents; else the projector shows their numbers.
    """
    levels: tuple[IntentLevel, ...] = ()
    with _left_out(tell):
        if figures:
            try:
                require_drawing()
            except ResourceError as error:
                tell(f"note: TensorBoard gets no figures: {error.what}; {error.fix}")
                figures = False
        if figures:
            tell("drawing figures for TensorBoard")
            levels = _named(experiment, model, tell)
        _show_items(experiment, model, run, levels, tell)
        if figures:
            pictures = _pictures(experiment, model, run, result, levels, tell)
            run.events.draw(result["epochs"], pictures)


@contextmanager
def _left_out(tell: Callable[[str], None]) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if not isinstance(error, HugraphError) and not is_out_of_memory(error):
            raise
        reason = error.what if isinstance(error, HugraphError) else "out of memory"
        tell(f"note: TensorBoard lacks items or figures of this run: {reason}")


def _named(
    experiment: "Experiment", model: "Recommender", tell: Callable[[str], None]
) -> "tuple[IntentLevel, ...]":
    from hugraph.interfaces import IntentModel
    from hugraph.report.intents import describe_intents

    if not isinstance(model, IntentModel):
        return ()
    if experiment.dataset.num_items > MOST_ITEMS:
        tell(
            f"note: intents of more than {MOST_ITEMS:,} items are named and drawn by hugraph "
            "figure alone"
        )
        return ()
    return describe_intents(model, experiment.dataset, seed=experiment.spec.seed)


def _show_items(
    experiment: "Experiment",
    model: "Recommender",
    run: "RunDir",
    levels: "tuple[IntentLevel, ...]",
    tell: Callable[[str], None],
) -> None:
    import torch

    from hugraph.interfaces import DotProduct
    from hugraph.report.item_columns import item_columns
    from hugraph.report.sampling import sample

    with torch.no_grad():
        scorer = model.scorer()
    if not isinstance(scorer, DotProduct) or not scorer.items.shape[1]:
        return
    num_items = experiment.dataset.num_items
    items = sample(num_items, _POINTS)
    name = "items"
    if len(items) < num_items:
        name = f"{len(items):,} of {count(num_items, 'item')}, drawn at random"
        tell(f"note: TensorBoard's projector shows {name}")
    names: dict[IntentColumn, str] = {}
    if levels:
        from hugraph.report.intents import intent_names

        names = intent_names(levels)
    columns = item_columns(model, experiment.dataset, items, names)
    vectors = scorer.items[torch.from_numpy(items).to(scorer.items.device)]
    run.events.project(vectors.detach().float().cpu().numpy(), columns, name)


def _pictures(
    experiment: "Experiment",
    model: "Recommender",
    run: "RunDir",
    result: dict[str, Any],
    levels: "tuple[IntentLevel, ...]",
    tell: Callable[[str], None],
) -> dict[str, bytes]:
    from hugraph.interfaces import IntentModel
    from hugraph.report import figures
    from hugraph.report.runs import read_epochs
    from hugraph.report.tree import intent_tree
    from hugraph.report.views import by_modality, measured, ordered_assignments

    drawn = {}
    try:
        chosen = experiment.spec.graph.options.get("min_common_users")
        drawn["histogram"] = figures.histogram(experiment.edges(), chosen)
    except (DataError, ResourceError) as error:
        tell(f"note: TensorBoard gets no histogram of the item graph: {error.what}")
    if panels := measured(read_epochs(run.path)):
        drawn["curves"] = figures.curves(panels, result["best_epoch"])
    if levels and isinstance(model, IntentModel):
        trees = {name: intent_tree(own) for name, own in by_modality(levels).items()}
        drawn["tree"] = figures.tree(trees)
        drawn["heatmap"] = figures.heatmap(ordered_assignments(model, levels))
    return {
        f"figures/{name}": figures.image(figure, "png", dpi=_DPI) for name, figure in drawn.items()
    }
