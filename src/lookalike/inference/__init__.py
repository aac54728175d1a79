"""A trained model put to work: images to embeddings."""

from lookalike.inference.embed import embed

__all__ = ["embed"]
