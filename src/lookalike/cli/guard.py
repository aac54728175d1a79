"""Errors to messages and exit codes."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from lookalike.errors import ConfigError, Interrupted, LookalikeError, presentable


@contextmanager
def guarded(debug: bool) -> Iterator[None]:
    """Turn an error into its message and its documented exit code; never show a traceback.

    Args:
        debug: Show it all the same.
    """
    try:
        yield
    except Interrupted as event:
        if not event.told:
            _tell(str(event))
        sys.exit(event.exit_code)
    except LookalikeError as error:
        if debug:
            traceback.print_exc()
        if not error.told:
            _tell(_message(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        _tell("Stopped.")
        sys.exit(130)
    except Exception as error:  # noqa: BLE001 - the last wall before the user
        if debug:
            traceback.print_exc()
        _tell(
            f"error: {type(error).__name__}: {error}\nThis is a bug in lookalike. Run again with "
            "--debug to see where it happened, and please report it."
        )
        sys.exit(1)


def _message(error: LookalikeError) -> str:
    if isinstance(error, ConfigError):
        number = len(error.problems)
        tail = f"\n{number} problem{'s' if number > 1 else ''} found; nothing was started."
        return "\n".join(f"error: {problem}" for problem in error.problems) + tail
    return f"error: {error}"


def _tell(text: str) -> None:
    print(presentable(text), file=sys.stderr)  # noqa: T201
