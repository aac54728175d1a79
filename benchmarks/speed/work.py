"""A piece of work, timed: seconds, CPU seconds, memory, and what others did meanwhile."""

from __future__ import annotations

import gc
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from benchmarks.conformance.environments import busy_seconds
from benchmarks.speed.plan import Outcome, Topic, Where

TOO_LONG = 10.0
"""A first call of so many seconds is a measurement, where it may be one; it is not repeated."""


@dataclass
class Work:
    """What is timed.

    Attributes:
        call: One call of it; it may return what is to be told, such as the value of the loss.
        units: How many units it does in a call; a call may correct it.
        facts: What is told already, such as the seconds of construction.
        whose: Whether its time is this process's or that of processes it starts.
    """

    call: Callable[[], Any]
    units: float = 1.0
    facts: dict[str, Any] = field(default_factory=dict)
    whose: Literal["self", "children"] = "self"


@dataclass(frozen=True)
class Budget:
    """How long a case is repeated.

    Attributes:
        seconds: Of processor time, at least.
        least: Calls at least, where the topic wants several.
        cold: Whether a first call that takes very long may stand for all.
    """

    seconds: float
    least: int = 1
    cold: bool = False


@dataclass(frozen=True)
class Lap:
    """One timed call."""

    seconds: float
    cpu_seconds: float
    others: float


def lap(work: Work, where: Where) -> tuple[Lap, Any]:
    """Time one call."""
    wait_for_device(where)
    own = time.process_time()
    busy, cpu, start = busy_seconds(), cpu_seconds(work.whose), time.perf_counter()
    found = work.call()
    wait_for_device(where)
    seconds = time.perf_counter() - start
    used = cpu_seconds(work.whose) - cpu
    # what this process did beside its children is not the work of others
    mine = used if work.whose == "self" else used + time.process_time() - own
    others = max(busy_seconds() - busy - mine, 0.0) / max(seconds, 1e-9)
    return Lap(seconds, used, others), found


def measure(make: Callable[[], Work], topic: Topic, where: Where, plan: Budget) -> Outcome:
    """Make the work, call it once unheeded, and then until the budget is used.

    The first call may compile, load and allocate what later ones find.

    ``peak_mb`` is the peak of the process, ``over_mb`` what of it is above the memory in use before
    the work was made: weights, states, inputs and the step itself. With the unit ``s`` the value is
    the seconds of a call, else the units in a second.
    """
    base = memory("VmRSS")
    forget_peak()
    work = make()
    least = min(topic.least, plan.least)
    first, found = lap(work, where)
    laps = [first] if plan.cold and first.cpu_seconds > TOO_LONG else []
    while len(laps) < least or sum(one.cpu_seconds for one in laps) < plan.seconds:
        done, found = lap(work, where)
        laps.append(done)
    peak = peak_memory(work.whose)
    facts = {**work.facts, **(found if isinstance(found, dict) else {})}
    if where.device == "cuda":
        facts["gpu_peak_mb"] = gpu_peak()
    seconds, cpu, others = (
        statistics.median(getattr(one, name) for one in laps)
        for name in ("seconds", "cpu_seconds", "others")
    )
    per_call = max(cpu if by_cpu_time(where) else seconds, 1e-9)
    return Outcome(
        value=per_call if topic.unit == "s" else work.units / per_call,
        seconds=seconds,
        cpu_seconds=cpu,
        peak_mb=peak,
        over_mb=max(peak - base, 0.0),
        others=others,
        calls=len(laps),
        facts=facts,
    )


def by_cpu_time(where: Where) -> bool:
    """Tell whether CPU time is what counts: on one thread it is all there is, and robust."""
    return where.threads == 1 and where.device == "cpu"


def cpu_seconds(whose: str) -> float:
    """Return the processor time of this process, or of those it has started."""
    if whose == "self":
        return time.process_time()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def wait_for_device(where: Where) -> None:
    """Wait until a GPU has done what it was given."""
    if where.device != "cuda":
        return
    if "torch" in sys.modules:
        sys.modules["torch"].cuda.synchronize()
    if "paddle" in sys.modules:
        sys.modules["paddle"].device.synchronize()


def gpu_peak() -> float:
    """Return the most that was allocated on the GPU, in MB."""
    for name in ("torch", "paddle"):
        if name in sys.modules:
            module = sys.modules[name]
            cuda = module.cuda if name == "torch" else module.device.cuda
            return float(cuda.max_memory_allocated()) / 2**20
    return 0.0


def memory(field_name: str) -> float:
    """Return a figure of the kernel about this process, in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field_name + ":"):
            return int(line.split()[1]) / 1024
    return 0.0


def forget_peak() -> None:
    """Let the kernel's record of the peak begin anew."""
    gc.collect()
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return  # the peak is then that of the process so far


def peak_memory(whose: str) -> float:
    """Return the peak of this process, or of the largest it has started."""
    if whose == "children":
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return memory("VmHWM")
