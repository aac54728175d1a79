"""Metrics by the names people write: ``recall@1``, ``mAP``, ``mAP@R``, ``R-Precision``."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from lookalike.errors import ConfigError, nearest
from lookalike.retrieval.metric import RetrievalMetric
from lookalike.retrieval.metrics import (
    CMC,
    MeanAveragePrecision,
    MeanInverseNegativePenalty,
    MeanReciprocalRank,
    PrecisionAtK,
    RecallAtK,
)
from lookalike.retrieval.ranks import Ties

_CUT: dict[str, Callable[[int, Ties], RetrievalMetric]] = {
    "recall": lambda k, ties: RecallAtK([k], ties),
    "cmc": lambda k, ties: CMC(k, ties),
    "precision": lambda k, ties: PrecisionAtK([k], ties),
    "map": lambda k, ties: MeanAveragePrecision(k, ties),
}
_WHOLE: dict[str, Callable[[Ties], RetrievalMetric]] = {
    "map": lambda ties: MeanAveragePrecision(None, ties),
    "map@r": lambda ties: MeanAveragePrecision("R", ties),
    "minp": MeanInverseNegativePenalty,
    "mrr": MeanReciprocalRank,
    "r-precision": lambda ties: PrecisionAtK("R", ties),
}
NAMES = ("recall@K", "mAP", "mAP@K", "mAP@R", "R-Precision", "precision@K", "mINP", "MRR", "cmc@K")
_FORM = re.compile(r"([a-z]+)@?([0-9]+)")


def metric_by_name(name: str, ties: Ties = "pessimistic") -> RetrievalMetric:
    """Return the metric a name means; upper and lower case, ``_`` and ``-`` are the same.

    Raises:
        ConfigError: If no metric has the name.

    Example:
        >>> metric_by_name("Recall@5").ks, metric_by_name("map@R").k
        ([5], 'R')
    """
    plain = name.strip().lower().replace("_", "-")
    if plain in _WHOLE:
        return _WHOLE[plain](ties)
    match = _FORM.fullmatch(plain)
    if match and match[1] in _CUT and int(match[2]) > 0:
        return _CUT[match[1]](int(match[2]), ties)
    raise ConfigError(f"no metric is called '{name}'.{nearest(name, NAMES)} Known: "
                      f"{', '.join(NAMES)}.")  # fmt: skip


def metrics_by_name(names: Sequence[str], ties: Ties = "pessimistic") -> dict[str, RetrievalMetric]:
    """Return the metrics of several names, each under the name it was asked for by."""
    return {name: metric_by_name(name, ties) for name in dict.fromkeys(names)}
