"""Learning rates with which nothing is learnt."""

from __future__ import annotations

from collections.abc import Sequence

from lookalike.optim import ScheduledOptimizer
from lookalike.training.doctor.look import Finding, Look

# of the schedule's peak
NOTHING = 1e-6
LOOKS = 3
# a schedule that falls to zero may do so in the last part of a run
END = 0.05


class NoRate:
    """A learning rate below a millionth of the schedule's peak, three looks in a row.

    The first step of a warm-up from zero is one look; the end of a cosine is above the limit until
    the last 5 % of the run, which do not count.

    Args:
        optimizers: With their schedules.
    """

    def __init__(self, optimizers: Sequence[ScheduledOptimizer]) -> None:
        self.optimizers = optimizers
        self.times = [0] * len(optimizers)

    def __call__(self, look: Look) -> Finding | None:
        ending = look.step >= (1.0 - END) * look.total
        for number, rate in enumerate(look.rates):
            schedule = self.optimizers[number].schedule
            nothing = abs(rate) <= NOTHING * abs(schedule.peak) and not ending
            self.times[number] = self.times[number] + 1 if nothing else 0
            if self.times[number] >= LOOKS:
                return Finding(
                    f"the learning rate of {self.optimizers[number].name} is zero",
                    f"{rate:.3g} at step {look.step:,} of {look.total:,}, for {LOOKS} looks; the "
                    f"schedule's peak is {schedule.peak:.3g}",
                    _remedy(schedule, look),
                )
        return None


def _remedy(schedule: object, look: Look) -> str:
    if not getattr(schedule, "peak", 0.0):
        return "set Optimizer.lr.learning_rate"
    if getattr(schedule, "by_epoch", False) and look.step < look.total / 2:
        return (
            "by_epoch: True keeps the rate for a whole epoch, and the warm-up's first is at "
            "warmup_start_lr: set that above zero, or by_epoch: False"
        )
    return (
        "the schedule is at its end and the run is not: compare its lengths (step_each_epoch, "
        "decay_epochs, milestones, last_epoch) with Global.epochs; with by_epoch: True they count "
        "epochs, else steps"
    )


class LongWarmUp:
    """A warm-up that takes the whole run: its peak is never reached. Seen at the first look.

    Args:
        optimizers: With their schedules.
        accumulate: Batches per step.
        per_epoch: Batches per epoch.
    """

    def __init__(
        self, optimizers: Sequence[ScheduledOptimizer], *, accumulate: int, per_epoch: int
    ) -> None:
        self.optimizers, self.accumulate, self.per_epoch = optimizers, accumulate, per_epoch

    def __call__(self, look: Look) -> Finding | None:
        for one in self.optimizers:
            schedule = one.schedule
            unit = self.per_epoch if schedule.by_epoch else self.accumulate
            length = look.total // unit
            if schedule.warmup and schedule.warmup >= length:
                return Finding(
                    f"the warm-up of {one.name} is as long as the run",
                    f"warm-up {schedule.warmup} of {length} "
                    f"{'epochs' if schedule.by_epoch else 'steps'}: the learning rate only rises, "
                    f"to {schedule.peak:.3g} at the end",
                    "shorten warmup_epoch, which counts epochs, or raise Global.epochs",
                )
        return None
