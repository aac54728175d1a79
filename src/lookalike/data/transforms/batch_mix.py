"""Mixtures of the images of a batch, with targets mixed alike.

The targets are soft ``[B, C]``, so they suit classification losses; margins and metric losses need
one label per image.
"""

# Shape letters: B = batch, C = classes

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

Mixed = tuple[Tensor, Tensor]
Mixture = Callable[[Tensor, Tensor], Mixed]
"""Images ``[B, 3, H, W]`` and labels ``[B]`` to images and targets ``[B, C]``."""


class _TwoByTwo(ABC):
    """Mix every image with another one of the batch, all in the same way."""

    def __init__(self, num_classes: int, alpha: float) -> None:
        if alpha <= 0.0:
            raise ValueError(f"alpha must be above 0, got {alpha}.")
        self.num_classes, self.alpha = num_classes, alpha

    def __call__(self, images: Tensor, labels: Tensor) -> Mixed:
        weight = random.betavariate(self.alpha, self.alpha)
        other = torch.randperm(len(images))
        mixed, weight = self.mix(images, images[other], weight)
        targets = one_hot(labels, self.num_classes)
        return mixed, weight * targets + (1.0 - weight) * targets[other]

    @abstractmethod
    def mix(self, images: Tensor, others: Tensor, weight: float) -> tuple[Tensor, float]:
        """Return mixed images and the weight of the first ones in them."""


class Mixup(_TwoByTwo):
    """Blend every image with another one of the batch.

    Equation: ``x' = w x_i + (1 - w) x_j``, ``y' = w y_i + (1 - w) y_j`` with one w of
    ``Beta(alpha, alpha)`` for the batch.

    Source: Zhang et al., "mixup", ICLR 2018. https://arxiv.org/abs/1710.09412

    Args:
        num_classes: C.
        alpha: Small values leave most images nearly pure.

    Example:
        >>> Mixup(num_classes=5)(torch.rand(4, 3, 2, 2), torch.arange(4))[1].sum(dim=1)
        tensor([1., 1., 1., 1.])
    """

    def __init__(self, num_classes: int, alpha: float = 1.0) -> None:
        super().__init__(num_classes, alpha)

    def mix(self, images: Tensor, others: Tensor, weight: float) -> tuple[Tensor, float]:
        """Return the blend."""
        return weight * images + (1.0 - weight) * others, weight


class CutMix(_TwoByTwo):
    """Replace one rectangle of every image by that of another one.

    A target's weight is the share of the pixels that stayed.

    Source: Yun et al., "CutMix", ICCV 2019. https://arxiv.org/abs/1905.04899

    Args:
        num_classes: C.
        alpha: Of the distribution ``Beta(alpha, alpha)`` of the share that stays.

    Example:
        >>> CutMix(num_classes=5)(torch.rand(4, 3, 8, 8), torch.arange(4))[0].shape
        torch.Size([4, 3, 8, 8])
    """

    def __init__(self, num_classes: int, alpha: float = 0.2) -> None:
        super().__init__(num_classes, alpha)

    def mix(self, images: Tensor, others: Tensor, weight: float) -> tuple[Tensor, float]:
        """Return the patched images and the share of pixels that stayed."""
        height, width = images.shape[-2:]
        edge = (1.0 - weight) ** 0.5
        half_height, half_width = int(height * edge) // 2, int(width * edge) // 2
        y, x = random.randrange(height), random.randrange(width)
        top, bottom = max(0, y - half_height), min(height, y + half_height)
        left, right = max(0, x - half_width), min(width, x + half_width)
        mixed = images.clone()
        mixed[:, :, top:bottom, left:right] = others[:, :, top:bottom, left:right]
        return mixed, 1.0 - (bottom - top) * (right - left) / (height * width)


class FMix(_TwoByTwo):
    """Replace a region of natural shape of every image by that of another one.

    The region is where smooth noise, with a spectrum that falls as ``1 / f ** decay_power``, is
    lowest.

    Source: Harris et al., "FMix", 2020. https://arxiv.org/abs/2002.12047

    Args:
        num_classes: C.
        alpha: Of the distribution ``Beta(alpha, alpha)`` of the share that stays.
        decay_power: Higher makes smoother regions.

    Example:
        >>> FMix(num_classes=5)(torch.rand(4, 3, 8, 8), torch.arange(4))[0].shape
        torch.Size([4, 3, 8, 8])
    """

    def __init__(self, num_classes: int, alpha: float = 1.0, decay_power: float = 3.0) -> None:
        super().__init__(num_classes, alpha)
        self.decay_power = decay_power

    def mix(self, images: Tensor, others: Tensor, weight: float) -> tuple[Tensor, float]:
        """Return the patched images and the share of pixels that stayed."""
        height, width = images.shape[-2:]
        down, across = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None, :]
        frequency = (down**2 + across**2).sqrt().clamp(min=1.0 / max(height, width))
        spectrum = torch.randn(*frequency.shape, dtype=torch.complex64)
        smooth = spectrum / frequency**self.decay_power
        noise = torch.fft.irfft2(smooth, s=(height, width)).flatten()
        stays = torch.zeros(height * width, dtype=torch.bool)
        stays[noise.argsort(descending=True)[: round(weight * height * width)]] = True
        mixed = torch.where(stays.view(height, width), images, others)
        return mixed, float(stays.float().mean())


