"""Exact retrieval metrics from embeddings. Tensors in, numbers out: no models, no files."""

from lookalike.retrieval.byte_curve import CurvePoint, recall_per_byte
from lookalike.retrieval.codes import BinaryCodes, Int8Codes
from lookalike.retrieval.evaluate import RetrievalResult, evaluate_retrieval
from lookalike.retrieval.expansion import augment_database, expand_queries
from lookalike.retrieval.metric import RetrievalMetric
from lookalike.retrieval.metrics import (
    CMC,
    MeanAveragePrecision,
    MeanInverseNegativePenalty,
    MeanReciprocalRank,
    PrecisionAtK,
    RecallAtK,
)
from lookalike.retrieval.nearest import nearest_neighbours
from lookalike.retrieval.rank_relevant import rank_relevant
from lookalike.retrieval.ranks import RelevantRanks, ranks_from_similarity
from lookalike.retrieval.re_ranking import ReRanking

__all__ = [
    "CMC",
    "BinaryCodes",
    "CurvePoint",
    "Int8Codes",
    "MeanAveragePrecision",
    "MeanInverseNegativePenalty",
    "MeanReciprocalRank",
    "PrecisionAtK",
    "RecallAtK",
    "ReRanking",
    "RelevantRanks",
    "RetrievalMetric",
    "RetrievalResult",
    "augment_database",
    "evaluate_retrieval",
    "expand_queries",
    "nearest_neighbours",
    "rank_relevant",
    "ranks_from_similarity",
    "recall_per_byte",
]
