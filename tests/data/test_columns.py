"""Columns read like the lists they stand for, and processes share their memory."""

import pickle
from array import array
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lookalike.data.columns import Integers, Texts
from lookalike.data.label_files import ImageList, ImageRows, read_image_list
from lookalike.errors import DataError

WHOLE = st.integers(-(2**63), 2**63 - 1)
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=8)  # lone surrogates too


@pytest.mark.parametrize(("column", "values"), [(Integers, WHOLE), (Texts, ANY_TEXT)])
def test_a_column_reads_like_a_list(column, values):
    @given(st.lists(values, max_size=12), st.data())
    def compare(plain, data):
        made = column(plain)
        assert list(made) == plain == [made[i] for i in range(len(made))]
        assert made == plain and len(made) == len(plain) and bool(made) == bool(plain)
        assert made == column(plain) == column(made) and made != [*plain, 0]
        cut = data.draw(st.slices(len(plain)))
        assert list(made[cut]) == plain[cut] and isinstance(made[cut], column)
        assert pickle.loads(pickle.dumps(made)) == plain
        for beyond in (len(plain), -len(plain) - 1):
            with pytest.raises(IndexError):
                made[beyond]
        if plain:
            assert made[-1] == plain[-1]

    compare()


@pytest.mark.parametrize("size", [4095, 4096, 4097, 9000])
def test_iteration_over_the_length_of_a_piece(size):
    paths = [f"{'x' * (i % 7)}/{i}" for i in range(size)]
    assert list(Texts(paths)) == paths
    assert list(Integers(range(size))) == list(range(size))


def test_numbers_are_plain_and_arrays_are_copies():
    labels = Integers([3, 1, 2])
    assert all(type(value) is int for value in [labels[0], *labels, labels[-1]])
    array_of = np.asarray(labels)
    array_of[0] = 9
    assert labels == [3, 1, 2] and array_of.dtype == np.int64
    assert np.asarray(labels, dtype=np.float32).dtype == np.float32
    assert torch.tensor(labels).tolist() == [3, 1, 2]
    assert max(labels) == 3 and sorted(set(labels)) == [1, 2, 3]
    assert Integers(np.array([1, 2])) == Integers(array("q", [1, 2])) == [1, 2]
    with pytest.raises(OverflowError):
        Integers([2**63])
    assert repr(Integers(range(11))).endswith("8, 9, ...], 11 in all)")


def test_another_process_is_sent_names_of_memory_and_not_a_million_texts():
    images = ImageList([f"some/folder/{i}.jpg" for i in range(50_000)], range(50_000), None, [1])
    shares = [images.paths.data, images.paths.ends, images.labels.values, images.lines.values]
    view = images.labels[-1], images.paths[-1], images.lines
    assert not any(tensor.is_shared() for tensor in shares)
    sent = ForkingPickler.dumps(images)
    assert len(sent) < 5_000
    assert all(tensor.is_shared() for tensor in shares)
    # the columns read on when their memory has moved
    assert (images.labels[-1], images.paths[-1], images.lines) == view
    received = pickle.loads(sent)
    received.labels.values[0] = 77
    assert images.labels[0] == 77, "the process had been given a copy"


def test_rows_keep_cameras_that_all_have():
    rows = ImageRows()
    rows.add("a", 1, 5, 7)
    assert rows.listed() == ImageList(["a"], [1], [7], [5])
    assert rows.listed(cameras=False).cameras is None
    plain = ImageRows()
    plain.add("a", 1, 5)
    assert plain.listed().cameras is None and len(plain) == 1


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_a_list_longer_than_a_piece_keeps_its_lines(tmp_path, monkeypatch, newline, bom):
    monkeypatch.setattr("lookalike.data.label_files._CHUNK", 64)
    lines = [f"\u4e2d/{'y' * (i % 90)}{i}.jpg {i} {i % 5}" if i % 4 else "" for i in range(300)]
    file = tmp_path / "list.txt"
    file.write_bytes((bom + newline.join(lines)).encode())
    images = read_image_list(file)
    expected = [(n, line.split()) for n, line in enumerate(lines, start=1) if line]
    assert images.lines == [n for n, _ in expected]
    assert images.paths == [columns[0] for _, columns in expected]
    assert images.cameras == [int(columns[2]) for _, columns in expected]


def test_a_byte_that_is_no_text_is_told_with_its_place_in_a_long_list(tmp_path, monkeypatch):
    monkeypatch.setattr("lookalike.data.label_files._CHUNK", 64)
    good = b"a.jpg 0\n" * 100
    (tmp_path / "list.txt").write_bytes(good + b"\xff.jpg 0\n")
    with pytest.raises(DataError, match=rf"not UTF-8 text \(byte {len(good)}\)"):
        read_image_list(tmp_path / "list.txt")
