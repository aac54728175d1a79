"""Images to an embedding table."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from lookalike import processes
from lookalike.errors import DataError
from lookalike.models.evaluating import evaluating
from lookalike.table_parts import read_integers
from lookalike.types import Batch, EmbeddingTable, ImageSource


def embed(
    model: nn.Module,
    batches: Iterable[Batch],
    dataset: ImageSource,
    *,
    device: torch.device | str = "cpu",
    feature_from: Literal["features", "backbone"] = "features",
    channels_last: bool = True,
    mirrored: bool = False,
    advance: Callable[[int], None] = lambda images: None,
    images: Sequence[str] | None = None,
) -> EmbeddingTable:
    """Compute the embedding of every image the batches hold, in the order of the data set.

    Embeddings are stored as the model returns them, not normalised. Of several processes each
    embeds its batches, and all return the whole table.

    Args:
        model: Returns a mapping with ``features`` and ``backbone``; switched to evaluation for
            the time being.
        batches: Each image once, in any order.
        dataset: Where the batches come from; gives the ids.
        device: Where the model is.
        feature_from: Which output is the embedding.
        channels_last: Memory layout the images are given.
        mirrored: Add to each embedding that of the image mirrored left to right.
        advance: Called with the number of images done since the last call.
        images: A text per image of the data set, equal for the same image in other data sets; the
            ids stand for the images without it.

    Raises:
        DataError: If an image is missing from the batches, or its label is no whole number.
    """
    device = torch.device(device)
    # checked before the work, not after it
    labels = read_integers(dataset.labels, len(dataset), "labels of the data set")
    rows: list[Tensor] = []
    indices: list[Tensor] = []
    with evaluating(model):
        for batch in batches:
            pixels = batch.images.to(device, non_blocking=True)
            if channels_last and pixels.ndim == 4:
                pixels = pixels.contiguous(memory_format=torch.channels_last)
            found = model(pixels)[feature_from].flatten(1).float()
            if mirrored:
                found = found + model(pixels.flip(3))[feature_from].flatten(1).float()
            rows.append(found.cpu())
            indices.append(batch.indices)
            advance(len(batch.indices))
    order, found = _of_all(indices, rows)
    table = torch.empty(len(dataset), found.shape[1])
    table[order] = found
    num_read = len(torch.unique(order))
    if num_read != len(dataset):
        raise DataError(
            f"only {num_read} of {len(dataset)} images were read; set drop_last: False "
            "for the evaluation."
        )
    return EmbeddingTable(
        embeddings=table,
        labels=labels,
        ids=list(dataset.paths),
        cameras=None if dataset.cameras is None else torch.tensor(list(dataset.cameras)),
        images=None if images is None else image_numbers(images),
        class_names=getattr(dataset, "class_names", None),
        camera_names=getattr(dataset, "camera_names", None),
    )


def image_numbers(identities: Sequence[str]) -> Tensor:
    """Return ``[N]`` int64, a hash of 64 bits of each text; equal texts have equal numbers.

    Among a million images, two different ones share a number with a probability of 3e-8.

    Example:
        >>> numbers = image_numbers(["/a/1.jpg", "/a/2.jpg", "/a/1.jpg"])
        >>> (numbers[0] == numbers[2]).item(), (numbers[0] == numbers[1]).item()
        (True, False)
    """
    hashes = bytearray()
    for text in identities:
        hashes += hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return torch.from_numpy(np.frombuffer(hashes, dtype=np.int64))


def _of_all(indices: list[Tensor], rows: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the indices ``[N]`` and embeddings ``[N, D]`` of all processes; some may have none."""
    width = max(processes.each(rows[0].shape[1] if rows else 0))
    order = torch.cat([torch.empty(0, dtype=torch.int64), *indices])
    return processes.rows_of_all(order), processes.rows_of_all(
        torch.cat([torch.empty(0, width), *rows])
    )
