"""Functions compiled by numba, and what happens where that is not possible.

Every compiled function of the package is declared with :func:`kernel` and reached through
:func:`kernels_in`. Each has a plain counterpart with the same result, so a machine that lacks
numba, or on which numba does not work, computes the same numbers more slowly.
"""

from __future__ import annotations

import importlib
import logging
import multiprocessing
import os
from collections.abc import Callable
from functools import cache
from typing import Any

_logger = logging.getLogger("lookalike")
_UNCACHED = (
    "compiled functions cannot be cached, since neither the folder of the package nor the user's "
    "cache folder can be written: each process compiles them anew, which takes some seconds. Set "
    "NUMBA_CACHE_DIR to a folder that can be written."
)


def kernel(*signatures: str) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function with numba, cached on disk where that is possible.

    numba refuses to cache, by an error, if neither the folder of the package nor the home of the
    user can be written. The function is then compiled anew in each process.

    Args:
        *signatures: Types to compile for at once; without any, for the first arguments given.
    """

    def compile_(function: Callable[..., Any]) -> Any:
        from numba import njit

        try:
            made: Any = njit(cache=True, nogil=True)(function)
        except RuntimeError:
            note(_UNCACHED)
            made = njit(nogil=True)(function)
        else:
            made._cache = _LenientCache(made._cache)
        for signature in signatures:
            made.compile(signature)
        if signatures:
            made.disable_compile()
        return made

    return compile_


@cache
def kernels_in(module: str) -> Any:
    """Import a module of kernels; return None where numba is missing or does not work.

    Args:
        module: Its full name. It is imported when it is first needed: numba takes half a second.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != "numba":
            raise
    except Exception as error:  # noqa: BLE001 - numba fails in every way, on import and later
        note(
            f"numba does not work here ({type(error).__name__}: {_first_line(error)}); the same "
            "numbers are computed without it, more slowly."
        )
    return None


@cache
def note(text: str) -> None:
    """Log a warning once, in the first process of a run only."""
    is_first = multiprocessing.parent_process() is None and os.environ.get("RANK", "0") == "0"
    if is_first:
        _logger.warning("note: %s", text)


class _LenientCache:
    """A cache of numba; what cannot be read from it or written to it is compiled anew.

    The folder may become read-only, the disk may be full, a file of the cache may be damaged.
    """

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """Return what is cached for a signature, or None."""
        try:
            return self._inner.load_overload(signature, target_context)
        except Exception as error:  # noqa: BLE001 - damaged pickles fail in every way
            self._tell("read", error)
            return None

    def save_overload(self, signature: Any, compiled: Any) -> None:
        """Cache a compiled function."""
        try:
            self._inner.save_overload(signature, compiled)
        except Exception as error:  # noqa: BLE001 - as above: saving reads the index
            self._tell("written", error)

    def _tell(self, what: str, error: Exception) -> None:
        folder = self._inner.cache_path
        note(
            f"{folder}: the cache of compiled functions cannot be {what} "
            f"({type(error).__name__}: {_first_line(error)}); they are compiled anew. Delete the "
            "folder, or set NUMBA_CACHE_DIR to one that can be written."
        )


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]
