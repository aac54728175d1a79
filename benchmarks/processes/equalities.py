"""What must come out alike in one process and in several, each with its part of the batches.

A case trains a small model in float64 with the pieces a run is made of, three steps of momentum.
Alone it sees the whole batches. :func:`compare` says how far apart the two are.
"""

# Shape letters: B = images of all processes

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import torch
from timm.layers import BatchNormAct2d
from torch import Tensor, nn

from lookalike import losses as ours
from lookalike import processes
from lookalike.data.draws import Draws
from lookalike.data.samplers import RandomIdentitySampler
from lookalike.losses import WeightedSum
from lookalike.models.heads import ArcMargin, CircleMargin, CosMargin, SubCenterArcMargin
from lookalike.models.reference_batch_norm import reference_batch_norm
from lookalike.models.sharded import sharded_parameters
from lookalike.models.shared_batch_norm import share_statistics
from lookalike.optim import RowsInBackward, ScheduledOptimizer
from lookalike.retrieval import MeanAveragePrecision, RecallAtK, evaluate_retrieval
from lookalike.training.update import Update
from lookalike.types import Batch, EmbeddingTable

BATCH, CLASSES, SIZE, STEPS = 24, 12, 8, 3

Found = dict[str, tuple[str, Tensor]]
"""Values by name; of each the way they are put together: all the same, by rows, or their mean."""


@dataclass(frozen=True)
class Case:
    """A quantity to compare.

    Attributes:
        losses: By name.
        gathers: Those that see the images of all.
        head: Makes the head; it takes ``sharded`` and ``chunk_size``.
        sharded: Deal the classes.
        chunked: Keep the logits in parts.
        in_backward: Step the head within the backward pass.
        norm: Makes a batch norm; None has none.
        accumulate: Batches of a step.
    """

    losses: dict[str, Callable[[], nn.Module]]
    gathers: tuple[str, ...] = ()
    head: Callable[..., nn.Module] = field(default=lambda **more: ArcMargin(SIZE, CLASSES, **more))
    sharded: bool = False
    chunked: bool = False
    in_backward: bool = False
    norm: Callable[[], nn.Module] | None = None
    accumulate: int = 1


def _gathered(make: Callable[[], nn.Module]) -> Case:
    return Case({"pairs": make}, gathers=("pairs",))


def _reference(norm: nn.Module) -> Callable[[], nn.Module]:
    return lambda: reference_batch_norm(copy.deepcopy(norm))


_CE = {"CE": lambda: ours.CrossEntropy()}
_SMOOTHED = {"CE": lambda: ours.CrossEntropy(label_smoothing=0.1)}

CASES: dict[str, Case] = {
    "CELoss": Case(_CE),
    "CELoss, gather": Case(_CE, gathers=("CE",)),
    "SupConLoss, gather": _gathered(lambda: ours.SupCon()),
    "TripletLossV2, gather": _gathered(lambda: ours.TripletLossV2()),
    "CircleLoss, gather": _gathered(lambda: ours.CircleLoss(margin=0.25, gamma=32)),
    "MultiSimilarityLoss, gather": _gathered(lambda: ours.MultiSimilarityLoss()),
    "ContrastiveLoss, gather": _gathered(lambda: ours.ContrastiveLoss(margin=0.5)),
    "ContrastiveLossXBM, memory": _gathered(lambda: ours.ContrastiveLossXBM(40, 0.5, 1, 0.5, SIZE)),
    "CenterLoss, centres": Case({"centres": lambda: ours.CenterLoss(CLASSES, SIZE)}),
    "CenterLoss, gather": _gathered(lambda: ours.CenterLoss(CLASSES, SIZE)),
    "batch norm, shared": Case(_CE, norm=lambda: nn.BatchNorm2d(4)),
    "batch norm, shared, reference update": Case(_CE, norm=_reference(nn.BatchNorm2d(4))),
    "batch norm, shared, timm's with activation": Case(_CE, norm=lambda: BatchNormAct2d(4)),
    "3 batches a step": Case(_CE, accumulate=3),
    "sharded ArcMargin": Case(_CE, sharded=True),
    "sharded CosMargin": Case(
        _CE, head=lambda **more: CosMargin(SIZE, CLASSES, 0.3, 16.0, **more), sharded=True
    ),
    "sharded CircleMargin": Case(
        _CE, head=lambda **more: CircleMargin(SIZE, CLASSES, 0.25, 16.0, **more), sharded=True
    ),
    "sharded SubCenterArcMargin": Case(
        _CE, head=lambda **more: SubCenterArcMargin(SIZE, CLASSES, 3, **more), sharded=True
    ),
    "sharded, smoothed, chunked": Case(_SMOOTHED, sharded=True, chunked=True),
    "sharded, 3 batches a step": Case(_CE, sharded=True, accumulate=3),
    "sharded, steps within backward": Case(_CE, sharded=True, chunked=True, in_backward=True),
    "sharded with SupConLoss, gather, shared norm": Case(
        {**_CE, "pairs": lambda: ours.SupCon()},
        gathers=("pairs",),
        sharded=True,
        norm=lambda: nn.BatchNorm2d(4),
    ),
}


