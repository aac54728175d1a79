"""What a command imports, imported without the garbage collector's help."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing() -> Iterator[None]:
    """Rest the garbage collector, and then keep it away from what is there for good.

    An import makes some hundred thousand objects and throws few away, yet the collector walks
    through all of them again and again: a tenth of the time of ``import torch``, and as much once
    more when the process ends. Frozen objects also stay shared with data workers that are forked.

    Source: https://docs.python.org/3/library/gc.html#gc.freeze
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()
