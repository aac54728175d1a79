"""The memory that the images of a batch are put into."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import get_worker_info

_NUM_HELD = 3  # one in use, one that is made meanwhile, one spare


class BatchMemory:
    """Hands out memory for batches, that of earlier ones where nobody holds them any more.

    Filling memory for the first time costs more than normalising the images that go into it: the
    kernel clears every page. Counting references tells whether any tensor still looks at a batch.

    Attributes:
        row: Place ``[3, H, W]`` of the next image, once the first one has told the size.

    Example:
        >>> memory = BatchMemory()
        >>> first = memory.room((2, 3), torch.float32)
        >>> first.data_ptr() == memory.room((2, 3), torch.float32).data_ptr()
        False
    """

    def __init__(self) -> None:
        self.held: list[NDArray[np.uint8]] = []
        self.row: NDArray[np.float32] | None = None

    def room(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Return an uninitialised tensor; in a worker, one that the other process can read."""
        size = math.prod(shape) * dtype.itemsize
        if get_worker_info() is not None:
            # what a worker sends is copied to shared memory unless it is there
            storage: Any = torch.UntypedStorage
            memory: torch.UntypedStorage = storage._new_shared(size)
            return torch.empty(0, dtype=dtype).set_(memory).view(shape)
        return torch.from_numpy(self._free(size)).view(dtype).view(shape)

    def offer(self, images: Tensor, row: int) -> None:
        """Say where the next image of a batch ``[B, 3, H, W]`` belongs."""
        fits = images.dtype == torch.float32 and row < len(images)
        self.row = images[row].numpy() if fits else None

    def _free(self, size: int) -> NDArray[np.uint8]:
        for array in self.held:
            # held by the list, the loop and the count itself
            if array.size == size and sys.getrefcount(array) == 3:
                return array
        # numpy asks for large pages
        array = np.empty(size, dtype=np.uint8)
        self.held = [*self.held[1 - _NUM_HELD :], array]
        return array
