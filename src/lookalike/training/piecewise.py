"""The update of a batch that is too large to be computed at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import get_device_states, set_device_states

from lookalike.models import EmbeddingModel
from lookalike.models.lent_buffers import buffers_lent
from lookalike.optim import ScheduledOptimizer
from lookalike.training.precision import Precision
from lookalike.training.update import Terms, Update
from lookalike.types import Batch, ModelOutput


class PiecewiseUpdate(Update):
    """Compute a loss over pairs of the whole batch in the memory of a piece of it.

    1. Backbone and neck embed the batch piece by piece without gradients.
    2. Head and losses see all embeddings, and give the gradient of each.
    3. Each piece is embedded again, with the same random numbers, and passes its gradients on.

    Losses and gradients are those of the whole batch at once; accumulating small batches instead
    would leave out the pairs between them. It costs one forward pass more. Batch norms normalise
    with the statistics of a piece, as they would in small batches; running statistics move once
    per piece, in 1.

    Source: Gao et al., "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup",
    RepL4NLP 2021, section 3.2. https://arxiv.org/abs/2101.06983

    Args:
        model: An embedding model.
        loss: As in Update.
        optimizers: As in Update.
        piece: Most images that are embedded at once.
        precision: As in Update.
        accumulate: As in Update.
        average: As in Update.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: nn.Module,
        optimizers: Sequence[ScheduledOptimizer],
        *,
        piece: int,
        precision: Precision | None = None,
        accumulate: int = 1,
        average: float | None = None,
    ) -> None:
        super().__init__(
            model, loss, optimizers, precision=precision, accumulate=accumulate, average=average
        )
        assert isinstance(model, EmbeddingModel)
        self.model: EmbeddingModel = model
        self.piece = piece

    def gradients(self, batch: Batch, iteration: int) -> tuple[Any, Terms]:
        """Add a batch's gradients; return the model's output and the terms of the loss."""
        self._set_rates(iteration)
        images = batch.images.contiguous(memory_format=torch.channels_last)
        # of about the same size: a rest of one image has no statistics
        pieces = images.tensor_split(-(-len(images) // self.piece))
        states, found = [], []
        with torch.no_grad():
            for images in pieces:
                states.append(_random_state(images))
                found.append(self._embed(images))
        embedded = {
            key: torch.cat([one[key] for one in found]).requires_grad_() for key in found[0]
        }
        with self.precision.autocast():
            output = self.model.classify(_named(embedded), batch.labels)
        terms: Terms = self.loss(output, batch.labels)
        self.precision.backward(terms["loss"] / self.accumulate)
        self._pass_on(pieces, states, embedded)
        return output, terms

    def _embed(self, images: Tensor) -> dict[str, Tensor]:
        """Return what backbone and neck make of a piece, each tensor once."""
        with self.precision.autocast():
            output = self.model.embed(images)
        return {key: output[key] for key in ("backbone", "neck") if key in output}

    def _pass_on(
        self, pieces: Sequence[Tensor], states: Sequence[Any], embedded: dict[str, Tensor]
    ) -> None:
        """Let each piece's embeddings pass their gradients to the weights."""
        parts = [part for part in (self.model.backbone, self.model.neck) if part is not None]
        if not any(p.requires_grad for part in parts for p in part.parameters()):
            return
        wanted = {key: value.grad for key, value in embedded.items() if value.grad is not None}
        gradients = {key: value.tensor_split(len(pieces)) for key, value in wanted.items()}
        with _random_kept(pieces[0]), buffers_lent(*parts):
            for index, (images, state) in enumerate(zip(pieces, states, strict=True)):
                _restore(state)
                again = self._embed(images)
                keys = [key for key in gradients if again[key].requires_grad]
                torch.autograd.backward(
                    [again[key] for key in keys], [gradients[key][index] for key in keys]
                )


def _named(embedded: dict[str, Tensor]) -> ModelOutput:
    return {**embedded, "features": embedded.get("neck", embedded["backbone"])}


def _random_state(images: Tensor) -> tuple[Tensor, Any]:
    return torch.get_rng_state(), get_device_states(images)


def _restore(state: tuple[Tensor, Any]) -> None:
    cpu, (devices, states) = state
    torch.set_rng_state(cpu)
    set_device_states(devices, states)


@contextmanager
def _random_kept(images: Tensor) -> Iterator[None]:
    """Leave the random numbers where they are."""
    before = _random_state(images)
    try:
        yield
    finally:
        _restore(before)
