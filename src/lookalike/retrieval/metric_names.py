"""Metrics by the names people write: ``recall@1``, ``mAP``, ``mAP@R``, ``R-Precision``."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import NamedTuple

from lookalike.errors import ConfigError, cut, nearest
from lookalike.retrieval.metric import MOST, RetrievalMetric
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
    "cmc": lambda k, ties: CMC(k, ties, first=k),
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
NAMES = (
    *("recall@K", "mAP", "mAP@K", "mAP@R", "R-Precision", "precision@K", "mINP", "MRR", "cmc@K"),
    *("AUC", "TPR@FPR=X", "FNMR@FMR=X", "FPIR@X", "TPIR@X"),
)
_FORM = re.compile(r"([a-z]+)@?([0-9]+)")
_BOUND = re.compile(r"(tpr@fpr|fnmr@fmr)=([0-9.e+-]+)|(fpir|tpir)@(-?[0-9.e+-]+)|(auc)")


def metric_by_name(name: str, ties: Ties = "pessimistic") -> RetrievalMetric:
    """Return the metric of ranks a name means; case, ``_`` and ``-`` do not matter.

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
    if match and match[1] in _CUT:
        # far more digits than MOST has are not even read
        k = int(match[2]) if len(match[2]) < 30 else 0
        if not 1 <= k <= MOST:
            raise ConfigError(f"{cut(name)}: K is a whole number from 1 to 2^63 - 1.")
        return _CUT[match[1]](k, ties)
    raise ConfigError(
        f"no metric is called {cut(name)}.{nearest(name, NAMES)} Known: {', '.join(NAMES)}."
    )


class ThresholdMetric(NamedTuple):
    """A metric of similarities against a threshold.

    Attributes:
        kind: ``auc``, ``tpr@fpr`` and ``fnmr@fmr`` (all pairs), ``fpir`` and ``tpir`` (each query's
            best item).
        bound: The allowed rate, or the threshold; 0 for ``auc``.
    """

    kind: str
    bound: float


def threshold_metric(name: str) -> ThresholdMetric | None:
    """Return what a name means if it is a metric against a threshold.

    Raises:
        ConfigError: If its number is none, or a rate outside 0 to 1.

    Example:
        >>> threshold_metric("TPR@FPR=1e-3"), threshold_metric("recall@1")
        (ThresholdMetric(kind='tpr@fpr', bound=0.001), None)
    """
    match = _BOUND.fullmatch(name.strip().lower())
    if match is None:
        return None
    if match[5]:
        return ThresholdMetric("auc", 0.0)
    kind, text = match[1] or match[3], match[2] or match[4]
    try:
        bound = float(text)
    except ValueError:
        raise ConfigError(f"{cut(name)}: '{cut(text)[1:-1]}' is not a number.") from None
    if not math.isfinite(bound):
        raise ConfigError(f"{cut(name)}: a finite number is expected.")
    if match[1] and not 0.0 <= bound <= 1.0:
        raise ConfigError(f"{cut(name)}: a rate is 0 to 1.")
    return ThresholdMetric(kind, bound)
