"""Exact retrieval metrics from embeddings. Tensors in, numbers out: no models, no files."""

from lookalike.retrieval.evaluate import RetrievalResult, evaluate_retrieval
from lookalike.retrieval.metrics import (
    MeanAveragePrecision,
    MeanInverseNegativePenalty,
    PrecisionAtK,
    RecallAtK,
    RetrievalMetric,
)
from lookalike.retrieval.neighbours import nearest_neighbours
from lookalike.retrieval.rank_relevant import rank_relevant
from lookalike.retrieval.ranks import RelevantRanks, ranks_from_similarity
from lookalike.retrieval.re_ranking import ReRanking

__all__ = [
    "MeanAveragePrecision",
    "MeanInverseNegativePenalty",
    "PrecisionAtK",
    "RecallAtK",
    "ReRanking",
    "RelevantRanks",
    "RetrievalMetric",
    "RetrievalResult",
    "evaluate_retrieval",
    "nearest_neighbours",
    "rank_relevant",
    "ranks_from_similarity",
]
