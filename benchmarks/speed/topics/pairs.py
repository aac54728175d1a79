"""Losses over all pairs of a batch: value and gradient."""

from benchmarks.speed.plan import Case, System, Topic

_LOSSES = {
    "SupCon": "supcon",
    "batch-hard triplet": "triplet",
    "Circle": "circle",
    "MultiSimilarity": "multi_similarity",
}


def _cases(*batches: int) -> tuple[Case, ...]:
    return tuple(
        Case(
            f"{title} {batch}",
            {"loss": loss, "batch": batch, "size": 512, "per_id": 4},
            loss if batch == batches[0] else "",
            (f"batch, {title}", batch) if len(batches) > 1 else None,
        )
        for title, loss in _LOSSES.items()
        for batch in batches
    )


_CASES = _cases(512, 1024, 2048)


def _only(*titles: str) -> tuple[str, ...]:
    return tuple(case.name for case in _CASES if case.name.rsplit(" ", 1)[0] in titles)


TOPIC = Topic(
    name="pairs",
    title="Pair losses",
    unit="steps/s",
    what=(
        "Value and gradient with respect to embeddings of 512 numbers, four of each identity. "
        "SupCon at temperature 0.07, triplet margin 0.5 over the hardest of each anchor, Circle "
        "with margin 0.25 and scale 80, MultiSimilarity with 2, 50 and 0.5 over all pairs. "
        "PaddleClas's PairwiseCosface is another formula than Circle, and it has no "
        "MultiSimilarity. The limit is the three products of B x B x D. Values of the losses and "
        "the norm of their gradients stand beside the times."
    ),
    cases=_CASES,
    quick=_cases(512),
    systems=(
        System("Lookalike", "pairs_ours:loss", role="ours", package="lookalike"),
        System("PML", "pairs_peers:metric_learning", "peers", package="pytorch-metric-learning"),
        System(
            "OML",
            "pairs_peers:open_metric_learning",
            "peers",
            package="open-metric-learning",
            cases=_only("batch-hard triplet"),
        ),
        System(
            "PaddleClas",
            "pairs_paddleclas:loss",
            "paddle",
            package="paddleclas",
            cases=_only("SupCon", "batch-hard triplet", "Circle"),
        ),
        System("three products", "pairs_ours:limit", role="limit"),
    ),
)
