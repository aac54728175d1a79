"""Points at which a test lets a run fail; in production nothing happens there.

Code that writes what must not be lost passes named points, such as ``checkpoint.sync``. The
variable ``LOOKALIKE_FAULT=point:nth:action`` makes the nth passing of a point fail, so that every
single point can be tried instead of hoping that a random moment hits it.

- ``point`` may hold wildcards: ``checkpoint.*``, ``*``.
- ``nth`` counts from 1; ``3+`` means the third and all later ones, as on a disk that stays full.
- ``action`` is ``kill`` (SIGKILL), ``freeze`` (SIGSTOP), ``raise``, ``sleep`` or
  ``sleep=SECONDS``, or the name of an error of the system such as ``enospc``, ``eio``, ``erofs``,
  ``eacces``, ``estale``.

Source: the way SQLite is tested, https://www.sqlite.org/testing.html, "Anomaly Testing".
"""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase

VARIABLE = "LOOKALIKE_FAULT"
_LONG = 600.0


class InjectedFault(Exception):  # noqa: N818 - it is asked for
    """What the action ``raise`` raises: an error that nobody expects."""


class Fault:
    """A failure at one of the passings of a point.

    Args:
        text: ``point:nth:action``.

    Raises:
        ValueError: If the text is not of this form.

    Example:
        >>> fault = Fault("disk.*:2:enospc")
        >>> fault("disk.write")
        >>> fault("disk.sync")
        Traceback (most recent call last):
            ...
        OSError: [Errno 28] No space left on device: 'disk.sync'
    """

    def __init__(self, text: str) -> None:
        point, _, rest = text.partition(":")
        nth, _, action = rest.partition(":")
        self.point, self.action, self.passed = point, action, 0
        self.stays = nth.endswith("+")
        number = nth.removesuffix("+")
        known = ("kill", "freeze", "raise", "sleep")
        kind = action.partition("=")[0]
        if not number.isdecimal() or (kind not in known and not hasattr(errno, kind.upper())):
            raise ValueError(f"{VARIABLE}={text}: point:nth:action expected, see {__name__}")
        self.nth = int(number)

    def __call__(self, name: str) -> None:
        """Pass a point."""
        if not fnmatchcase(name, self.point):
            return
        self.passed += 1
        if self.passed == self.nth or (self.stays and self.passed > self.nth):
            _fail(self.action, name)


def _fail(action: str, name: str) -> None:
    kind, _, value = action.partition("=")
    if kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif kind == "freeze":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif kind == "raise":
        raise InjectedFault(name)
    elif kind == "sleep":
        time.sleep(float(value or _LONG))
    else:
        number = getattr(errno, kind.upper())
        raise OSError(number, os.strerror(number), name)


_given = os.environ.get(VARIABLE)
_watch: Callable[[str], None] | None = Fault(_given) if _given else None


def fault_point(name: str) -> None:
    """Fail here if a test asks for it.

    Args:
        name: ``what.event``, the event being about to happen.
    """
    if _watch is not None:
        _watch(name)


@contextmanager
def watching(watch: Callable[[str], None]) -> Iterator[None]:
    """Call ``watch`` at every point that is passed meanwhile.

    Example:
        >>> passed = []
        >>> with watching(passed.append):
        ...     fault_point("disk.write")
        >>> passed
        ['disk.write']
    """
    global _watch
    before, _watch = _watch, watch
    try:
        yield
    finally:
        _watch = before
