"""Whether an exported file computes what the trained model computes, and if not, why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lookalike.errors import ExportError
from lookalike.geometry import unit
from lookalike.inference.export import Runner
from lookalike.retrieval import nearest_neighbours

LARGEST_DRIFT = 1e-4
# a model whose own embeddings are less steady than this gives no embeddings to compare
LARGEST_OWN_DRIFT = 1e-2
# two neighbours whose cosines differ by less are as near as each other
ROUNDING = 1e-5
BATCH_SIZES = (1, 2, 7)
# two programs differ in the last digits of a layer's result by about this share of it
NUDGE, DRAWS = 1e-6, 4


@dataclass(frozen=True)
class Parity:
    """How an exported file compares with the trained model.

    Attributes:
        drift: Largest ``1 - cosine`` of the two outputs of an image.
        recall1: Share of the sample whose nearest other image has its label: of the model, and of
            the file.
        images: How many were compared.
        own_drift: Largest ``1 - cosine`` of the model's output of an image to that with the layers'
            results changed by a millionth; measured where the drift is above the limit, else None.
    """

    drift: float
    recall1: tuple[float, float]
    images: int
    own_drift: float | None = None


def compare(
    name: str,
    run: Runner,
    images: Tensor,
    expected: Tensor,
    labels: Tensor,
    own: Callable[[], float] | None = None,
) -> Parity:
    """Compare a file with the model it was written from.

    Where the drift is too large, the model itself is measured: one that rounds (``Slim.quant``)
    turns a difference in a last digit into a whole step of 8 bits now and then, and passes that on.
    A file that differs from such a model by no more than the model from itself is right.

    Args:
        name: Of the file.
        run: Runs it.
        images: ``[N, 3, H, W]``.
        expected: ``[N, D]``, the model's output.
        labels: ``[N]``.
        own: Measures the model's ``own_drift``.

    Raises:
        ExportError: If the file differs; says whether the file or the model is the cause.
    """
    if not torch.isfinite(expected).all():
        raise ExportError(
            f"the trained model gives embeddings that are not finite for some of {len(images)} "
            "images; its training has diverged. Nothing was written."
        )
    found = in_batches(run, images)
    drift = largest_drift(found, expected)
    nearest = _nearest(unit(expected)), _nearest(unit(found))
    recall = _recall1(nearest[0], labels), _recall1(_settled(*nearest, unit(expected)), labels)
    if drift < LARGEST_DRIFT and recall[0] == recall[1]:
        return Parity(drift, recall, len(images))
    moves = 0.0 if own is None else own()
    if LARGEST_DRIFT <= drift <= moves <= LARGEST_OWN_DRIFT:
        return Parity(drift, recall, len(images), moves)
    differs = (
        f"1 - cosine is up to {drift:.2g} ({LARGEST_DRIFT:g} is allowed), Recall@1 on "
        f"{len(images)} images is {recall[1]:.4f} instead of {recall[0]:.4f}."
    )
    nudged = (
        "changes of a millionth in the results of its layers move the model's own embeddings by up "
        f"to {moves:.2g}"
    )
    if drift <= moves:
        raise ExportError(
            f"{name} cannot be compared with the trained model: {differs} The model is the cause: "
            f"{nudged}, so no two programs agree on them. Slim.quant amplifies rounding, most of "
            "all after a short training. Train longer, or export with --no-onnx: model.pt2 runs "
            "the model's own operations. Nothing was written."
        )
    raise ExportError(
        f"{name} does not compute what the trained model computes: {differs} The file is the "
        f"cause: {nudged}. Nothing was written."
    )


def own_drift(model: nn.Module, run: Runner, images: Tensor, expected: Tensor) -> float:
    """Return how far rounding within a model moves its outputs: the largest ``1 - cosine``.

    Each result of a convolution or linear layer is changed by about a millionth of itself, which
    is what another program's order of summation does.

    Args:
        model: What is run.
        run: Runs it.
        images: ``[N, 3, H, W]``.
        expected: ``[N, D]``, its output.
    """
    generator = torch.Generator().manual_seed(0)

    def nudge(module: nn.Module, given: Any, result: Tensor) -> Tensor:
        return result * (1.0 + NUDGE * torch.randn(result.shape, generator=generator))

    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(nudge) for layer in layers]
    try:
        return max(largest_drift(in_batches(run, images), expected) for _ in range(DRAWS))
    finally:
        for hook in hooks:
            hook.remove()


def largest_drift(found: Tensor, expected: Tensor) -> float:
    """Return the largest ``1 - cosine`` of two outputs ``[N, D]`` of the same images."""
    cosine = (unit(found) * unit(expected)).sum(dim=1)
    same = (found == expected).all(dim=1)  # two zero vectors have no angle
    return float(torch.where(same, 0.0, 1.0 - cosine).max())


def in_batches(run: Runner, images: Tensor) -> Tensor:
    """Run images in batches whose sizes go round, so that each size is tried."""
    rows, start, turn = [], 0, 0
    while start < len(images):
        size = BATCH_SIZES[turn % len(BATCH_SIZES)]
        rows.append(run(images[start : start + size]))
        start, turn = start + size, turn + 1
    return torch.cat(rows).float()


def _nearest(vectors: Tensor) -> Tensor:
    """Return the nearest other image of each, ``[N]``."""
    _, rows = nearest_neighbours(
        vectors, vectors, 1, normalize=False, exclude=torch.arange(len(vectors))
    )
    return rows[:, 0]


def _settled(expected: Tensor, found: Tensor, vectors: Tensor) -> Tensor:
    """Return the nearest ones found, but the expected one where both are as near up to rounding."""
    similarity = [(vectors * vectors[nearest]).sum(dim=1) for nearest in (expected, found)]
    return torch.where(similarity[0] - similarity[1] < ROUNDING, expected, found)


def _recall1(nearest: Tensor, labels: Tensor) -> float:
    return float((labels[nearest] == labels).double().mean())
