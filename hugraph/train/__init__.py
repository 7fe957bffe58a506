"""Training, evaluation and ranking; a model is known by `hugraph.interfaces` alone."""

from hugraph.train.config import EarlyStopping, TrainConfig
from hugraph.train.evaluator import Evaluation, evaluate
from hugraph.train.objective import Objective
from hugraph.train.ranking import TopK, top_k
from hugraph.train.run_dir import RunDir
from hugraph.train.signals import Stopped
from hugraph.train.trainer import BatchDone, EpochDone, Fitted, fit, restore_best

__all__ = [
    "BatchDone",
    "EarlyStopping",
    "EpochDone",
    "Evaluation",
    "Fitted",
    "Objective",
    "RunDir",
    "Stopped",
    "TopK",
    "TrainConfig",
    "evaluate",
    "fit",
    "restore_best",
    "top_k",
]
