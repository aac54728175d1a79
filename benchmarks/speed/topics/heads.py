"""A margin head with many classes: forward, cross-entropy, backward, update."""

from benchmarks.speed.plan import Case, System, Topic


def _case(classes: int, goal: str = "") -> Case:
    sizes = {"classes": classes, "size": 512, "batch": 128}
    return Case(f"{classes:,} classes", sizes, goal, ("classes", classes))


_MAIN = _case(100_000, "100k")
_SMALL = _case(30_000, "100k")
_POINTS = (_case(10_000), _case(30_000), _case(300_000))
_ONE = (_MAIN.name, _SMALL.name)


def _ours(name: str, function: str) -> System:
    return System(name, f"heads_ours:{function}", role="ours", package="lookalike")


TOPIC = Topic(
    name="heads",
    title="Margin heads with many classes",
    unit="steps/s",
    what=(
        "ArcFace of 512 numbers, batch 128: logits with margin, cross-entropy, gradients of "
        "embeddings and weights, momentum 0.9 with L2 5e-4 of all weights. Sampled heads update "
        "the rows they have drawn. `over MB` is what weights, momentum, gradient and "
        "step take together. The limit is three products, and reading and writing weights and "
        "momentum once."
    ),
    cases=(_MAIN, *_POINTS),
    quick=(_SMALL,),
    systems=(
        _ours("Lookalike chunked", "chunked"),
        _ours("Lookalike dense", "dense"),
        _ours("Lookalike sampled 0.1", "sampled"),
        System("torch dense", "heads_torch:dense", role="bare"),
        System("torch dense, fused SGD", "heads_torch:fused", role="bare", cases=_ONE),
        System(
            "PML ArcFace",
            "heads_peers:metric_learning",
            "peers",
            package="pytorch-metric-learning",
            cases=_ONE,
        ),
        System(
            "OML ArcFace",
            "heads_peers:open_metric_learning",
            "peers",
            package="open-metric-learning",
            cases=_ONE,
        ),
        System(
            "insightface's PartialFC 0.1 (procedure)",
            "heads_torch:partial",
            role="peer",
            package="torch",
            cases=_ONE,
        ),
        System(
            "PaddleClas ArcMargin",
            "heads_paddleclas:arc_margin",
            "paddle",
            package="paddleclas",
            cases=_ONE,
        ),
        System("products and memory", "heads_torch:limit", role="limit"),
    ),
)
