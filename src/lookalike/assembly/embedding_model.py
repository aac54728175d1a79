"""The embedding model that can be read from a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lookalike.models.embedding_model import EmbeddingModel as PlainEmbeddingModel


class EmbeddingModel(PlainEmbeddingModel):
    """Compute embeddings and, for training, logits; made of parts, or read from a folder.

    A checkpoint of a run is such a folder, and so is what ``lookalike convert`` writes:
    ``config.json`` and ``model.safetensors``, the layout of the Hub. Of a run folder the checkpoint
    ``best_model`` is read.

    Example:
        >>> from torch import nn
        >>> EmbeddingModel(nn.Flatten(), neck=nn.Linear(12, 4)).neck
        Linear(in_features=12, out_features=4, bias=True)
    """

    @staticmethod
    def from_pretrained(
        folder: str | Path, *, allow_import: Sequence[str] = ()
    ) -> PlainEmbeddingModel:
        """Build the model a folder describes and load its weights, completely or not at all.

        Args:
            folder: With ``config.json`` and ``model.safetensors``; or a run folder, whose
                ``best_model`` is read, or ``latest`` if it has none.
            allow_import: Modules that its components may be imported from.

        Returns:
            The model in evaluation mode: ``model(images)["features"]`` are its embeddings;
            ``model.published`` is the configuration, which names the preprocessing.

        Raises:
            CheckpointError: If a file is missing or damaged, or the two do not fit.
            ConfigError: If the configuration names what does not exist here.

        Warns:
            ModelWarning: If a run folder has no best model, or the model was saved before the
                first training step.
        """
        from lookalike.assembly.published import load_published

        return load_published(Path(folder), allow_import)
