"""From raw features to metrics, as the reference's evaluation goes."""

import pytest
import torch
from golden_cases import arrays, cases

from lookalike import build
from lookalike.retrieval import evaluate_retrieval
from lookalike.retrieval.evaluate import comparable
from lookalike.types import EmbeddingTable


def table(features, labels, cameras=None):
    labels = torch.from_numpy(labels).reshape(-1)
    ids = [str(number) for number in range(len(labels))]
    cameras = None if cameras is None else torch.from_numpy(cameras).reshape(-1)
    return EmbeddingTable(torch.from_numpy(features), labels, ids, cameras)


FLOWS = [c for c in cases("retrieval_flow") if not c.values[0]["params"].get("re_ranking")]


@pytest.mark.parametrize("case", FLOWS)
def test_evaluation_matches_reference(case):
    data, params = arrays(case), case["params"]
    normalize = params.get("feature_normalize", True)
    binarize = params.get("feature_binarize")
    features = {
        name: data[f"in.{name}_feat"] for name in ("query", "gallery") if f"in.{name}_feat" in data
    }
    if "query" not in features:
        features["query"] = features["gallery"]
    if params.get("retrieval_feature_from") == "backbone":
        features = {name: 0.5 * value + 0.1 for name, value in features.items()}
    labels = {
        name: data.get(f"in.{name}_label", data["in.gallery_label"])
        for name in ("query", "gallery")
    }
    for name in ("query", "gallery"):
        if f"out.{name}_feat" in data:
            found = comparable(torch.from_numpy(features[name]), normalize, binarize)
            tolerance = case["tolerance"]["forward"]
            torch.testing.assert_close(
                found, torch.from_numpy(data[f"out.{name}_feat"]),
                rtol=tolerance["rtol"], atol=tolerance["atol"],
            )  # fmt: skip
    result = evaluate_retrieval(
        table(features["query"], labels["query"]),
        table(features["gallery"], labels["gallery"]),
        build("metric", case["yaml"]["Metric"]["Eval"]),
        normalize=normalize,
        binarize=binarize,
    )
    if case["tolerance"]["values"].get("informative_only"):
        return
    tolerance = case["tolerance"]["values"]
    for name, expected in case["values"].items():
        assert result.values[name] == pytest.approx(
            expected, rel=tolerance["rtol"], abs=tolerance["atol"]
        ), name
