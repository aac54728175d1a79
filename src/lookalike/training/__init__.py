"""The loop, what it saves and what it tells. Receives objects, never names of them."""

from lookalike.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from lookalike.training.run_log import RunLog
from lookalike.training.trainer import Trainer, TrainingResult

__all__ = [
    "Checkpoint",
    "RunLog",
    "Trainer",
    "TrainingResult",
    "load_checkpoint",
    "save_checkpoint",
]
