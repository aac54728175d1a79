"""Every error a person can cause, and the exit code of the command that meets it.

::

    LookalikeError            1   anything below, or a bug of ours
    ├── ConfigError           2   the YAML or the command line asks for the impossible
    │   └── ComponentError    2   a component refuses the value of an argument
    ├── DataError             3   a list, an image or a label is wrong
    ├── SetupError            4   the machine lacks something: a device, a package, disk space
    ├── DivergedError         5   the loss is no longer a number
    ├── CheckpointError       6   a checkpoint or weight file is damaged or does not fit
    ├── ExportError           7   an exported file does not compute what the model computes
    └── ProcessError          8   a process of several failed, hangs, or runs something else

``Interrupted`` is no error: the run was asked to stop, saved itself, and exits with 130 (Ctrl-C)
or 75 (SIGTERM, SIGHUP, SIGQUIT, SIGUSR1).
"""

from __future__ import annotations

import difflib
import errno
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class LookalikeError(Exception):
    """Base of all errors whose message is meant for the person who started the command.

    Attributes:
        exit_code: Of the command.
        told: Another process of the run tells it.
    """

    exit_code = 1
    told = False


# a terminal obeys control characters and shows text behind marks of direction in another order
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_LOGIN = re.compile(r"(?<=://)[^\s/@'\"]+@")
_SECRET = re.compile(
    r"([?&][^=&\s]*(?:token|key|sig|secret|passw|credential)[^=&\s]*=)[^&\s'\"]+", re.IGNORECASE
)


def masked(text: str) -> str:
    """Take the passwords out of the addresses in a text.

    Example:
        >>> masked("https://me:secret@host/a.pdparams?v=2&token=abc")
        'https://***@host/a.pdparams?v=2&token=***'
    """
    return _SECRET.sub(r"\1***", _LOGIN.sub("***@", text))


def presentable(text: str) -> str:
    r"""Make a text fit for terminals and logs, whatever a file's name or content puts into it.

    Example:
        >>> presentable("no such image: \x1b[2J\u202egpj.exe")
        'no such image: \\x1b[2J\\u202egpj.exe'
    """
    return masked(_UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], text))


@dataclass(frozen=True)
class Problem:
    """One mistake in a configuration.

    Attributes:
        key: Where in the YAML, such as ``Optimizer.lr.learing_rate``.
        message: What is wrong, what was given, what to do.
        where: ``file:line:column``, or the command line argument, or empty.
        excerpt: The line itself with a caret below it, or empty.
    """

    key: str
    message: str
    where: str = ""
    excerpt: str = ""

    def __str__(self) -> str:
        head = f"{self.where}  " if self.where else ""
        body = f"{self.key}: {self.message}" if self.key else self.message
        return f"{head}{body}" + (f"\n{self.excerpt}" if self.excerpt else "")


class ConfigError(LookalikeError, ValueError):
    """A configuration that cannot be run; carries every problem found, not only the first.

    Example:
        >>> raise ConfigError([Problem("Global.epoch", "unknown key, did you mean 'epochs'?")])
        Traceback (most recent call last):
            ...
        lookalike.errors.ConfigError: Global.epoch: unknown key, did you mean 'epochs'?
    """

    exit_code = 2

    def __init__(self, problems: Sequence[Problem] | str) -> None:
        if isinstance(problems, str):
            problems = [Problem("", problems)]
        self.problems = list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class ComponentError(ConfigError):
    """A component refused the value of an argument; its place in the YAML is added later.

    Attributes:
        kind: ``head``, ``loss``, ...
        name: As the YAML has it.
        detail: What the component said.
    """

    def __init__(self, kind: str, name: str, detail: str) -> None:
        super().__init__(f"{kind} {name}: {detail}")
        self.kind, self.name, self.detail = kind, name, detail


class DataError(LookalikeError, ValueError):
    """A list file, an image or a label that cannot be used; names the file and the line."""

    exit_code = 3


class SetupError(LookalikeError):
    """Something outside the YAML and the data is missing: a package, a device, weights, disk."""

    exit_code = 4


class ProcessError(LookalikeError):
    """One of several processes of a run has failed, hangs, or does not run what the others do."""

    def __init__(self, message: str, *, exit_code: int | None = None) -> None:
        super().__init__(message)
        self.exit_code = exit_code or 8


class DivergedError(LookalikeError):
    """Training produced a loss that is not finite."""

    exit_code = 5


class CheckpointError(LookalikeError):
    """A checkpoint or weight file that is damaged, incomplete or made for another model."""

    exit_code = 6


class ModelWarning(UserWarning):
    """The model is usable but may not be the intended one: some of its weights are random, or its
    run has no best model.
    """


class ExportError(LookalikeError):
    """A model that cannot be exported, or a file that does not compute what the model computes."""

    exit_code = 7


class Interrupted(LookalikeError):  # noqa: N818 - it is an event, not an error
    """The run was asked to stop and has saved itself."""

    def __init__(self, message: str, *, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Make the folder of a file that is about to be written; say so if it cannot be.

    Raises:
        SetupError: If the folder or the file cannot be written.

    Example:
        >>> with writing(Path("metrics.json")):
        ...     raise OSError(13, "Permission denied")
        Traceback (most recent call last):
            ...
        lookalike.errors.SetupError: metrics.json: cannot be written (Permission denied).
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except LookalikeError:
        raise
    except Exception as error:
        cause = system_error(error)
        if cause is None:
            raise
        raise SetupError(f"{path}: cannot be written ({why(cause, path)}).") from error


def system_error(error: BaseException | None) -> OSError | None:
    """Return the error of the system behind another one; torch and safetensors hide it.

    Example:
        >>> system_error(RuntimeError("I/O error: No space left on device (os error 28)"))
        OSError(28, 'No space left on device')
    """
    while error is not None:
        if isinstance(error, OSError):
            return error
        found = re.search(r"([^:]*) \(os error (\d+)\)", str(error))
        if found:
            return OSError(int(found[2]), found[1].strip())
        error = error.__cause__ or error.__context__
    return None


def why(error: OSError, path: Path, needed: int | None = None) -> str:
    """Say why a path could not be written; where room lacks, how much is needed and free.

    Args:
        error: What the system said.
        path: What was being written.
        needed: Bytes, where it is known.
    """
    text = error.strerror or str(error)
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return text
    if needed is not None:
        text += f"; about {needed:,} bytes are needed"
    try:
        place = next(place for place in (path, *path.absolute().parents) if place.exists())
        return f"{text}; {shutil.disk_usage(place).free:,} bytes are free there"
    except OSError:
        return text


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the known word most like ``word``, or nothing.

    Example:
        >>> nearest("learing_rate", ["learning_rate", "gamma"])
        " Did you mean 'learning_rate'?"
        >>> nearest("zzz", ["learning_rate"])
        ''
    """
    by_lower = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.55)
    return f" Did you mean '{by_lower[found[0]]}'?" if found else ""


def cut(value: Any, length: int = 120) -> str:
    """Show a value in a message, shortened.

    Example:
        >>> cut("x" * 200, 10)
        "'xxxxxxxxx..."
    """
    text = repr(value)
    return text if len(text) <= length else f"{text[:length]}..."
