"""An update from what the backbone has computed before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lookalike.training.update import Update
from lookalike.types import Batch


class FeatureUpdate(Update):
    """An :class:`Update` whose batches hold the backbone's features instead of images.

    The model must have ``from_features``, and a backbone that does not learn.
    """

    def _output(self, batch: Batch, model: Callable[[Tensor, Tensor], Any]) -> Any:
        features = batch.images
        if features.ndim == 4:
            features = features.contiguous(memory_format=torch.channels_last)
        with self.precision.autocast():
            return model.from_features(features, batch.labels)  # type: ignore[attr-defined]
