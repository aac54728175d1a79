"""Lookalike: train image embedding models and put them to work.

The names below are loaded when first used, so that ``import lookalike`` costs nothing.
"""

from importlib import import_module
from typing import Any

_HOME = {
    "ArcMargin": "lookalike.models",
    "Batch": "lookalike.types",
    "CheckpointError": "lookalike.errors",
    "ConfigError": "lookalike.errors",
    "DataError": "lookalike.errors",
    "EmbeddingModel": "lookalike.assembly.embedding_model",
    "EmbeddingTable": "lookalike.types",
    "ImageDataset": "lookalike.data",
    "LookalikeError": "lookalike.errors",
    "MeanAveragePrecision": "lookalike.retrieval",
    "MeanInverseNegativePenalty": "lookalike.retrieval",
    "PrecisionAtK": "lookalike.retrieval",
    "RecallAtK": "lookalike.retrieval",
    "RelevantRanks": "lookalike.retrieval",
    "RetrievalResult": "lookalike.retrieval",
    "Trainer": "lookalike.training",
    "build": "lookalike.assembly",
    "build_job": "lookalike.assembly",
    "cut_backbone": "lookalike.models",
    "decode_image": "lookalike.data",
    "embed": "lookalike.inference",
    "evaluate_retrieval": "lookalike.retrieval",
    "load_checkpoint": "lookalike.training",
    "load_run": "lookalike.assembly",
    "nearest_neighbours": "lookalike.retrieval",
    "rank_relevant": "lookalike.retrieval",
}

__version__ = "0.1.0"
__all__ = sorted(_HOME)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'lookalike' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
