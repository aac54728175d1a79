"""Images to what a backbone returns for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from lookalike.models.evaluating import evaluating
from lookalike.types import Batch


def backbone_features(
    backbone: nn.Module, batches: Iterable[Batch], *, device: torch.device | str = "cpu"
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the indices and features of each batch, on the CPU.

    Args:
        backbone: Switched to evaluation for the time being.
        batches: Images.
        device: Where the backbone is.

    Example:
        >>> empty = torch.zeros(2, dtype=torch.int64)
        >>> batch = Batch(torch.zeros(2, 3, 4, 4), empty, empty, empty)
        >>> [found.shape for _, found in backbone_features(nn.Flatten(), [batch])]
        [torch.Size([2, 48])]
    """
    with evaluating(backbone):
        for batch in batches:
            images = batch.images.to(device, non_blocking=True)
            images = images.contiguous(memory_format=torch.channels_last)
            yield batch.indices, backbone(images).float().cpu()
