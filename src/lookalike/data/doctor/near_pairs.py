"""All pairs of hashes that differ in few bits, without looking at all pairs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lookalike.data.doctor.fingerprint import distances

MAX_BITS = 6
"""Bits in which two hashes of copies may differ."""

_BANDS = 4
_BAND_BITS = 16
_PAIRS_AT_ONCE = 1_000_000

Pairs = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]


def near_pairs(
    hashes: NDArray[np.uint64], *, max_bits: int = MAX_BITS, at_once: int = _PAIRS_AT_ONCE
) -> Iterator[Pairs]:
    """Yield blocks of pairs ``i < j`` whose hashes differ in at most ``max_bits``, and the bits.

    Of four bands of 16 bits, two hashes that differ in at most 7 bits differ in at most one bit in
    one band at least. So each hash is held only against those that share a band with it but for
    one bit: ``17 * 4 * N / 65536`` of N for even bands. A pair that shares several bands comes
    several times. Memory is a few arrays of N, and one block.

    Source: Norouzi et al., "Fast Search in Hamming Space with Multi-Index Hashing", CVPR 2012,
    section 3. https://arxiv.org/abs/1307.2982

    Args:
        hashes: ``[N]``.
        max_bits: At most 7.
        at_once: Pairs looked at in a block; one hash with more candidates makes a larger one.

    Raises:
        ValueError: If ``max_bits`` is out of range.

    Example:
        >>> hashes = np.array([0, 0b111, 2**64 - 1], dtype=np.uint64)
        >>> {(int(i), int(j)) for one, other, _ in near_pairs(hashes)
        ...  for i, j in zip(one, other)}
        {(0, 1)}
    """
    if not 0 <= max_bits < 2 * _BANDS:
        raise ValueError(f"max_bits must be between 0 and {2 * _BANDS - 1}, got {max_bits}.")
    flips = [0, *(1 << bit for bit in range(_BAND_BITS))] if max_bits >= _BANDS else [0]
    for band in range(_BANDS):
        keys = ((hashes >> np.uint64(band * _BAND_BITS)) & np.uint64(0xFFFF)).astype(np.int64)
        order = np.argsort(keys, kind="stable")
        sizes = np.bincount(keys, minlength=1 << _BAND_BITS)
        starts = np.cumsum(sizes) - sizes
        for flip in flips:
            for rows, places in _candidates(keys ^ flip, starts, sizes, at_once):
                others = order[places]
                once = rows < others
                rows, others = rows[once], others[once]
                bits = distances(hashes[rows], hashes[others])
                near = bits <= max_bits
                if near.any():
                    yield rows[near], others[near], bits[near]


def _candidates(
    keys: NDArray[np.int64],
    starts: NDArray[np.int64],
    sizes: NDArray[np.int64],
    at_once: int,
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield rows beside each place in the bucket of their key, in blocks."""
    counts = sizes[keys]
    rows = np.flatnonzero(counts)
    ends = np.cumsum(counts[rows])
    first = 0
    while first < len(rows):
        done = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(ends, done + at_once, side="right")))
        block = rows[first:last]
        own = counts[block]
        within = np.arange(int(own.sum())) - np.repeat(np.cumsum(own) - own, own)
        yield np.repeat(block, own), np.repeat(starts[keys[block]], own) + within
        first = last
