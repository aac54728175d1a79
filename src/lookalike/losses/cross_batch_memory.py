"""Embeddings of the last batches, kept as further positives and negatives."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class CrossBatchMemory(nn.Module):
    """A ring of the latest embeddings with their labels.

    Everything is a buffer, so a checkpoint holds the memory, where it goes on and how full it is,
    and a resumed run continues bit for bit. A new entry takes the place of the oldest.

    Source: Wang et al., "Cross-Batch Memory for Embedding Learning", CVPR 2020.
    https://arxiv.org/abs/1912.06798

    Args:
        size: Entries kept.
        embedding_size: D, length of one embedding.
        start_iter: So many batches are let pass first, while embeddings still change fast.

    Raises:
        ValueError: If size or width is not positive.

    Example:
        >>> memory = CrossBatchMemory(size=3, embedding_size=1)
        >>> memory.push(torch.tensor([[1.0], [2.0]]), torch.tensor([0, 0]))
        tensor([0, 1])
        >>> memory.push(torch.tensor([[3.0], [4.0]]), torch.tensor([7, 7]))
        tensor([2, 0])
        >>> memory.contents()[1].sort()[0].tolist()
        [0, 7, 7]
    """

    features: Tensor
    labels: Tensor
    position: Tensor
    filled: Tensor
    iteration: Tensor

    def __init__(self, size: int, embedding_size: int, start_iter: int = 0) -> None:
        super().__init__()
        if size < 1 or embedding_size < 1:
            raise ValueError(
                f"a memory needs a positive size and width; got {size} x {embedding_size}."
            )
        self.size, self.embedding_size, self.start_iter = size, embedding_size, start_iter
        self.register_buffer("features", torch.zeros(size, embedding_size))
        self.register_buffer("labels", torch.zeros(size, dtype=torch.int64))
        self.register_buffer("position", torch.zeros((), dtype=torch.int64))
        self.register_buffer("filled", torch.zeros((), dtype=torch.int64))
        self.register_buffer("iteration", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def push(self, features: Tensor, labels: Tensor) -> Tensor:
        """Add embeddings ``[B, D]`` with their labels ``[B]``; of too many, the last ones.

        Returns:
            The place ``[B]`` of each in ``contents()``, -1 for one that is not in it.
        """
        self.iteration += 1
        places = torch.full((len(features),), -1, device=self.labels.device)
        if self.iteration <= self.start_iter:
            return places
        if features.shape[1] != self.embedding_size:
            raise ValueError(
                f"embeddings have {features.shape[1]} numbers, the memory was made for "
                f"{self.embedding_size}; set the loss's embedding_size to {features.shape[1]}."
            )
        count = len(features)
        first = max(count - self.size, 0)
        steps = torch.arange(first, count, device=self.labels.device)
        slots = (self.position + steps) % self.size
        self.features[slots] = features[first:].to(self.features.dtype)
        self.labels[slots] = labels.reshape(-1)[first:].to(self.labels.dtype)
        self.position.copy_((self.position + count) % self.size)
        self.filled.copy_((self.filled + count).clamp_max(self.size))
        places[first:] = slots
        return places

    def contents(self) -> tuple[Tensor, Tensor]:
        """Return the embeddings ``[N, D]`` and labels ``[N]`` in it, in no particular order.

        They are views: run the backward pass before the next ``push``.
        """
        filled = int(self.filled)
        return self.features[:filled], self.labels[:filled]
