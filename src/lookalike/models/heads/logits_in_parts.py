"""Cross-entropy over so many classes that their logits are never held together.

Let ``z_c`` be the logits of the classes, ``y`` the true one. The loss needs ``log sum exp z_c``,
which is gathered chunk by chunk; its gradient needs every logit once more, so they are computed
again. Four matrix products instead of three, and ``[B, chunk]`` numbers instead of ``[B, C]``.

The gradient of a class weight w with cosines ``cos_b`` to the embeddings ``e_b``, and ``q_b`` the
loss's derivative by them, is ``sum_b q_b e_b / |w| - (sum_b q_b cos_b) w / |w|^2``: a product and
a multiple of w. So it can be added to a gradient or a momentum without being formed.

The classes may be dealt to processes. Each has its rows of the weight, and computes with them for
the images of all; of the logits only a sum, a maximum and the true class's go between processes.

Source: An et al., "Partial FC", CVPR 2022, section 3.2. https://arxiv.org/abs/2203.15565
"""

# Shape letters: B = batch, of all processes where classes are dealt, D = embedding dimension,
# C = classes, K = centres of a class, N = classes of a chunk

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from lookalike import processes
from lookalike.geometry import first_derivative_only, lengths

Rows = slice | Tensor
"""Which rows of a weight: consecutive ones, or their indices."""

RowUpdate = Callable[[Rows, Tensor, Tensor, Tensor], None]
"""Takes rows, left ``[B, rows]``, right ``[B, D]``, multiple ``[rows]``: the rows' gradient is
``left.T @ right + multiple * weight``; steps them at once."""


class Margin(Protocol):
    """How a head turns cosines into logits, before the scale."""

    scale: float

    def own(self, cosine: Tensor) -> Tensor:
        """Change the true class's cosines ``[B]``; differentiable."""
        ...

    def others(self, cosine: Tensor) -> Tensor:
        """Change the other classes' cosines ``[B, N]``."""
        ...

    def slope(self, cosine: Tensor) -> Tensor | float:
        """Return the derivative of ``others``."""
        ...


@dataclass
class LogitsInParts:
    """The logits of a batch, as what they can be computed from.

    Attributes:
        embeddings: ``[B, D]`` of length one.
        weight: ``[C * K, D]``, any lengths.
        labels: ``[B]``, places among the classes that take part; outside of them where the class
            is another process's.
        margin: The head's rule.
        num_centers: K; the nearest centre of a class counts.
        chunk_size: Classes whose logits are held at once.
        classes: ``[S]`` rising, the classes that take part; None is all.
        update: Steps the weight within the backward pass; None leaves its gradient.
        dealt: The classes here are some of all, and the images are those of all processes; losses
            are returned of this process's.
        ranks: ``[B]`` once the loss is computed: how many classes have a larger logit than the
            true one.
    """

    embeddings: Tensor
    weight: Tensor
    labels: Tensor
    margin: Margin
    num_centers: int = 1
    chunk_size: int = 1000
    classes: Tensor | None = None
    update: RowUpdate | None = None
    dealt: bool = False
    ranks: Tensor | None = field(default=None, init=False)

    def cross_entropy(self, label_smoothing: float = 0.0) -> Tensor:
        """Return the cross-entropy of each image ``[B]``.

        Args:
            label_smoothing: Share of the target spread evenly over all classes that take part.
        """
        with torch.autocast(self.embeddings.device.type, enabled=False):
            loss: Tensor = _CrossEntropy.apply(self.embeddings, self.weight, self, label_smoothing)
        assert self.ranks is not None
        self.ranks = self.ranks[self.own_images]
        return loss[self.own_images]

    @property
    def num_classes(self) -> int:
        """How many classes take part."""
        if self.classes is not None:
            return len(self.classes)
        return len(self.weight) // self.num_centers

    @property
    def own_images(self) -> slice:
        """Which images are this process's."""
        if not self.dealt:
            return slice(None)
        number = len(self.embeddings) // processes.count()
        return slice(processes.rank() * number, (processes.rank() + 1) * number)

    def add_up(self, values: Tensor) -> Tensor:
        """Turn ``values`` into their sum over the processes that have the classes, in place."""
        return processes.add_up(values) if self.dealt else values

    def chunks(self, inverse: Tensor | None = None) -> Iterator[_Chunk]:
        """Yield the classes, some at a time.

        Args:
            inverse: One over the length of each row of the chunks, one chunk after the other, if
                known.
        """
        centers = self.num_centers
        for start in range(0, self.num_classes, self.chunk_size):
            stop = min(start + self.chunk_size, self.num_classes)
            rows: Rows = slice(start * centers, stop * centers)
            if self.classes is not None:
                first = self.classes[start:stop, None] * centers
                rows = (first + torch.arange(centers, device=first.device)).flatten()
            known = None if inverse is None else inverse[start * centers : stop * centers]
            yield _Chunk(self, start, stop, rows, known)

    def true_cosine(self, weight: Tensor) -> Tensor:
        """Return the cosine of each image with its own class ``[B]``."""
        here = (self.labels >= 0) & (self.labels < self.num_classes)
        classes = self.labels.where(here, 0)
        if self.classes is not None:
            classes = self.classes[classes]
        own = weight.view(-1, self.num_centers, weight.shape[1])[classes]
        cosine = torch.einsum("bd,bkd->bk", self.embeddings.detach(), own)
        return self.add_up((cosine * (1.0 / lengths(own))).amax(dim=1).where(here, 0.0))


