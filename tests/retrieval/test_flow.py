"""From raw features to metrics, as the reference's evaluation goes."""

import numpy as np
import pytest
import torch
from golden_cases import NORMATIVE, arrays, assert_near, cases, yaml_args
from hypothesis import given, settings
from hypothesis import strategies as st

from lookalike import build
from lookalike.geometry import unit
from lookalike.retrieval import ReRanking, evaluate_retrieval
from lookalike.retrieval.reference_protocol import reference_values
from lookalike.retrieval.rules import comparable
from lookalike.types import EmbeddingTable


def table(features, labels, cameras=None):
    labels = torch.from_numpy(labels).reshape(-1)
    ids = [str(number) for number in range(len(labels))]
    cameras = None if cameras is None else torch.from_numpy(cameras).reshape(-1)
    return EmbeddingTable(torch.from_numpy(features), labels, ids, cameras)


FLOWS = cases("retrieval_flow", statuses=(*NORMATIVE, "reference_protocol"))


def recorded(data, params, name):
    """Return the raw features and labels of ``query`` or ``gallery``; one set may be both."""
    side = name if f"in.{name}_feat" in data else "gallery"
    features = data[f"in.{side}_feat"]
    if params.get("retrieval_feature_from") == "backbone":
        features = 0.5 * features + 0.1
    return table(features, data[f"in.{side}_label"], data.get(f"in.{side}_camera"))


def run(case, protocol):
    data, params = arrays(case), case["params"]
    return evaluate_retrieval(
        recorded(data, params, "query"),
        recorded(data, params, "gallery"),
        build("metric", case["yaml"]["Metric"]["Eval"]),
        normalize=params.get("feature_normalize", True),
        binarize=params.get("feature_binarize"),
        re_ranking=params.get("re_ranking", False),
        protocol=protocol,
        block_size=params.get("sim_block_size", 64),
    )


@pytest.mark.parametrize("case", FLOWS)
def test_features_are_compared_as_in_the_reference(case):
    data, params = arrays(case), case["params"]
    for name in ("query", "gallery"):
        if f"out.{name}_feat" in data:
            found = comparable(
                recorded(data, params, name).embeddings,
                params.get("feature_normalize", True),
                params.get("feature_binarize"),
            )
            assert_near(found, data[f"out.{name}_feat"], case["tolerance"]["forward"])


@pytest.mark.parametrize("case", [c for c in FLOWS if c.values[0]["status"] in NORMATIVE])
def test_evaluation_matches_reference(case):
    found, tolerance = run(case, "exact").values, case["tolerance"]["values"]
    for name, expected in case["values"].items():
        assert_near(found[name], expected, tolerance, name)


@pytest.mark.parametrize("case", FLOWS)
def test_the_reference_protocol_gives_its_numbers(case):
    found, tolerance = run(case, "reference").values, case["tolerance"]["values"]
    for name, expected in {**case["values"], **case.get("values_reference_protocol", {})}.items():
        assert_near(found[name], expected, tolerance, name)


@pytest.mark.parametrize(
    "case",
    cases(
        "metric",
        components=("Recallk", "mAP", "mINP", "Precisionk"),
        statuses=(*NORMATIVE, "reference_protocol", "nonfinite_reference"),
    ),
)
def test_the_reference_protocol_of_a_matrix(case):
    data, params = arrays(case), case["params"]
    similarity = torch.from_numpy(data["in.sim"])
    labels = [torch.from_numpy(data[f"in.{name}_label"]) for name in ("query", "gallery")]
    keep = torch.from_numpy(data.get("in.keep_mask", np.ones(similarity.shape))).bool()
    found = reference_values(
        [build("metric", {case["component"]: yaml_args(case)})],
        similarity if params.get("descending", True) else -similarity,
        (labels[0].reshape(-1, 1) == labels[1].reshape(1, -1)) & keep,
    )
    for name, expected in case["values"].items():
        assert_near(found[name], expected, case["tolerance"]["values"], name)


@pytest.mark.parametrize("case", cases("rerank"))
def test_re_ranking_matches_reference(case):
    data, params = arrays(case), case["params"]
    features = [torch.from_numpy(data[f"in.{side}_feat"]) for side in ("query", "gallery")]
    query, gallery = map(unit, features)
    found = ReRanking(query, gallery, k1=params["k1"], k2=params["k2"], lamb=params["lamb"])
    distances = found.distances(torch.arange(len(query)))
    assert_near(distances, data["out.dist"], case["tolerance"]["forward"])


def dense_re_ranking(points, num_queries, k1, k2, lamb):
    """The paper's algorithm with whole matrices."""
    squared = ((points[:, None] - points) ** 2).sum(axis=2)
    scaled = squared / squared.max(axis=1, keepdims=True)
    near = np.argsort(squared, axis=1, kind="stable")
    described = np.zeros_like(scaled)

    def reciprocal(i, k):
        return {j for j in near[i, : k + 1] if i in near[j, : k + 1]}

    for i in range(len(points)):
        own = reciprocal(i, k1)
        members = set(own)
        for j in own:
            theirs = reciprocal(j, round(k1 / 2))
            if len(theirs & own) > 2 / 3 * len(theirs):
                members |= theirs
        columns = sorted(members)
        weights = np.exp(-scaled[i, columns])
        described[i, columns] = weights / weights.sum()
    described = np.stack([described[near[i, :k2]].mean(axis=0) for i in range(len(points))])
    shared = np.minimum(described[:num_queries, None], described[None, num_queries:]).sum(axis=2)
    jaccard = 1 - shared / (2 - shared)
    return (1 - lamb) * jaccard + lamb * scaled[:num_queries, num_queries:]


@given(*map(st.integers, (2, 1, 1, 1, 0), (12, 6, 8, 4, 99)))
@settings(max_examples=40, deadline=None)
def test_re_ranking_is_the_papers_algorithm(num_gallery, num_queries, k1, k2, seed):
    points = np.random.default_rng(seed).normal(size=(num_queries + num_gallery, 3))
    query, gallery = (torch.tensor(part).float() for part in np.split(points, [num_queries]))
    found = ReRanking(query, gallery, k1=k1, k2=k2, lamb=0.4)
    expected = dense_re_ranking(points, num_queries, k1, k2, 0.4)
    rows = torch.arange(num_queries)
    np.testing.assert_allclose(found.distances(rows).numpy(), expected, atol=1e-4)


def test_re_ranking_removes_what_the_cameras_exclude():
    generator = torch.Generator().manual_seed(0)
    labels, cameras = torch.arange(5).repeat(4), torch.arange(20) % 3
    centres, noise = torch.randn(5, 4, generator=generator), torch.randn(20, 4, generator=generator)
    points = centres[labels] + 0.3 * noise
    pictures = EmbeddingTable(points, labels, [str(i) for i in range(20)], cameras)
    metrics = build("metric", [{"Recallk": {"topk": [1]}}, {"mAP": {}}])
    found = evaluate_retrieval(pictures, pictures, metrics, re_ranking=True, same_images=True)
    vectors = unit(points)
    distance = ReRanking(vectors, vectors).distances(torch.arange(20))
    same = labels[:, None] == labels
    keep = ~(same & (cameras[:, None] == cameras))
    expected = metrics[1](-distance, labels, labels, keep)
    assert found.values["mAP"] == pytest.approx(expected["mAP"])
    assert "re-ranked" in found.protocol
