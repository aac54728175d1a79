"""Backbone, neck and head as one model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from torch import Tensor, nn

from lookalike.models.sharded import Rows
from lookalike.types import ModelOutput


class EmbeddingModel(nn.Module):
    """Compute embeddings and, for training, logits.

    Args:
        backbone: ``[B, 3, H, W]`` to features ``[B, F]`` or ``[B, F, h, w]``.
        neck: Features to embeddings ``[B, D]``; without one the features are the embedding.
        head: ``(embeddings, labels)`` to logits ``[B, C]``.
        head_feature_from: What the head reads: the ``neck`` or the ``backbone``.

    Attributes:
        freeze_statistics: The backbone's batch norms do not move in training.
        frozen: The backbone does not learn at all; see :meth:`freeze_backbone`.
        sharded: Which rows of its parameters this process has; empty if it has all.
        own_rows: These rows, as an optimiser steps them.
        published: The configuration it was read with, if it was read from a folder.
        class_names: Names of the classes that its head was trained on, if the folder has them.

    Shape:
        - images: ``[B, 3, H, W]``.
        - labels: ``[B]``, needed by margin heads in training.
        - output: see :data:`lookalike.types.ModelOutput`.

    Example:
        >>> import torch
        >>> model = EmbeddingModel(nn.Flatten(), neck=nn.Linear(12, 4))
        >>> sorted(model(torch.zeros(2, 3, 2, 2)))
        ['backbone', 'features', 'neck']
    """

    def __init__(
        self,
        backbone: nn.Module,
        neck: nn.Module | None = None,
        head: nn.Module | None = None,
        *,
        head_feature_from: Literal["neck", "backbone"] = "neck",
    ) -> None:
        super().__init__()
        self.backbone, self.neck, self.head = backbone, neck, head
        self.head_feature_from = head_feature_from
        self.freeze_statistics = self.frozen = False
        self.sharded: dict[str, Rows] = {}
        self.own_rows: dict[str, nn.Parameter] = {}
        self.published: Mapping[str, Any] = {}
        self.class_names: Sequence[str] | None = None

    def freeze_backbone(self) -> None:
        """Let neck and head learn alone: the backbone computes what it would in an evaluation."""
        self.frozen = True
        self.backbone.requires_grad_(False)
        self.backbone.eval()

    def train(self, mode: bool = True) -> EmbeddingModel:
        """Switch to training; with ``freeze_statistics`` the backbone's batch norms stay behind.

        They then keep normalising with the running statistics of the pretrained weights, which
        small batches of few identities would spoil.
        """
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        if self.freeze_statistics:
            for module in self.backbone.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    def forward(self, images: Tensor, labels: Tensor | None = None) -> ModelOutput:
        return self.from_features(self.backbone(images), labels)

    def from_features(self, features: Tensor, labels: Tensor | None = None) -> ModelOutput:
        """Compute the output from what the backbone has returned."""
        return self.classify(self.embed_features(features), labels)

    def embed(self, images: Tensor) -> ModelOutput:
        """Return the outputs of backbone and neck."""
        return self.embed_features(self.backbone(images))

    def embed_features(self, features: Tensor) -> ModelOutput:
        """Return the outputs of backbone and neck from what the backbone has returned."""
        output: ModelOutput = {"backbone": features}
        if self.neck is not None:
            output["neck"] = self.neck(features)
        output["features"] = output.get("neck", features)
        return output

    def classify(self, output: ModelOutput, labels: Tensor | None = None) -> ModelOutput:
        """Return the outputs with those of the head, if there is one."""
        if self.head is None:
            return output
        source = output["backbone" if self.head_feature_from == "backbone" else "features"]
        return {**output, "logits": self.head(source, labels)}
