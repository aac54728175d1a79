"""Rows of a block, a share in each thread."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

import torch


def in_shares(kernel: Callable[..., None], num_rows: int, *arguments: Any) -> None:
    """Call ``kernel(start, stop, *arguments)`` for shares of the rows, one in each thread.

    As many threads as PyTorch uses, but Python's: numba's own would change that. The kernel has to
    let go of the interpreter's lock, and to write only into its own rows.

    Example:
        >>> seen = []
        >>> in_shares(lambda start, stop, to: to.extend(range(start, stop)), 5, seen)
        >>> sorted(seen)
        [0, 1, 2, 3, 4]
    """
    threads = torch.get_num_threads()
    edges = [num_rows * number // threads for number in range(threads + 1)]
    shares = [(start, stop) for start, stop in pairwise(edges) if stop > start]
    if not shares:
        return
    # the caller does a share too: handing over costs more than a small share
    others = [_pool().submit(kernel, *share, *arguments) for share in shares[1:]]
    kernel(*shares[0], *arguments)
    for done in others:
        done.result()


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(thread_name_prefix="shares")
