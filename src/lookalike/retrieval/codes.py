"""Embeddings in a few bytes: one bit or one byte per dimension.

Codes are :class:`~lookalike.retrieval.rows.Rows`: ranking unpacks one tile at a time and takes the
inner product, so codes can be ranked against codes (symmetric) and float queries against codes
(asymmetric) with the same metrics as embeddings. An inner product of signs is ``D - 2 h`` for a
Hamming distance h. For ``rank_relevant(similarity=...)`` both give blocks: ``lambda rows:
codes.symmetric(query_codes, rows)`` and ``lambda rows: codes.asymmetric(query[rows])``.
"""

# Shape letters: N = images, D = dimensions, W = bytes of a code, B = queries, G = gallery

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from lookalike.errors import DataError
from lookalike.retrieval.rows import (
    Rows,
    computable,
    first_not_finite,
    first_out_of_range,
    out_of_range,
)
from lookalike.table_parts import read_embeddings

_COLUMNS = 4096


@dataclass(frozen=True)
class BinaryCodes:
    """The signs of embeddings, eight to a byte.

    A bit is 1 where a number is above 0. Embeddings behind a ReLU have no negative numbers; take
    their mean off first.

    Attributes:
        packed: ``[N, W]`` uint8, W being ``D / 8`` rounded up; the first dimension is the highest
            bit, and bits behind the last are 0.
        width: D.

    Example:
        >>> codes = BinaryCodes.of(torch.tensor([[0.5, -2.0, 0.0], [0.5, -2.0, 1.0]]))
        >>> codes.packed.tolist(), codes.hamming(codes, torch.tensor([0])).tolist()
        ([[128], [160]], [[0, 1]])
    """

    packed: Tensor
    width: int

    def __post_init__(self) -> None:
        packed = self.packed
        if packed.dtype != torch.uint8 or packed.ndim != 2 or self.width < 1:
            raise ValueError(f"packed: uint8 [N, W] expected, got {packed.dtype} {packed.shape}.")
        if packed.shape[1] != -(-self.width // 8):
            raise ValueError(f"{packed.shape[1]} bytes cannot hold {self.width} bits.")

    @staticmethod
    def of(embeddings: Tensor) -> BinaryCodes:
        """Encode embeddings ``[N, D]`` of any length."""
        embeddings = _checked(embeddings)
        bits = np.packbits((embeddings > 0).numpy(), axis=1)
        return BinaryCodes(torch.from_numpy(bits), embeddings.shape[1])

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.packed), self.width

    @property
    def device(self) -> torch.device:
        return self.packed.device

    @property
    def bytes_each(self) -> int:
        """Bytes of an image."""
        return self.packed.shape[1]

    def take(self, rows: Tensor) -> Tensor:
        """Return some rows unpacked, ``[R, D]`` float32 of -1 and 1."""
        bits = np.unpackbits(self.packed[rows].numpy(), axis=1, count=self.width)
        return torch.from_numpy(bits).float().mul_(2.0).sub_(1.0)

    def hamming(self, query: BinaryCodes, rows: Tensor) -> Tensor:
        """Return the Hamming distances of some queries ``[B]`` to the codes, ``[B, G]`` int32."""
        if query.width != self.width:
            raise DataError(f"the query codes have {query.width} bits, the codes {self.width}.")
        left, right = _words(query.packed[rows]), _words(self.packed)
        found = np.zeros((len(left), len(right)), dtype=np.int32)
        for start in range(0, len(right), _COLUMNS):
            part = found[:, start : start + _COLUMNS]
            for word in range(left.shape[1]):
                differ = left[:, word, None] ^ right[start : start + _COLUMNS, word]
                part += np.bitwise_count(differ)
        return torch.from_numpy(found)

    def symmetric(self, query: BinaryCodes, rows: Tensor) -> Tensor:
        """Return inner products of some queries' signs ``[B]`` with the signs, ``[B, G]``."""
        return self.width - 2.0 * self.hamming(query, rows)

    def asymmetric(self, query: Tensor) -> Tensor:
        """Return inner products of float queries ``[B, D]`` with the signs, ``[B, G]``."""
        return _products(query, self)


