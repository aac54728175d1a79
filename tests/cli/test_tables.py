"""Predictions first, metrics second: ``embed``, ``eval`` of tables, ``compare``."""

import json
import shutil

import numpy as np
import pytest
from conftest import trainer_of


@pytest.fixture
def trained(tiny):
    trainer_of(tiny, "Global.epochs=1").run()
    return tiny


def test_a_stored_table_gives_the_numbers_of_the_training_to_the_last_bit(trained, lookalike):
    lines = (trained / "output" / "metrics.jsonl").read_text().splitlines()
    (measured,) = [row for row in map(json.loads, lines) if row["kind"] == "eval"]
    model = ("-c", trained / "run.yaml", "-o", f"Global.pretrained_model={trained}/output/latest")
    for split in ("Query", "Train"):
        out = trained / f"{split}.npz"
        done = lookalike("embed", *model, "--split", split, "--out", out)
        assert done.returncode == 0, done.stderr
    with np.load(trained / "Query.npz") as arrays:
        assert arrays["embeddings"].shape == (24, 16)
        assert arrays["embeddings"].dtype == np.float32
        assert arrays["labels"].dtype == np.int64
        assert {"ids", "cameras", "fingerprint"} <= set(arrays)
    table = trained / "Query.npz"
    out = trained / "scores.json"
    metrics = ("--metric", "recall@1", "--metric", "recall@5", "--metric", "mAP")
    done = lookalike("eval", "--query", table, "--gallery", table, *metrics, "--json", out)
    assert done.returncode == 0, done.stderr
    scores = json.loads(out.read_text())
    assert scores["recall@1"]["value"] == measured["recall1"]
    assert scores["recall@5"]["value"] == measured["recall5"]
    assert scores["mAP"]["value"] == measured["mAP"]
    low, high = scores["mAP"]["interval"]
    assert low <= scores["mAP"]["value"] <= high
    shutil.copy(table, trained / "copy.npz")
    again = lookalike("eval", "--query", table, "--gallery", trained / "copy.npz", *metrics)
    assert "the query's own image is removed" in again.stdout
    done = lookalike("eval", "--query", trained / "Query.npz", "--gallery", trained / "Train.npz")
    assert done.returncode == 0, done.stderr
    again = lookalike("embed", *model, "--split", "Quary", "--out", trained / "x.npz")
    assert again.returncode == 2
    assert "Did you mean 'Query'" in again.stderr


@pytest.fixture
def two(tmp_path):
    """Tables of a worse and a better model of the same images."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 30, 300)
    centres, noise = rng.standard_normal((30, 16)), rng.standard_normal((300, 16))
    for name, size in (("a", 1.3), ("b", 0.9)):
        np.savez(
            tmp_path / f"{name}.npz",
            embeddings=(centres[labels] + size * noise).astype(np.float32),
            labels=labels, cameras=np.arange(300) % 2, fingerprint=name,
            ids=np.array([f"i{n}" for n in range(300)]),
        )  # fmt: skip
    return tmp_path


def test_compare_names_the_better_one(two, lookalike):
    done = lookalike("compare", two / "a.npz", two / "b.npz", "--protocol", "sop",
                     "--metric", "mAP", "--json", two / "c.json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "B is better" in done.stdout
    found = json.loads((two / "c.json").read_text())["mAP"]
    assert found["interval"][0] > 0
    assert found["verdict"] == "B is better"
    same = lookalike("compare", two / "a.npz", two / "a.npz", "--protocol", "sop")
    assert "no difference outside the noise" in same.stdout


def test_explain_slices_and_json_alone(two, lookalike):
    done = lookalike("eval", "--query", two / "a.npz", "--protocol", "self", "--explain")
    assert done.returncode == 0, done.stderr
    for words in ("pytorch-metric-learning", "PaddleClas, blocks of 64", "min(relevant, K)"):
        assert words in done.stdout
    done = lookalike("eval", "--query", two / "a.npz", "--protocol", "self", "--slice", "camera",
                     "--json", "-")  # fmt: skip
    assert set(json.loads(done.stdout)["slices"]) == {"0", "1"}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "give a YAML"),
        (("--query", "a.npz", "-c", "x.yaml"), 2, "give a YAML"),
        (("--query", "a.npz", "--gallery", "b.npz"), 3, "different weights"),
        (("--query", "a.npz", "--metric", "recall"), 2, "no metric is called 'recall'"),
        (("--query", "a.npz", "--protocol", "markt"), 2, "no protocol is called"),
        (("--query", "a.npz", "--memory", "much"), 2, "such as 2GB"),
        (("--query", "a.npz", "--slice", "colour"), 2, "camera or label"),
        (
            (
                "--query",
                "none.npz",
            ),
            3,
            "none.npz: cannot be read",
        ),
        (("-c", "x.yaml", "--metric", "mAP"), 2, "belongs to tables"),
    ],
)
def test_what_does_not_fit_is_told(two, lookalike, arguments, code, words):
    done = lookalike("eval", *arguments, cwd=two)
    assert done.returncode == code, done.stderr
    assert words in " ".join(done.stderr.split())


def test_a_wrong_suffix_is_told_before_anything_is_built(tiny, lookalike):
    done = lookalike("embed", "-c", tiny / "run.yaml", "--out", tiny / "t.csv")
    assert done.returncode == 2
    assert ".npz or .safetensors" in done.stderr


def test_the_curve_of_codes_is_drawn_and_told(two, lookalike):
    picture, out = two / "curve.png", two / "curve.json"
    wanted = ("--metric", "recall@1", "--curve", picture, "--json", out)
    done = lookalike("eval", "--query", two / "b.npz", *wanted)
    assert done.returncode == 0, done.stderr
    assert picture.read_bytes().startswith(b"\x89PNG")
    points = {(p["form"], p["width"], p["query"]): p for p in json.loads(out.read_text())}
    assert {width for _, width, _ in points} == {16, 8, 4, 2}
    whole = points["float32", 16, "same"]
    assert whole["bytes_each"] == 64
    assert points["binary", 16, "same"]["bytes_each"] == 2
    scored = lookalike("eval", "--query", two / "b.npz", "--metric", "recall@1", "--json", "-")
    assert json.loads(scored.stdout)["recall@1"]["value"] == whole["values"]["recall1"]
    refused = lookalike("eval", "--query", two / "b.npz", "--re-rank", "--curve", picture)
    assert refused.returncode == 2
    assert "leave out --re-rank" in refused.stderr


def test_neighbours_refine_a_search(two, lookalike):
    plain, refined = {}, {}
    for found, options in ((plain, ()), (refined, ("--augment", 4, "--expand", 4, "--re-rank"))):
        done = lookalike("eval", "--query", two / "a.npz", *options, "--json", "-")
        assert done.returncode == 0, done.stderr
        found |= json.loads(done.stdout)
    assert refined["mAP"]["value"] > plain["mAP"]["value"]
    refused = lookalike("eval", "--query", two / "a.npz", "--re-rank", "--metric", "AUC")
    assert refused.returncode == 2
    assert "re-ranking leaves only an order" in refused.stderr
