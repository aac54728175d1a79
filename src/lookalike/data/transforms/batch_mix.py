"""Mixtures of the images of a batch, with targets mixed alike.

The targets are soft ``[B, C]``, so they suit classification losses; margins and metric losses need
one label per image.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

Mixed = tuple[Tensor, Tensor]


def mixup(images: Tensor, labels: Tensor, *, num_classes: int, alpha: float = 1.0) -> Mixed:
    """Blend every image with another one of the batch.

    Equation: ``x' = w x_i + (1 - w) x_j``, ``y' = w y_i + (1 - w) y_j`` with one w of
    ``Beta(alpha, alpha)`` for the batch.

    Source: Zhang et al., "mixup", ICLR 2018. https://arxiv.org/abs/1710.09412

    Args:
        images: ``[B, 3, H, W]``.
        labels: ``[B]``.
        num_classes: C.
        alpha: Small values leave most images nearly pure.

    Returns:
        Images like those given, and targets ``[B, C]``.

    Example:
        >>> mixup(torch.rand(4, 3, 2, 2), torch.arange(4), num_classes=5)[1].sum(dim=1)
        tensor([1., 1., 1., 1.])
    """
    weight, other = _weight(alpha), torch.randperm(len(images))
    mixed = weight * images + (1.0 - weight) * images[other]
    return mixed, _mixed_targets(labels, other, weight, num_classes)


def cutmix(images: Tensor, labels: Tensor, *, num_classes: int, alpha: float = 0.2) -> Mixed:
    """Replace one rectangle of every image by that of another one.

    A target's weight is the share of the pixels that stayed.

    Source: Yun et al., "CutMix", ICCV 2019. https://arxiv.org/abs/1905.04899

    Args:
        images: ``[B, 3, H, W]``.
        labels: ``[B]``.
        num_classes: C.
        alpha: Of the distribution ``Beta(alpha, alpha)`` of the share that stays.

    Returns:
        Images like those given, and targets ``[B, C]``.
    """
    weight, other = _weight(alpha), torch.randperm(len(images))
    height, width = images.shape[-2:]
    edge = (1.0 - weight) ** 0.5
    half_height, half_width = int(height * edge) // 2, int(width * edge) // 2
    y, x = random.randrange(height), random.randrange(width)
    top, bottom = max(0, y - half_height), min(height, y + half_height)
    left, right = max(0, x - half_width), min(width, x + half_width)
    mixed = images.clone()
    mixed[:, :, top:bottom, left:right] = images[other, :, top:bottom, left:right]
    weight = 1.0 - (bottom - top) * (right - left) / (height * width)
    return mixed, _mixed_targets(labels, other, weight, num_classes)


def fmix(
    images: Tensor,
    labels: Tensor,
    *,
    num_classes: int,
    alpha: float = 1.0,
    decay_power: float = 3.0,
) -> Mixed:
    """Replace a region of natural shape of every image by that of another one.

    The region is where smooth noise, with a spectrum that falls as ``1 / f ** decay_power``, is
    lowest.

    Source: Harris et al., "FMix", 2020. https://arxiv.org/abs/2002.12047

    Args:
        images: ``[B, 3, H, W]``.
        labels: ``[B]``.
        num_classes: C.
        alpha: Of the distribution ``Beta(alpha, alpha)`` of the share that stays.
        decay_power: Higher makes smoother regions.

    Returns:
        Images like those given, and targets ``[B, C]``.
    """
    weight, other = _weight(alpha), torch.randperm(len(images))
    height, width = images.shape[-2:]
    down, across = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None, :]
    frequency = (down**2 + across**2).sqrt().clamp(min=1.0 / max(height, width))
    spectrum = torch.randn(*frequency.shape, dtype=torch.complex64) / frequency**decay_power
    noise = torch.fft.irfft2(spectrum, s=(height, width)).flatten()
    stays = torch.zeros(height * width, dtype=torch.bool)
    stays[noise.argsort(descending=True)[: round(weight * height * width)]] = True
    mixed = torch.where(stays.view(height, width), images, images[other])
    return mixed, _mixed_targets(labels, other, float(stays.float().mean()), num_classes)


def one_of(
    images: Tensor,
    labels: Tensor,
    *,
    num_classes: int,
    mixers: Mapping[Callable[..., Mixed], float],
) -> Mixed:
    """Apply one mixture drawn by its probability; what is missing to 1 leaves the batch unmixed.

    Args:
        images: ``[B, 3, H, W]``.
        labels: ``[B]``.
        num_classes: C.
        mixers: Functions of (images, labels, num_classes) to probabilities.

    Raises:
        ValueError: If the probabilities exceed 1.
    """
    total = sum(mixers.values())
    if total > 1.0 + 1e-9 or min(mixers.values(), default=0.0) < 0.0:
        raise ValueError(f"probabilities must be in 0 to 1 and sum to at most 1, got {total}.")
    draw = random.random()
    for mixer, probability in mixers.items():
        draw -= probability
        if draw < 0.0:
            return mixer(images, labels, num_classes=num_classes)
    return images, functional.one_hot(labels.view(-1), num_classes).float()


def _weight(alpha: float) -> float:
    if alpha <= 0.0:
        raise ValueError(f"alpha must be above 0, got {alpha}.")
    return random.betavariate(alpha, alpha)


def _mixed_targets(labels: Tensor, other: Tensor, weight: float, num_classes: int) -> Tensor:
    targets = functional.one_hot(labels.view(-1), num_classes).float()
    return weight * targets + (1.0 - weight) * targets[other]
