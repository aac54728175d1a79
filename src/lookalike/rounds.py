"""Which start of the processes this is, agreed on through a store that outlives starts.

An elastic launcher starts processes again when one of them fails or hosts come and go, and keeps
the store through which they meet. What gone processes left there, such as their addresses, must not
be met again. Nothing that PyTorch tells a process names the start: ``TORCHELASTIC_RESTART_COUNT``
grows on the host whose process failed and stays as it is on the others.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import uuid4

from lookalike.errors import ProcessError

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5


def agreed_round(store: Store, rank: int, number: int, timeout: float) -> str:
    """Return a name for this start that all processes of it have, and no others.

    The first process makes it up. The others greet with a word of their own and are answered with
    that word, so an answer to one that is gone is never taken for one's own; and the first one
    answers until each has shown under the new name that it has it.

    Args:
        store: Reaches all processes, and may hold what earlier ones have said.
        rank: The number of this process.
        number: How many there are.
        timeout: Seconds to wait for the others.

    Raises:
        RuntimeError: If not all have come in time.
        ProcessError: If the launcher has gone meanwhile.

    Example:
        >>> from torch.distributed import HashStore
        >>> len(agreed_round(HashStore(), rank=0, number=1, timeout=1.0))
        32
    """
    word = uuid4().hex
    if rank > 0:
        store.set(f"greeting/{rank}", word)
        _wait(lambda: [] if store.check([f"answer/{word}"]) else [0], timeout)
        name = store.get(f"answer/{word}").decode()
        store.set(f"{name}/has/{rank}", "")
        return name
    answered: dict[int, bytes] = {}

    def missing() -> list[int]:
        found = [one for one in range(1, number) if not store.check([f"{word}/has/{one}"])]
        for one in found:
            if store.check([f"greeting/{one}"]):
                greeting = store.get(f"greeting/{one}")
                # another one may have greeted with this number, and have gone
                if answered.get(one) != greeting:
                    answered[one] = greeting
                    store.set(f"answer/{greeting.decode()}", word)
        return found

    _wait(missing, timeout)
    return word


def _wait(missing: Callable[[], list[int]], timeout: float) -> None:
    """Return when none is missing any more."""
    pause, end, parent = _FIRST_PAUSE, time.monotonic() + timeout, os.getppid()
    while found := missing():
        if time.monotonic() > end:
            raise RuntimeError(f"timed out: processes {found} have not come in {timeout:g} s")
        if "TORCHELASTIC_RUN_ID" in os.environ and os.getppid() != parent:
            raise ProcessError("the launcher has gone while its processes waited for each other.")
        time.sleep(pause)
        pause = min(1.5 * pause, _LONGEST_PAUSE)
