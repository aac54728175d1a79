"""Embedding tables in every format: complete, lazily read, and refused when damaged."""

import contextlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lookalike.errors import DataError
from lookalike.inference.table_files import load_table, save_table
from lookalike.types import EmbeddingTable

TABLE = EmbeddingTable(
    embeddings=torch.arange(12.0).view(4, 3),
    labels=torch.tensor([0, 0, 1, 1]),
    ids=["a b.jpg", "图.jpg", "c", "d"],
    cameras=torch.tensor([5, 6, 5, 6]),
    fingerprint="abc",
)


def assert_equal(found, expected=TABLE):
    assert torch.equal(found.embeddings, expected.embeddings)
    assert torch.equal(found.labels, expected.labels)
    assert found.ids == expected.ids
    assert torch.equal(found.cameras, expected.cameras)
    assert found.fingerprint == expected.fingerprint


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_written_and_read_again(tmp_path, suffix):
    save_table(TABLE, tmp_path / f"t{suffix}")
    assert_equal(load_table(tmp_path / f"t{suffix}"))


def test_compressed_archives_and_plain_ids(tmp_path):
    np.savez_compressed(tmp_path / "t.npz", embeddings=np.eye(3), labels=[0, 1, 0])
    found = load_table(tmp_path / "t.npz")
    assert found.ids == ["0", "1", "2"]
    assert found.cameras is None
    assert found.embeddings.dtype == torch.float64


def test_fortran_order_and_the_other_byte_order(tmp_path):
    values = np.asfortranarray(np.arange(6, dtype=">f4").reshape(2, 3))
    np.savez(tmp_path / "t.npz", embeddings=values, labels=np.array([0, 1], dtype=">i2"))
    found = load_table(tmp_path / "t.npz")
    assert found.embeddings.tolist() == values.tolist()
    assert found.labels.tolist() == [0, 1]


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_a_large_table_is_mapped(tmp_path, suffix):
    table = EmbeddingTable(torch.zeros(1000, 8), torch.zeros(1000, dtype=torch.int64), ["x"] * 1000)
    save_table(table, tmp_path / f"t{suffix}")
    found = load_table(tmp_path / f"t{suffix}")
    found.embeddings[0, 0] = 5.0  # a private copy of the page; the file stays
    assert load_table(tmp_path / f"t{suffix}").embeddings[0, 0] == 0.0


def test_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = {"embeddings": TABLE.embeddings.tolist(), "labels": TABLE.labels.tolist(),
               "ids": TABLE.ids, "cameras": TABLE.cameras.tolist()}  # fmt: skip
    parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    found = load_table(tmp_path / "t.parquet")
    assert torch.equal(found.embeddings, TABLE.embeddings)
    assert found.ids == TABLE.ids


WRONG = {
    "no labels": ({"embeddings": np.eye(2)}, "has no 'labels'; it has embeddings"),
    "lengths": ({"embeddings": np.eye(2), "labels": [0, 1, 2]}, "2 embeddings, 3 labels"),
    "one dimension": ({"embeddings": np.zeros(2), "labels": [0, 1]}, r"embeddings \[N, D\]"),
    "empty": ({"embeddings": np.zeros((0, 3)), "labels": np.zeros(0, int)}, "expected"),
    "fractions": ({"embeddings": np.eye(2), "labels": [0.5, 1.0]}, "whole labels"),
    "texts": ({"embeddings": np.array([["a"]]), "labels": [0]}, "numbers expected"),
    "objects": ({"embeddings": np.array([[None]]), "labels": [0]}, "objects, which could run code"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_table_is_told(tmp_path, name):
    arrays, message = WRONG[name]
    np.savez(tmp_path / "t.npz", **{k: np.asarray(v) for k, v in arrays.items()})
    with pytest.raises(DataError, match=message):
        load_table(tmp_path / "t.npz")


def test_missing_and_other_files(tmp_path):
    with pytest.raises(DataError, match=r"t\.npz: cannot be read"):
        load_table(tmp_path / "t.npz")
    (tmp_path / "t.csv").write_text("x")
    with pytest.raises(DataError, match=r"\.npz, \.safetensors, \.parquet files; got '\.csv'"):
        load_table(tmp_path / "t.csv")
    with pytest.raises(DataError, match="written as"):
        save_table(TABLE, tmp_path / "t.csv")


@settings(max_examples=150, deadline=None)
@given(data=st.data(), suffix=st.sampled_from([".npz", ".safetensors"]))
def test_damage_never_escapes(tmp_path_factory, data, suffix):
    folder = tmp_path_factory.mktemp("damage")
    save_table(TABLE, folder / f"t{suffix}")
    content = bytearray((folder / f"t{suffix}").read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        for _ in range(3):
            place = data.draw(st.integers(0, len(content) - 1))
            content[place] = data.draw(st.integers(0, 255))
    (folder / f"t{suffix}").write_bytes(bytes(content))
    with contextlib.suppress(DataError):
        load_table(folder / f"t{suffix}")
