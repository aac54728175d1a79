"""What every loss of a batch checks, and what it is for a batch without images."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn


class BatchLoss(nn.Module):
    """A loss of tensors that have one row per image; 0 for a batch without images.

    Attributes:
        reads: The model's outputs that it reads.
        remembers: It keeps embeddings of earlier batches. In a run of several processes it is
            given the batches of all, so that the memory is the same everywhere.

    Raises (from a call):
        ValueError: If two of the tensors, or a tensor and the labels, differ in their rows.

    Example:
        >>> import torch
        >>> from lookalike.losses import TripletLoss
        >>> TripletLoss()(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
        tensor(0.)
        >>> TripletLoss()(torch.zeros(2, 4), torch.tensor([0]))
        Traceback (most recent call last):
            ...
        ValueError: TripletLoss: output has 2 rows and labels 1; each needs one per image.
    """

    reads: tuple[str, ...] = ()
    remembers = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the loss of the model's output and the labels, or of two models' tensors."""
        tensors = dict(self._tensors(inspect.signature(self.forward), args, kwargs))
        rows = {name: len(tensor) if tensor.ndim else 1 for name, tensor in tensors.items()}
        if len(set(rows.values())) > 1:
            first, *others = rows
            other = next(name for name in others if rows[name] != rows[first])
            raise ValueError(
                f"{type(self).__name__}: {first} has {rows[first]} rows and {other} {rows[other]}; "
                "each needs one per image."
            )
        value = super().__call__(*args, **kwargs)
        if rows and not any(rows.values()):
            nothing = sum(t.sum() for t in tensors.values() if t.is_floating_point())
            if isinstance(value, Mapping):
                return {name: _zero(term, nothing) for name, term in value.items()}
            return _zero(value, nothing)
        return value

    def _tensors(
        self, signature: inspect.Signature, args: Any, kwargs: Any
    ) -> Iterator[tuple[str, Tensor]]:
        """Yield what has rows; of a model's output only what the loss reads."""
        for name, value in signature.bind(*args, **kwargs).arguments.items():
            if isinstance(value, Mapping) and self.reads and self.reads[0] in value:
                value = {key: value[key] for key in self.reads if key in value}
            for where, tensor in _named(name, value):
                # a vector of numbers has no rows; labels may be one
                if tensor.ndim > 1 or name == "labels":
                    yield where, tensor


def _named(name: str, value: Any) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _named(f"{name}.{key}", inner)


def _zero(term: Tensor, nothing: Tensor | int) -> Tensor:
    """Return 0 in place of a mean over no images; it can be differentiated as the term can."""
    return term.new_zeros(()) + nothing if term.ndim == 0 else term
