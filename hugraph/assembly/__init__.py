"""From a spec to an experiment and its run directory."""

from hugraph.assembly.experiment import Experiment
from hugraph.assembly.recommendation import recommend
from hugraph.assembly.runs import begin, finish, go_on, reopen, trained_model
from hugraph.assembly.sections import SCHEMA, Spec

__all__ = [
    "SCHEMA",
    "Experiment",
    "Spec",
    "begin",
    "finish",
    "go_on",
    "recommend",
    "reopen",
    "trained_model",
]
