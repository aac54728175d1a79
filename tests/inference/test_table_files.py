"""Embedding tables in every format: complete, lazily read, and refused when damaged."""

import contextlib
import io
import os
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from lookalike import archives
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


def test_arrays_beside_a_table_are_ignored(tmp_path):
    """A table may carry more than is read, of any kind, and damaged."""
    arrays = {"embeddings": np.eye(2, dtype=np.float32), "labels": np.array([0, 1])}
    extra = {"names": np.array([{"a": 1}, None]), "other": np.ones((3, 4), np.complex64)}
    np.savez(tmp_path / "t.npz", **arrays, **extra)
    assert load_table(tmp_path / "t.npz").labels.tolist() == [0, 1]
    assert EmbeddingTable.load(tmp_path / "t.npz").labels.tolist() == [0, 1]
    tensors = {name: torch.from_numpy(values) for name, values in arrays.items()}
    tensors["other"] = torch.ones(3, dtype=torch.bfloat16)
    save_file(tensors, tmp_path / "t.safetensors")
    assert load_table(tmp_path / "t.safetensors").labels.tolist() == [0, 1]


WRONG = {
    "no labels": ({"embeddings": np.eye(2)}, "has no 'labels'; it has embeddings"),
    "lengths": (
        {"embeddings": np.eye(2), "labels": [0, 1, 2]},
        r"labels: 2 expected, one for each row, got \[3\]",
    ),
    "one dimension": ({"embeddings": np.zeros(2), "labels": [0, 1]}, r"embeddings: \[N, D\]"),
    "empty": ({"embeddings": np.zeros((0, 3)), "labels": np.zeros(0, int)}, "no rows"),
    "fractions": ({"embeddings": np.eye(2), "labels": [0.5, 1.0]}, "labels: whole numbers"),
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


@pytest.mark.parametrize("read", [load_table, EmbeddingTable.load])
@pytest.mark.parametrize("place", ["embeddings", "labels", "ids"])
def test_a_stored_array_is_held_against_its_checksum(tmp_path, read, place):
    """A table that another process is still writing has the right size and wrong numbers."""
    path = tmp_path / "t.npz"
    save_table(TABLE, path)
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo(f"{place}.npy")
    # the last byte of the array itself
    content[content.index(b"PK", member.header_offset + 30 + member.file_size) - 1] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match=rf"t\.npz: .*'{place}\.npy' differs from its checksum"):
        read(path)


def test_a_compressed_array_is_held_against_its_checksum(tmp_path):
    np.savez_compressed(tmp_path / "t.npz", embeddings=np.eye(3), labels=[0, 1, 0])
    content = bytearray((tmp_path / "t.npz").read_bytes())
    with zipfile.ZipFile(tmp_path / "t.npz") as archive:
        checksum = archive.getinfo("embeddings.npy").CRC.to_bytes(4, "little")
    (tmp_path / "t.npz").write_bytes(bytes(content).replace(checksum, b"\1\2\3\4"))
    with pytest.raises(DataError, match="Bad CRC-32"):
        load_table(tmp_path / "t.npz")


def test_an_array_may_not_reach_into_the_next(tmp_path):
    """A header that claims more rows than the member has, with a checksum that is right."""
    whole, short = io.BytesIO(), io.BytesIO()
    np.save(whole, np.ones((4, 3), dtype=np.float32))
    np.save(short, np.arange(4))
    with zipfile.ZipFile(tmp_path / "t.npz", "w") as archive:
        archive.writestr("embeddings.npy", whole.getvalue()[:-12])
        archive.writestr("labels.npy", short.getvalue())
    with pytest.raises(DataError, match=r"'embeddings\.npy' has 36 bytes for a shape of \(4, 3\)"):
        load_table(tmp_path / "t.npz")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_array_may_not_be_there_twice(tmp_path):
    np.savez(tmp_path / "t.npz", embeddings=np.eye(2), labels=[0, 1])
    with zipfile.ZipFile(tmp_path / "t.npz", "a") as archive:
        archive.writestr("labels.npy", archive.read("labels.npy"))
    with pytest.raises(DataError, match=r"'labels\.npy' is there twice"):
        load_table(tmp_path / "t.npz")


@pytest.mark.parametrize("read", [load_table, EmbeddingTable.load])
def test_a_table_that_is_replaced_while_it_is_read_is_one_of_the_two(tmp_path, monkeypatch, read):
    """All arrays come from the file that was opened, whatever has its name by then."""
    path = tmp_path / "t.npz"
    save_table(TABLE, path)
    save_table(EmbeddingTable(-TABLE.embeddings, [9] * 4, list("wxyz")), tmp_path / "other.npz")
    true_header = archives._header

    def replacing(file, name):
        if (tmp_path / "other.npz").exists():
            (tmp_path / "other.npz").replace(path)
        return true_header(file, name)

    monkeypatch.setattr(archives, "_header", replacing)
    found = read(path)
    assert_equal(found)
    assert read(path).labels.tolist() == [9] * 4


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".parquet"])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "loop", "long"])
def test_what_is_no_file_is_refused_at_once(tmp_path, suffix, kind):
    path = tmp_path / f"t{suffix}"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path)
    else:
        path = tmp_path / ("x" * 300 + suffix)
    with pytest.raises(DataError, match=rf"{suffix}: cannot be read \("):
        load_table(path)


def test_odd_names_survive(tmp_path):
    names = ["a\u2028b.jpg", "\u0085", " ", "", "\udc80.jpg", "e\u0301", "\x1b[2J", "图.jpg"]
    table = EmbeddingTable(torch.eye(8), range(8), names, fingerprint="x")
    for suffix in (".npz", ".safetensors"):
        save_table(table, tmp_path / f"t{suffix}")
        assert load_table(tmp_path / f"t{suffix}").ids == names
    np.savez(tmp_path / "b.npz", embeddings=np.eye(2), labels=[0, 1], ids=["é".encode(), b"b"])
    assert load_table(tmp_path / "b.npz").ids == ["é", "b"]