class MixupOrCutMix:
    """Blend images or replace rectangles, for the batch or each image anew; timm's.

    Args:
        num_classes: C.
        mixup_alpha: Of the blends' weights; 0 never blends.
        cutmix_alpha: Of the rectangles' shares; 0 never cuts.
        cutmix_minmax: Bounds of a rectangle's sides as shares of the image's, in place of
            ``cutmix_alpha``.
        prob: Chance that a batch (or an image) is mixed at all.
        switch_prob: Chance of a rectangle where both are possible.
        mode: ``batch``, ``pair`` or ``elem``: what is drawn anew.
        correct_lam: Count the pixels of a rectangle that leaves the image.
        label_smoothing: Share of the target spread over all classes.

    Example:
        >>> mix = MixupOrCutMix(num_classes=5, label_smoothing=0.0)
        >>> mix(torch.rand(4, 3, 8, 8), torch.arange(4))[1].sum(dim=1)
        tensor([1., 1., 1., 1.])
    """

    def __init__(
        self,
        num_classes: int,
        mixup_alpha: float = 1.0,
        cutmix_alpha: float = 0.0,
        cutmix_minmax: Sequence[float] | None = None,
        prob: float = 1.0,
        switch_prob: float = 0.5,
        mode: Literal["batch", "pair", "elem"] = "batch",
        correct_lam: bool = True,
        label_smoothing: float = 0.1,
    ) -> None:
        if max(mixup_alpha, cutmix_alpha) <= 0.0 and cutmix_minmax is None:
            raise ValueError("mixup_alpha or cutmix_alpha must be above 0.")
        self.num_classes = num_classes
        self.settings = {
            "mixup_alpha": mixup_alpha,
            "cutmix_alpha": cutmix_alpha,
            "cutmix_minmax": cutmix_minmax,
            "prob": prob,
            "switch_prob": switch_prob,
            "mode": mode,
            "correct_lam": correct_lam,
            "label_smoothing": label_smoothing,
        }

    def __call__(self, images: Tensor, labels: Tensor) -> Mixed:
        from timm.data.mixup import Mixup as TimmMixup

        if len(images) % 2:
            raise ValueError(f"images are mixed in pairs; the batch has {len(images)}.")
        make: Callable[..., Any] = TimmMixup
        mix = make(num_classes=self.num_classes, **self.settings)
        mixed, targets = mix(images.clone(), labels.view(-1))
        return mixed, targets


class MixOneOf:
    """Apply one mixture drawn by its probability; what is missing to 1 leaves the batch unmixed.

    Args:
        num_classes: C.
        mixtures: Mixtures with their probabilities.

    Raises:
        ValueError: If the probabilities exceed 1.

    Example:
        >>> mix = MixOneOf(num_classes=5, mixtures=[(Mixup(5), 0.5), (CutMix(5), 0.5)])
        >>> mix(torch.rand(4, 3, 8, 8), torch.arange(4))[1].shape
        torch.Size([4, 5])
    """

    def __init__(self, num_classes: int, mixtures: Sequence[tuple[Mixture, float]]) -> None:
        shares = [share for _, share in mixtures]
        if sum(shares) > 1.0 + 1e-9 or min(shares, default=0.0) < 0.0:
            raise ValueError(
                f"probabilities must be in 0 to 1 and sum to at most 1, got {sum(shares)}."
            )
        self.num_classes, self.mixtures = num_classes, list(mixtures)

    def __call__(self, images: Tensor, labels: Tensor) -> Mixed:
        draw = random.random()
        for mixture, share in self.mixtures:
            draw -= share
            if draw < 0.0:
                return mixture(images, labels)
        return images, one_hot(labels, self.num_classes)


def one_hot(labels: Tensor, num_classes: int) -> Tensor:
    """Return targets ``[B, C]`` float32 of labels ``[B]`` or ``[B, 1]``."""
    return functional.one_hot(labels.view(-1), num_classes).float()
