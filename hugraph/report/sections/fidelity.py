"""Whether the ranking rests on the named intents."""

import math

from hugraph.report import figures
from hugraph.report.fidelity import Fidelity
from hugraph.report.page import Cell, Number, Prose, Section, Table
from hugraph.report.sections.cells import counted, interval
from hugraph.report.sections.pictures import svg


def faithfulness(found: Fidelity | None, lack: str) -> Section:
    """Whether the named intents are those that the ranking rests on.

    Args:
        found: The measure, of a model with intents.
        lack: What is said of one without.
    """
    if found is None:
        return Section("fidelity", "Fidelity", [Prose(lack)])
    panels = {
        f"{curve.direction}, {curve.measure}": {
            name: figures.Band(
                curve.steps,
                [mean.value for mean in means],
                [mean.low if math.isfinite(mean.low) else mean.value for mean in means],
                [mean.high if math.isfinite(mean.high) else mean.value for mean in means],
            )
            for name, means in (("as explained", curve.explained), ("at random", curve.random))
        }
        for curve in found.curves
    }
    text = (
        "Intents are taken out of the users' vectors (deletion) or put back (insertion), those "
        "first that an explanation names first, or in random order. The further the lines part, "
        "the more the ranking rests on the named intents; flat lines rest on something else."
    )
    rows: list[list[Cell]] = [
        [
            curve.direction,
            curve.measure,
            Number(curve.gain.value, f"{curve.gain.value:+.4f}"),
            interval(curve.gain.low, curve.gain.high),
        ]
        for curve in found.curves
    ]
    caption = f"How much better than random, over {counted(found.num_users, 'user')}"
    table = Table(caption, ["direction", "measure", "gain", "95 % interval"], rows)
    drawn = svg(figures.bands(panels, "intents taken out, or put back"), text)
    return Section("fidelity", "Fidelity", [table, Prose(text), drawn])
