"""The weighted sum of a model's loss and penalties."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from annotated_types import Ge

from hugraph.checks import check_options
from hugraph.errors import SpecError, hint
from hugraph.interfaces import Stage

UNSTATED_WEIGHT = 1e-4  # of a term that neither the spec nor the model gives a weight


class Objective:
    r"""What is minimised: $\mathcal{L} = \ell + \sum_p \lambda_p\, p$, Eq. 18 of HUIGN.

    Args:
        loss: Name of the term with weight 1; a list, if several stages have different ones. If not
            given, it is the first term that each stage names.
        penalties: Weight $\lambda_p$ of other terms by name; 0 leaves a term out, and one that is
            not named weighs what the model states, 1e-4 where it states nothing. A single number is
            the weight of every other term, as in HUIGN's published code.

    Raises:
        ValueError: If a weight is negative or not finite.

    Source:
        HUIGN, [Wei et al. 2021](https://arxiv.org/abs/2110.14925).
    """

    def __init__(
        self,
        *,
        loss: str | Sequence[str] | None = None,
        penalties: Mapping[str, Annotated[float, Ge(0)]] | Annotated[float, Ge(0)] | None = None,
    ) -> None:
        check_options(Objective, loss=loss, penalties=penalties)
        self._losses = (loss,) if isinstance(loss, str) else loss
        self._penalties = penalties

    def weights(self, stages: Sequence[Stage]) -> list[dict[str, float]]:
        """The weight of every term of every stage.

        Raises:
            SpecError: If a name is emitted by no stage, or a stage emits none of the losses.
        """
        losses = self._losses or [stage.term_names[0] for stage in stages]
        emitted = {name for stage in stages for name in stage.term_names}
        named = self._penalties if isinstance(self._penalties, Mapping) else {}

        problems = [
            SpecError(
                f"the model has no term {name!r}{hint(name, emitted)}",
                at=at,
                fix="name a term of this model, or give one number for all penalties",
            )
            for at, names in (("objective.loss", losses), ("objective.penalties", named))
            for name in names
            if stages and name not in emitted
        ]
        problems += [
            SpecError(
                f"stage {stage.name!r} has no loss (its terms: {', '.join(stage.term_names)})",
                at="objective.loss",
                fix="name the term of this stage that has weight 1",
            )
            for stage in stages
            if not problems and not set(losses) & set(stage.term_names)
        ]
        problems += [
            SpecError(f"{name!r} is both a loss and a penalty", at="objective.penalties")
            for name in named
            if name in losses
        ]
        if len(problems) == 1:
            raise problems[0]
        if problems:
            raise SpecError("the objective does not fit the model", problems=problems)
        return [
            {
                name: 1.0
                if name in losses
                else penalty_weight(name, self._penalties, stage.penalty_weights)
                for name in stage.term_names
            }
            for stage in stages
        ]


def penalty_weight(
    name: str, given: Mapping[str, float] | float | None, stated: Mapping[str, float]
) -> float:
    """The weight of a term that is no loss.

    Args:
        name: The term.
        given: `penalties` of the objective.
        stated: `penalty_weights` of the model.
    """
    if given is None or isinstance(given, Mapping):
        return {**stated, **(given or {})}.get(name, UNSTATED_WEIGHT)
    return given
