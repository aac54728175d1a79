"""The memory that the images of a batch are put into."""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import get_worker_info

from lookalike.errors import SetupError
from lookalike.types import Batch

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
            with _room_for(size):
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


def in_shared_memory(batch: Batch) -> Batch:
    """Move what a worker sends to shared memory now, where a lack of room is still an error.

    Torch would do it in a thread of its queue, which says nothing and sends nothing.

    Raises:
        SetupError: If there is no room left.
    """
    if get_worker_info() is not None:
        for tensor in (batch.images, batch.labels, batch.cameras, batch.indices):
            with _room_for(tensor.nbytes):
                tensor.share_memory_()  # type: ignore[no-untyped-call]
    return batch


@contextmanager
def _room_for(size: int) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        try:
            usage = shutil.disk_usage("/dev/shm")
            place = f"/dev/shm has {usage.free / 1e6:,.1f} of {usage.total / 1e6:,.1f} MB free"
        except OSError:
            place = " ".join(str(error).split())
        raise SetupError(
            f"no shared memory is left to pass a batch of {size / 1e6:,.1f} MB on from a data "
            f"worker: {place}. Enlarge it (docker run --shm-size=8g), lower num_workers, "
            "prefetch_factor or batch_size, or set loader.num_workers: 0, which does without."
        ) from error
