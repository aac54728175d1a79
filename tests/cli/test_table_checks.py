"""What ``eval`` and ``compare`` say of tables that are wrong, and of ids that occur twice."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest

from lookalike.cli.compare import run_comparison
from lookalike.cli.evaluate_tables import TableOptions, read_bytes, run_table_evaluation
from lookalike.errors import ConfigError, DataError
from lookalike.retrieval.rules import Rules

PLAIN = TableOptions(("recall@1", "mAP"), None, Rules())


def arrays(**changed):
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 8
    points = rng.standard_normal((8, 8))[labels] + rng.standard_normal((40, 8))
    made = {"embeddings": points.astype(np.float32), "labels": labels,
            "ids": np.array([f"i{n}" for n in range(40)])}  # fmt: skip
    return {**made, **changed}


def evaluate(query, gallery=None, options=PLAIN, json_file=None):
    run_table_evaluation(
        str(query), gallery and str(gallery), options,
        json_file=json_file and str(json_file), slice_by=None, explain=False, curve=None,
    )  # fmt: skip


def values(folder, embeddings, options=PLAIN):
    np.savez(folder / "scaled.npz", **arrays(embeddings=embeddings))
    evaluate(folder / "scaled.npz", options=options, json_file=folder / "scores.json")
    scores = json.loads((folder / "scores.json").read_text())
    return {name: score["value"] for name, score in scores.items()}


@pytest.mark.parametrize(
    ("dtype", "scale"),
    [("f4", 1e19), ("f4", 1e37), ("f4", 1e-30), ("f8", 1e300), ("f8", 1e-300), ("f2", 1e-2)],
)
def test_a_scaled_table_scores_as_the_plain_one(tmp_path, dtype, scale):
    plain = arrays()["embeddings"]
    expected = values(tmp_path, plain)
    assert 0.3 < expected["recall@1"] < 0.9
    assert values(tmp_path, (plain * np.float64(scale)).astype(dtype)) == pytest.approx(
        expected, abs=0.01 if dtype == "f2" else 1e-9
    )


def test_products_that_overflow_are_refused_by_name(tmp_path):
    by_product = replace(PLAIN, rules=Rules(normalize=False))
    with pytest.raises(DataError, match=r"query row 0 \(i0\) has a largest number of .*by cosine"):
        values(tmp_path, arrays()["embeddings"] * np.float32(1e19), by_product)


WRONG = {
    "float cameras": ({"cameras": np.linspace(0, 1, 40)}, "cameras: whole numbers expected"),
    "bool cameras": ({"cameras": np.ones(40, bool)}, "cameras: whole numbers expected, got bool"),
    "few cameras": ({"cameras": np.arange(3)}, "cameras: 40 expected"),
    "no columns": ({"embeddings": np.zeros((40, 0))}, r"embeddings: .* got \[40, 0\]"),
    "complex": ({"embeddings": np.ones((40, 2), np.complex64)}, "real numbers expected"),
    "large labels": ({"labels": np.full(40, 2**63, np.uint64)}, "does not fit into 64 bits"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_parts_are_named_with_their_file(tmp_path, name):
    changed, message = WRONG[name]
    np.savez(tmp_path / "wrong.npz", **arrays(**changed))
    np.savez(tmp_path / "sound.npz", **arrays())
    for files in (("wrong.npz", None), ("sound.npz", "wrong.npz")):
        with pytest.raises(DataError, match=rf"wrong\.npz: .*{message}"):
            evaluate(*(file and tmp_path / file for file in files))


def test_a_pipe_is_refused_without_waiting(tmp_path):
    np.savez(tmp_path / "sound.npz", **arrays())
    os.mkfifo(tmp_path / "pipe.npz")
    for files in (("pipe.npz",), ("sound.npz", "pipe.npz")):
        with pytest.raises(DataError, match=r"pipe\.npz: cannot be read \(not a regular file\)"):
            evaluate(*(tmp_path / file for file in files))
    for folder in ("x" * 300, tmp_path / "pipe.npz"):
        with pytest.raises(DataError):
            run_comparison(str(folder), str(tmp_path / "sound.npz"), PLAIN, json_file=None)


def test_ids_that_occur_twice_are_reported(tmp_path, capsys):
    ids = arrays()["ids"].copy()
    ids[[11, 30]] = "i3", "i2\u2028"
    ids[31] = ids[30]
    np.savez(tmp_path / "twice.npz", **arrays(ids=ids, labels=np.arange(40) % 8))
    np.savez(tmp_path / "other.npz", **arrays(embeddings=-arrays()["embeddings"]))
    evaluate(tmp_path / "twice.npz", tmp_path / "other.npz")
    told = capsys.readouterr().err
    assert (
        "2 of the ids occur more than once, the first of them, 'i3', 2 times (rows 3 and 11)"
        in told
    )
    # one image may be listed twice under one label; rows 30 and 31 have two
    with pytest.raises(
        DataError, match=r"id 'i2\\u2028' in row 30 with label 6 and in row 31 with"
    ):
        evaluate(tmp_path / "twice.npz")
    assert "twice.npz: 2 of the ids" in capsys.readouterr().err
    np.savez(
        tmp_path / "same.npz", **arrays(ids=np.where(ids == ids[31], "a", ids), labels=[0] * 40)
    )
    evaluate(tmp_path / "same.npz")


def test_a_comparison_pairs_images_of_one_id_in_their_order(tmp_path, capsys):
    ids = arrays()["ids"].copy()
    ids[11] = ids[3]  # both have label 3
    for name, sign in (("a", 1), ("b", -1)):
        mixed = arrays()["embeddings"] + sign * np.eye(40, 8, dtype=np.float32)
        np.savez(tmp_path / f"{name}.npz", **arrays(ids=ids, embeddings=mixed))
    run_comparison(*(str(tmp_path / f"{name}.npz") for name in "ab"), PLAIN, json_file=None)
    assert "40 queries of 8 identities" in capsys.readouterr().out


def test_amounts_of_memory():
    for text in ("9" * 400, "9" * 30, "9" * 20 + "T", "0", "1e9", "", "-1", "1.2.3GB"):
        with pytest.raises(ConfigError, match="--memory takes an amount such as 2GB"):
            read_bytes(text)
    assert read_bytes("500M") == 500_000_000
