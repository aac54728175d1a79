"""timm's automatic augmentation policies by their strings."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Literal

from PIL import Image, ImageOps

from lookalike.data.transforms.image_kinds import PIL_RULES, PILInterpolation, through_pil
from lookalike.data.transforms.normalize import IMAGENET_MEAN


class TimmAutoAugment:
    """Apply a policy of timm: RandAugment, AugMix or AutoAugment.

    Source: https://huggingface.co/docs/timm/training_script, and Cubuk et al., "RandAugment",
    2020. https://arxiv.org/abs/1909.13719

    Args:
        policy: ``rand-m9-mstd0.5-inc1`` is RandAugment of magnitude 9 with noise of 0.5 on it and
            strength that grows with magnitude; ``augmix-m5-w4-d2``, ``original-mstd0.5``, ``v0``.
        probability: Share of images that are changed.
        interpolation: Pillow's filter; ``random`` draws bilinear or bicubic.
        image_size: Shifts are at most 0.45 of the shorter one of these sides, in pixels.
        mean: Colour of the parts that become empty, per channel in 0 to 1.

    Raises:
        ValueError: If timm does not know the policy.
    """

    def __init__(
        self,
        policy: str = "rand-m9-mstd0.5-inc1",
        probability: float = 1.0,
        interpolation: PILInterpolation | Literal["random"] = "bicubic",
        image_size: int | Sequence[int] = 224,
        mean: Sequence[float] = IMAGENET_MEAN,
    ) -> None:
        shorter = image_size if isinstance(image_size, int) else min(image_size)
        settings: dict[str, Any] = {
            "translate_const": int(shorter * 0.45),
            "img_mean": tuple(min(255, round(255 * value)) for value in mean),
        }
        if interpolation != "random":
            settings["interpolation"] = PIL_RULES[interpolation]
        self.policy, self.probability = policy, probability
        self.augment = _policy(policy, settings)

    def __call__(self, image: Any) -> Any:
        if random.random() >= self.probability:
            return image
        return through_pil(image, self.augment, "TimmAutoAugment")


def _policy(policy: str, settings: dict[str, Any]) -> Any:
    # timm imports all of its models, which takes a second
    from timm.data import auto_augment as timm

    try:
        if policy.startswith("rand"):
            made = timm.rand_augment_transform(policy, settings)
        elif policy.startswith("augmix"):
            made = timm.augment_and_mix_transform(policy, settings | {"translate_pct": 0.3})
        else:
            made = timm.auto_augment_transform(policy, settings)
    except (AssertionError, ValueError, KeyError) as error:
        raise ValueError(
            f"timm has no policy {policy!r} ({error}); write one like 'rand-m9-mstd0.5-inc1', "
            "'augmix-m5' or 'original-mstd0.5'."
        ) from error
    steps = getattr(made, "ops", None) or [step for pair in made.policy for step in pair]
    for step in steps:
        if step.aug_fn is timm.posterize:
            step.aug_fn = _posterize
    return made


def _posterize(image: Image.Image, bits: int, **_: Any) -> Image.Image:
    """Keep the highest bits of each value; Pillow refuses to keep none, timm may ask for that."""
    if bits >= 8:
        return image
    return ImageOps.posterize(image, bits) if bits > 0 else Image.new(image.mode, image.size)
