"""Batches of P identities with K images each."""

from benchmarks.speed.plan import Case, System, Topic


def _case(images: int, ids: int, goal: str = "", axis: str = "", curve: bool = True) -> Case:
    name = f"{images:,} images, {ids:,} ids"
    sizes = {"images": images, "ids": ids, "batch": 128, "per_id": 4}
    return Case(name, sizes, goal, ("images", images) if curve else None)


_MAIN = _case(200_000, 20_000, "200k")
_LARGE = _case(1_000_000, 100_000, "1M")
_GROWTH = tuple(_case(images, images // 10) for images in (50_000, 100_000, 400_000))
_BOTH = (_MAIN.name, _LARGE.name)


def _peer(name: str, function: str, package: str, environment: str = "peers") -> System:
    module = "samplers_paddleclas" if environment == "paddle" else "samplers_peers"
    return System(
        name, f"{module}:{function}", environment, package=package, cases=_BOTH, gpu=False
    )


TOPIC = Topic(
    name="samplers",
    title="Identity samplers",
    unit="batches/s",
    what=(
        "Batches of 128 with 4 images of each identity; sizes of the identities are drawn from a "
        "power law. Ours and the limit plan a whole epoch, the others make their first 300 "
        "batches. Construction is told apart from that. The limit is a permutation and one sort."
    ),
    cases=(_MAIN, _LARGE, *_GROWTH),
    quick=(_MAIN,),
    rounds=2,
    systems=(
        System("Lookalike", "samplers_ours:epoch", role="ours", package="lookalike", gpu=False),
        _peer("PaddleClas RandomIdentity", "random_identity", "paddleclas", "paddle"),
        _peer("PaddleClas PKSampler", "pk", "paddleclas", "paddle"),
        _peer("fast-reid balanced", "fast_reid", "fastreid"),
        _peer("PML MPerClass", "metric_learning", "pytorch-metric-learning"),
        _peer("OML Balance", "open_metric_learning", "open-metric-learning"),
        System(
            "permutation and sort", "samplers_ours:limit", role="limit", package="numpy", gpu=False
        ),
    ),
)
