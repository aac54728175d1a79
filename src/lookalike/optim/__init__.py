"""Which parameters move how fast, and when."""

from lookalike.optim.groups import collect_rules, parameter_groups
from lookalike.optim.optimizers import OPTIMIZERS
from lookalike.optim.rows_in_backward import RowsInBackward
from lookalike.optim.scheduled import ScheduledOptimizer
from lookalike.optim.schedules import Schedule

__all__ = [
    "OPTIMIZERS",
    "RowsInBackward",
    "Schedule",
    "ScheduledOptimizer",
    "collect_rules",
    "parameter_groups",
]