class _Chunk:
    """Some classes: their weights, cosines, and where the true classes are among them."""

    def __init__(
        self, parts: LogitsInParts, start: int, stop: int, rows: Rows, inverse: Tensor | None
    ) -> None:
        self.parts, self.rows, self.size = parts, rows, stop - start
        weight = parts.weight.detach()
        self.weight = weight[rows] if isinstance(rows, slice) else weight.index_select(0, rows)
        self.inverse = 1.0 / lengths(self.weight) if inverse is None else inverse
        place = parts.labels - start
        self.inside = (place >= 0) & (place < self.size)
        self.place = place.clamp(0, self.size - 1)[:, None]
        self.nearest: Tensor | None = None

    def cosines(self, embeddings: Tensor) -> Tensor:
        """Return the cosines of the nearest centres ``[B, N]``."""
        cosine = (embeddings @ self.weight.T).mul_(self.inverse)
        if self.parts.num_centers == 1:
            return cosine
        best = cosine.view(-1, self.size, self.parts.num_centers).max(dim=2)
        self.nearest = best.indices
        return best.values

    def put(self, values: Tensor, own: Tensor) -> None:
        """Write ``own`` ``[B]`` where the true classes are in this chunk."""
        here = torch.where(self.inside, own, values.gather(1, self.place).squeeze(1))
        values.scatter_(1, self.place, here[:, None])

    def by_row(self, values: Tensor) -> Tensor:
        """Give values of classes ``[B, N]`` to their nearest centres ``[B, N * K]``."""
        if self.nearest is None:
            return values
        spread = values.new_zeros(*values.shape, self.parts.num_centers)
        return spread.scatter_(2, self.nearest[:, :, None], values[:, :, None]).flatten(1)


class _CrossEntropy(torch.autograd.Function):
    """The loss of every image, and its gradients, without the logits of all classes."""

    @staticmethod
    def forward(
        ctx: Any, embeddings: Tensor, weight: Tensor, parts: LogitsInParts, smoothing: float
    ) -> Tensor:
        margin, own = parts.margin, parts.true_cosine(weight.detach())
        with torch.enable_grad():
            own.requires_grad_()
            changed = margin.own(own)
            (slope,) = torch.autograd.grad(changed.sum(), own)
        changed = changed.detach()
        target = margin.scale * changed
        # the running log-sum-exp begins with the true class, which is counted once
        counted = float(not parts.dealt or processes.rank() == 0)
        highest, total = target.clone(), torch.full_like(target, counted)
        plain = target * counted
        above = torch.zeros_like(target)
        nothing, inverses = torch.zeros_like(target), []
        for chunk in parts.chunks():
            logits = margin.others(chunk.cosines(embeddings))
            inverses.append(chunk.inverse)
            if smoothing:
                chunk.put(logits, nothing)
                plain += logits.sum(dim=1) * margin.scale
            chunk.put(logits, nothing - torch.inf)
            # a comparison that writes numbers costs a sixth of one whose truth values are counted
            buffer = torch.empty_like(logits)
            above += torch.gt(logits, changed[:, None], out=buffer).sum(dim=1)
            new = torch.maximum(highest, logits.amax(dim=1) * margin.scale)
            total *= (highest - new).exp()
            torch.add(-new[:, None], logits, alpha=margin.scale, out=buffer)
            total += buffer.exp_().sum(dim=1)
            highest = new
        if parts.dealt:
            new = processes.take_largest(highest.clone())
            above, plain, total = parts.add_up(
                torch.stack([above, plain, total * (highest - new).exp()])
            )
            highest = new
        log_total = highest + total.log()
        ctx.save_for_backward(embeddings, weight, target, slope, log_total, torch.cat(inverses))
        ctx.parts, ctx.smoothing, parts.ranks = parts, smoothing, above.long()
        uniform = ctx.uniform = smoothing / float(
            parts.add_up(target.new_tensor(parts.num_classes))
        )
        return log_total - (1.0 - smoothing) * target - uniform * plain

    @staticmethod
    @first_derivative_only
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        embeddings, weight, target, slope, log_total, inverse = ctx.saved_tensors
        parts: LogitsInParts = ctx.parts
        margin, uniform = parts.margin, ctx.uniform
        own = ((target - log_total).exp() - (1.0 - ctx.smoothing) - uniform) * slope
        # every process knows the gradients of its own images
        factor = parts.add_up(gradients[0] * margin.scale)
        # replicated weights get the mean of the processes' gradients; so does this one
        shared = factor / processes.count() if parts.dealt else factor
        right = embeddings * shared[:, None]
        by_embeddings = torch.zeros_like(embeddings)
        by_weight = None
        if parts.update is None and ctx.needs_input_grad[1]:
            by_weight = torch.zeros_like(weight)
        for chunk in parts.chunks(inverse):
            cosine = chunk.cosines(embeddings)
            logits = margin.others(cosine)
            changed = margin.slope(cosine)
            by_cosine = torch.add(-log_total[:, None], logits, alpha=margin.scale).exp_()
            if uniform:
                by_cosine -= uniform
            if isinstance(changed, Tensor):
                by_cosine *= changed
            chunk.put(by_cosine, own)
            along = shared @ chunk.by_row(cosine.mul_(by_cosine))
            left = chunk.by_row(by_cosine).mul_(chunk.inverse)
            by_embeddings.addmm_(left, chunk.weight)
            multiple = -along * chunk.inverse.square()
            if parts.update is not None:
                parts.update(chunk.rows, left, right, multiple)
            elif by_weight is not None:
                step = torch.addmm(multiple[:, None] * chunk.weight, left.T, right)
                by_weight[chunk.rows] = step
        return by_embeddings.mul_(factor[:, None]), by_weight, None, None
