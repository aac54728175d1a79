"""Batches of P labels with K images each, drawn independently."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from lookalike.data.samplers.label_draws import WeightedLabels
from lookalike.data.samplers.label_groups import uniforms_of
from lookalike.data.samplers.planned import IdentitySampler


class PKSampler(IdentitySampler):
    """Draw P distinct labels for each batch, then K images of each.

    Batches are independent draws: an epoch has as many as the data has images for, but is no
    partition of the data. The images of one label stand next to each other.

    Source: Hermans et al., "In Defense of the Triplet Loss", 2017, section 2.
    https://arxiv.org/abs/1703.07737

    Args:
        labels: One per image; ``labels[i]`` belongs to ``dataset[i]``.
        batch_size: P * K.
        images_per_label: K; a label with fewer images repeats some.
        drop_last: Round the number of batches down instead of up.
        sample_method: ``sample_avg_prob`` draws a label in proportion to its images,
            ``id_avg_prob`` draws all labels alike.
        id_list: Ranges ``[first, last, first, last, ...]`` of labels, counted in the order in
            which they first appear in the list.
        ratio: One factor on the chance of the labels of each range; where ranges overlap, the
            first one's.
        seed: Start of the random stream. The same (seed, epoch) gives the same batches.

    Raises:
        ValueError: If K does not divide batch_size, there are fewer than P labels, or ranges and
            factors do not fit.

    Example:
        >>> sampler = PKSampler([0, 0, 1, 1, 2, 2], batch_size=4, images_per_label=2)
        >>> [len(batch) for batch in sampler]
        [4]
    """

    def __init__(
        self,
        labels: Sequence[int],
        *,
        batch_size: int,
        images_per_label: int,
        drop_last: bool = True,
        sample_method: Literal["sample_avg_prob", "id_avg_prob"] = "sample_avg_prob",
        id_list: Sequence[int] | None = None,
        ratio: Sequence[float] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(labels, batch_size, images_per_label, drop_last, seed)
        self.weights = self.groups.sizes.astype(np.float64)
        if sample_method == "id_avg_prob":
            self.weights = np.ones(len(self.groups))
        self._favour(list(id_list or ()), list(ratio or ()))

    def _favour(self, id_list: list[int], ratio: list[float]) -> None:
        if len(id_list) != 2 * len(ratio) or min(ratio, default=1.0) <= 0.0:
            raise ValueError(
                f"id_list must give a first and a last label for each positive ratio, got "
                f"{id_list} and {ratio}."
            )
        free = np.ones(len(self.groups), dtype=bool)
        for number, factor in enumerate(ratio):
            first, last = id_list[2 * number : 2 * number + 2]
            inside = (self.groups.first_seen >= first) & (self.groups.first_seen <= last)
            self.weights[inside & free] *= factor
            free &= ~inside

    def plan(self, epoch: int) -> Iterator[list[int]]:
        """Yield the batches of an epoch."""
        uniforms = uniforms_of(np.random.default_rng([self.seed, epoch]))
        labels = WeightedLabels(self.weights)
        for _ in range(len(self)):
            drawn = labels.draw(uniforms, self.labels_per_batch)
            yield self.groups.draw_images(uniforms, drawn, self.images_per_label)
