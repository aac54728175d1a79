"""Which parameters move how fast, and when."""

from lookalike.optim.groups import collect_rules, parameter_groups
from lookalike.optim.optimizers import OPTIMIZERS
from lookalike.optim.scheduled import ScheduledOptimizer
from lookalike.optim.schedules import Schedule

__all__ = ["OPTIMIZERS", "Schedule", "ScheduledOptimizer", "collect_rules", "parameter_groups"]
