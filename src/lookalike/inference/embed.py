"""Images to an embedding table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

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
            images = batch.images.to(device, non_blocking=True)
            if channels_last and images.ndim == 4:
                images = images.contiguous(memory_format=torch.channels_last)
            found = model(images)[feature_from].flatten(1).float()
            if mirrored:
                found = found + model(images.flip(3))[feature_from].flatten(1).float()
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
    )


def _of_all(indices: list[Tensor], rows: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the indices ``[N]`` and embeddings ``[N, D]`` of all processes; some may have none."""
    width = max(processes.each(rows[0].shape[1] if rows else 0))
    order = torch.cat([torch.empty(0, dtype=torch.int64), *indices])
    return processes.rows_of_all(order), processes.rows_of_all(
        torch.cat([torch.empty(0, width), *rows])
    )
