"""Filters that matter least taken out of a backbone before it is trained on."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from lookalike.errors import ConfigError, SetupError
from lookalike.models.embedding_model import EmbeddingModel
from lookalike.models.evaluating import evaluating


class _Embedder(nn.Module):
    """The part of a model that is pruned: the head keeps the embedding's width."""

    def __init__(self, model: EmbeddingModel) -> None:
        super().__init__()
        self.backbone, self.neck = model.backbone, model.neck

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.backbone(images)
        return features if self.neck is None else self.neck(features)


def prune_filters(
    model: EmbeddingModel,
    *,
    ratio: float,
    criterion: Literal["fpgm", "l1_norm"] = "fpgm",
    image_shape: Sequence[int] = (3, 224, 224),
) -> int:
    """Remove the same share of filters from every convolution of the backbone, in place.

    Filters that other layers add to or multiply with go together. The neck loses inputs, never
    outputs, so the embedding keeps its width.

    Source: He et al., "Filter Pruning via Geometric Median", CVPR 2019 (``fpgm``,
    https://arxiv.org/abs/1811.00250); Li et al., "Pruning Filters for Efficient ConvNets",
    ICLR 2017 (``l1_norm``, https://arxiv.org/abs/1608.08710). Through torch-pruning.

    Args:
        model: Changed.
        ratio: Share of the filters, in (0, 1).
        criterion: Which filters matter least: the most replaceable, or the smallest.
        image_shape: ``[3, H, W]`` of the pass in which the dependencies are traced.

    Returns:
        How many parameters are left.

    Raises:
        ConfigError: If the embedding would change its width: the model needs a neck with weights.
        SetupError: If torch-pruning is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import torch_pruning
    except ImportError as error:
        raise SetupError("Slim.prune needs a package: pip install 'lookalike[slim]'.") from error
    importance = {
        "fpgm": torch_pruning.importance.FPGMImportance,
        "l1_norm": lambda: torch_pruning.importance.MagnitudeImportance(p=1),
    }[criterion]()
    embedder, images = _Embedder(model), torch.zeros(1, *image_shape)
    layers = (nn.Conv2d, nn.Linear)
    kept = [m for m in model.neck.modules() if isinstance(m, layers)] if model.neck else []
    with evaluating(model), evaluating(embedder):
        width = embedder(images).flatten(1).shape[1]
    was_training = model.training
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch_pruning.pruner.BasePruner(
                embedder.eval(),
                images,
                importance=importance,
                pruning_ratio=ratio,
                ignored_layers=kept,
            ).step()
        with evaluating(embedder):
            left = embedder(images).flatten(1).shape[1]
    except (RuntimeError, ValueError, IndexError, AttributeError, KeyError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0][:160]
        raise ConfigError(f"Slim.prune does not know this backbone's layers: {reason}") from error
    finally:
        model.train(was_training)
    if left != width:
        raise ConfigError(
            f"Slim.prune would shrink the embedding from {width} to {left} numbers: the model has "
            "no neck with weights of its own behind the backbone. Add one, such as FC."
        )
    return sum(parameter.numel() for parameter in model.parameters())