class Small(nn.Module):
    """A convolution, perhaps a norm, an embedding and a head.

    Args:
        head: Of it.
        norm: Behind the convolution.
    """

    def __init__(self, head: nn.Module, norm: nn.Module | None) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, 4, 3), norm or nn.Identity()
        self.embedding, self.head = nn.Linear(16, SIZE), head

    def forward(self, images: Tensor, labels: Tensor | None = None) -> dict[str, Any]:
        features = self.embedding(self.norm(self.convolution(images)).flatten(1))
        return {"features": features, "logits": self.head(features, labels)}


def update_of(case: Case) -> Update:
    """Return model, losses and optimiser of a case, alike in every process."""
    torch.manual_seed(5)
    more = {"sharded": case.sharded, "chunk_size": 5 if case.chunked else None}
    model = Small(case.head(**more), None if case.norm is None else case.norm()).double()
    loss = WeightedSum(
        {name: make() for name, make in case.losses.items()},
        [1.0 / number for number in range(1, len(case.losses) + 1)],
        case.gathers,
    ).double()
    if processes.count() > 1:
        share_statistics(model)
    learning = [*model.parameters(), *loss.parameters()]
    sgd = torch.optim.SGD(learning, lr=0.05, momentum=0.9, weight_decay=1e-3)
    scheduled = ScheduledOptimizer(sgd, lambda step: 0.05)
    if case.in_backward:
        model.head.update = RowsInBackward(scheduled, model.head.weight)
    update = Update(model, loss, [scheduled], accumulate=case.accumulate)
    update.train()
    return update


def batches(number: int) -> list[Batch]:
    """Return this process's part of so many batches."""
    stream = torch.Generator().manual_seed(3)
    size = BATCH // processes.count()
    own = slice(processes.rank() * size, (processes.rank() + 1) * size)
    found = []
    for _ in range(number):
        images = torch.randn(BATCH, 3, 4, 4, generator=stream, dtype=torch.float64)
        labels = torch.arange(BATCH) // 2 % CLASSES
        found.append(Batch(images[own], labels[own], None, torch.arange(BATCH)[own]))
    return found


def measure(name: str) -> Found:
    """Train a case; return losses, first gradients and features, and what is learnt in the end."""
    case, found = CASES[name], Found()
    update = update_of(case)
    own = {f"model.{key}" for key in sharded_parameters(update.model)}
    for iteration, batch in enumerate(batches(STEPS * case.accumulate)):
        output, terms = update.gradients(batch, iteration)
        found[f"loss {iteration}"] = ("mean", terms["loss"].detach())
        if iteration == 0:
            found["features"] = ("rows", output["features"].detach())
        if iteration == case.accumulate - 1:
            for key, parameter in _parameters(update):
                if parameter.grad is not None:
                    kind = "rows" if key in own else "same"
                    found[f"gradient of {key}"] = (kind, parameter.grad.detach().clone())
        update.apply(iteration)
    for part, module in (("model", update.model), ("loss", update.loss)):
        for key, tensor in module.state_dict().items():
            kind = "rows" if f"{part}.{key}" in own else "same"
            found[f"{part}.{key}"] = (kind, tensor.clone())
    return found


def evaluated() -> Found:
    """Rank a table of embeddings, of which every process has made every so many-th row."""
    stream = torch.Generator().manual_seed(3)
    embeddings = torch.randn(300, 16, generator=stream)
    own = torch.arange(300)[processes.rank() :: processes.count()]
    order, rows = processes.rows_of_all(own), processes.rows_of_all(embeddings[own])
    table = EmbeddingTable(
        embeddings=rows[order.argsort()],
        labels=torch.arange(300) % 40,
        ids=[str(number) for number in range(300)],
        cameras=None,
    )
    found = evaluate_retrieval(table, table, [MeanAveragePrecision(), RecallAtK([1, 5])])
    values = torch.tensor(list(found.values.values()), dtype=torch.float64)
    return {"value": ("same", values[0]), "all": ("same", values)}


def drawn() -> Found:
    """Draw the batches of an identity sampler with the seeds of their augmentations."""
    labels = [number // 5 for number in range(300)]
    sampler = RandomIdentitySampler(labels, batch_size=BATCH, images_per_label=2, seed=3)
    draws = Draws(sampler, 7, share=(processes.rank(), processes.count()))
    found = {
        f"batch {number}": ("rows", torch.tensor(batch))
        for number, batch in enumerate(islice(draws, 20))
    }
    return {"value": ("same", torch.tensor(len(sampler))), **found}


OTHERS = {"evaluation: mAP, Recall@1 and @5": evaluated, "images and seeds of 20 batches": drawn}


def _parameters(update: Update) -> list[tuple[str, nn.Parameter]]:
    pairs = [(f"model.{key}", value) for key, value in update.model.named_parameters()]
    return pairs + [(f"loss.{key}", value) for key, value in update.loss.named_parameters()]


def compare(alone: Found, several: list[Found]) -> float:
    """Return the largest difference of any number of any process from what one process has."""
    largest = 0.0
    for key, (_, expected) in alone.items():
        kind, values = several[0][key][0], [one[key][1] for one in several]
        if kind == "rows":
            values = [torch.cat(values)]
        elif kind == "mean":
            values = [torch.stack(values).mean(0)]
        for value in values:
            largest = max(largest, float((value.double() - expected.double()).abs().max()))
    return largest
