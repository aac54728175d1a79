"""Exact retrieval metrics from embeddings. Tensors in, numbers out: no models, no files."""

from lookalike.retrieval.evaluate import RetrievalResult, evaluate_retrieval
from lookalike.retrieval.metric import RetrievalMetric
from lookalike.retrieval.metrics import (
    CMC,
    MeanAveragePrecision,
    MeanInverseNegativePenalty,
    MeanReciprocalRank,
    PrecisionAtK,
    RecallAtK,
)
from lookalike.retrieval.neighbours import nearest_neighbours
from lookalike.retrieval.rank_relevant import rank_relevant
from lookalike.retrieval.ranks import RelevantRanks, ranks_from_similarity
from lookalike.retrieval.re_ranking import ReRanking

__all__ = [
    "CMC",
    "MeanAveragePrecision",
    "MeanInverseNegativePenalty",
    "MeanReciprocalRank",
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