@dataclass(frozen=True)
class Int8Codes:
    """Embeddings rounded to multiples of a step, from -127 to 127 of them.

    By default each dimension has its own step, a 127th of its largest number. The error of an inner
    product grows with the sum of the squared steps, and none of them is then larger than with one
    step for all; the price is D numbers beside the table, and no product of whole numbers: with
    one step (``global``) the ranking can be computed in integers alone.

    Attributes:
        codes: ``[N, D]`` int8.
        steps: ``[D]`` float32.

    Example:
        >>> codes = Int8Codes.of(torch.tensor([[1.0, 0.02], [-0.3, 0.005]]))
        >>> codes.codes.tolist()
        [[127, 127], [-38, 32]]
        >>> Int8Codes.of(torch.tensor([[1.0, 0.02], [-0.3, 0.005]]), scale="global").codes.tolist()
        [[127, 3], [-38, 1]]
    """

    codes: Tensor
    steps: Tensor

    def __post_init__(self) -> None:
        codes, steps = self.codes, self.steps
        if codes.dtype != torch.int8 or codes.ndim != 2 or steps.shape != codes.shape[1:]:
            raise ValueError("codes: int8 [N, D] and steps [D] expected.")

    @staticmethod
    def of(
        embeddings: Tensor,
        scale: Literal["dimension", "global"] = "dimension",
        *,
        steps: Tensor | None = None,
    ) -> Int8Codes:
        """Encode embeddings ``[N, D]``.

        Args:
            embeddings: Compared by inner product; normalise first if cosine is meant.
            scale: A step for each dimension, or one for all.
            steps: ``[D]``: those of other codes, as of the gallery for queries; numbers out of
                reach are cut off.
        """
        values = _checked(embeddings, torch.float32).float()
        if steps is None:
            largest = values.abs().amax(dim=0)
            largest = largest.amax().expand_as(largest) if scale == "global" else largest
            steps = largest / 127.0
            # a dimension of nothing but zeros
            steps = torch.where(steps > 0.0, steps, 1.0)
        elif steps.shape != values.shape[1:] or not bool((steps > 0.0).all()):
            raise DataError(
                f"steps: {values.shape[1]} positive numbers expected, got {steps.shape}."
            )
        codes = (values / steps).round_().clamp_(-127.0, 127.0)
        return Int8Codes(codes.to(torch.int8), steps.contiguous())

    @property
    def shape(self) -> tuple[int, int]:
        return self.codes.shape[0], self.codes.shape[1]

    @property
    def device(self) -> torch.device:
        return self.codes.device

    @property
    def bytes_each(self) -> int:
        """Bytes of an image; the steps are once for all of them."""
        return self.codes.shape[1]

    def take(self, rows: Tensor) -> Tensor:
        """Return some rows unpacked, ``[R, D]`` float32."""
        return self.codes[rows].float().mul_(self.steps)

    def symmetric(self, query: Int8Codes, rows: Tensor) -> Tensor:
        """Return inner products of some queries' codes ``[B]`` with the codes, ``[B, G]``."""
        return _products(query.take(rows), self)

    def asymmetric(self, query: Tensor) -> Tensor:
        """Return inner products of float queries ``[B, D]`` with the codes, ``[B, G]``."""
        return _products(query, self)


def _products(query: Tensor, codes: Rows) -> Tensor:
    """Return inner products of ``[B, D]`` with codes that are unpacked tile by tile."""
    left = _checked(query, torch.float32, codes.shape[1]).float()
    found = torch.empty(len(left), codes.shape[0])
    for columns in torch.split(torch.arange(codes.shape[0]), _COLUMNS):
        found[:, columns[0] : columns[-1] + 1] = left @ codes.take(columns).T
    return found


def _words(packed: Tensor) -> np.ndarray[tuple[int, int], np.dtype[np.uint64]]:
    """Return codes ``[N, W]`` as numbers of eight bytes, zeros behind the last."""
    rows, width = packed.shape
    padded = np.zeros((rows, -(-width // 8) * 8), dtype=np.uint8)
    padded[:, :width] = packed.numpy()
    return padded.view(np.uint64)


def _checked(
    embeddings: Tensor, dtype: torch.dtype | None = None, width: int | None = None
) -> Tensor:
    """Return embeddings on the CPU that are finite; in a type, if they fit into it."""
    found = computable(read_embeddings(embeddings).cpu())
    if len(found) == 0:
        raise DataError(f"codes are made from embeddings [N, D], got {list(found.shape)}.")
    if width is not None and found.shape[1] != width:
        raise DataError(f"the queries have {found.shape[1]} numbers, the codes {width}.")
    if (row := first_not_finite(found)) is not None:
        raise DataError(f"the embedding of row {row} is not finite.")
    # small numbers make small steps or none; whether products vanish is checked where they are made
    large = found.where(found.abs() > 1.0, 0.0)
    if dtype is not None and (row := first_out_of_range(large, dtype)) is not None:
        raise DataError(out_of_range(found[row], f"the embedding of row {row}"))
    return found
