"""The parts of a table: what is accepted, and what is refused by name."""

import numpy as np
import pytest
import torch

from lookalike.errors import DataError
from lookalike.table_parts import read_embeddings, read_integers, read_names
from lookalike.types import EmbeddingTable

WHOLE = {
    "list": [1, 0, 2],
    "tuple": (1, 0, 2),
    "range": range(3),
    "numpy": np.array([1, 0, 2]),
    "int8": np.array([1, 0, 2], np.int8),
    "uint64": np.array([1, 0, 2], np.uint64),
    "other byte order": np.array([1, 0, 2], ">i4"),
    "read only": np.broadcast_to(np.int64(1), 3),
    "reversed": np.arange(3)[::-1],
    "column": torch.tensor([[1], [0], [2]]),
    "tensor of int32": torch.tensor([1, 0, 2], dtype=torch.int32),
    "list of tensors": list(torch.tensor([1, 0, 2])),
}


@pytest.mark.parametrize("name", WHOLE)
def test_whole_numbers_of_every_kind_are_read(name):
    found = read_integers(WHOLE[name], 3, "labels")
    assert found.dtype == torch.int64
    assert found.tolist() == np.asarray([int(x) for x in WHOLE[name]]).tolist()


WRONG_NUMBERS = {
    "fractions": ([0.1, 0.9, 0.5], "whole numbers expected, got float64"),
    "whole floats": (torch.tensor([1.0, 2.0, 3.0]), "whole numbers expected, got float32"),
    "truth values": (torch.ones(3).bool(), "whole numbers expected, got bool"),
    "complex": (np.ones(3, np.complex128), "whole numbers expected, got complex128"),
    "texts": (["a", "b", "c"], r"numbers expected, got \['a', 'b', 'c'\]"),
    "nothing": ([1, None, 2], r"numbers expected, got \[1, None, 2\]"),
    "too large": ([1, 2**63, 2], "9223372036854775808 does not fit into 64 bits"),
    "far too large": ([1, -(2**70), 2], "-1180591620717411303424 does not fit into 64 bits"),
    "too few": ([1, 2], r"3 expected, one for each row, got \[2\]"),
    "too many": (torch.arange(300), r"3 expected, one for each row, got \[300\]"),
    "a matrix": (torch.zeros(3, 2, dtype=torch.int64), r"3 expected, .* got \[3, 2\]"),
    "one number": (5, r"3 expected, one for each row, got \[\]"),
    "unsigned": (np.array([1, 2**63, 2], np.uint64), "9223372036854775808 does not fit"),
    "ragged": ([[1], [2, 3], [4]], "no array of numbers"),
    "sparse": (torch.ones(3, dtype=torch.int64).to_sparse(), "a plain tensor expected"),
    "meta": (torch.empty(3, dtype=torch.int64, device="meta"), r"without data \(meta\)"),
}


@pytest.mark.parametrize("name", WRONG_NUMBERS)
def test_numbers_that_are_not_whole_are_refused(name):
    values, message = WRONG_NUMBERS[name]
    with pytest.raises(DataError, match=f"^cams: .*{message}"):
        read_integers(values, 3, "cams")


REAL = [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int8, torch.uint8]


@pytest.mark.parametrize("dtype", REAL)
def test_embeddings_keep_their_type_and_memory(dtype):
    values = torch.ones(3, 2).to(dtype)
    found = read_embeddings(values)
    assert found.dtype == dtype
    assert found.data_ptr() == values.data_ptr()


WRONG_EMBEDDINGS = {
    "complex": (torch.ones(3, 2, dtype=torch.complex64), "real numbers expected, got complex64"),
    "one dimension": (torch.ones(3), r"\[N, D\], .* got \[3\]"),
    "three dimensions": (torch.ones(3, 2, 1), r"got \[3, 2, 1\]"),
    "no columns": (torch.ones(3, 0), r"got \[3, 0\]"),
    "texts": ([["a"]], "numbers expected"),
    "nothing": (None, "numbers expected"),
    "ragged": ([[1.0], [1.0, 2.0]], "no array of numbers"),
    "dates": (np.zeros((2, 2), "M8[D]"), "numbers expected, got datetime64"),
    "sparse": (torch.eye(3).to_sparse(), "a plain tensor expected"),
    "meta": (torch.empty(3, 2, device="meta"), "a plain tensor expected"),
}


@pytest.mark.parametrize("name", WRONG_EMBEDDINGS)
def test_what_is_no_matrix_of_real_numbers_is_refused(name):
    values, message = WRONG_EMBEDDINGS[name]
    with pytest.raises(DataError, match=f"embeddings: .*{message}"):
        read_embeddings(values)


def test_names_are_texts():
    assert read_names(("a", "b"), 2) == ["a", "b"]
    assert read_names(np.array(["a", "b"]), 2) == ["a", "b"]
    assert read_names([b"\xc3\xa9", 7], 2) == ["é", "7"]
    for values, message in (
        (["a"], "2 expected, one for each row, got 1"),
        (["a", None], "row 1 is no text, None"),
        (["a", 0.5], "row 1 is no text, 0.5"),
        (["a", True], "row 1 is no text, True"),
        (["a", "b\0"], "row 1 holds a NUL character"),
        ([b"a", b"\xff"], "row 1 is not UTF-8"),
        ("ab", "a list of texts expected, got 'ab'"),
        (None, "a list of texts expected, got None"),
        (np.array([["a", "b"]]), r"one for each row expected, got \[1, 2\]"),
    ):
        with pytest.raises(DataError, match=f"ids: {message}"):
            read_names(values, 2)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("labels", torch.arange(3)),
        ("labels", torch.arange(300)),
        ("labels", torch.ones(4).bool()),
        ("labels", torch.rand(4)),
        ("ids", ["a"]),
        ("ids", ["a", "b", None, "d"]),
        ("cameras", torch.rand(4)),
        ("cameras", torch.arange(5)),
        ("embeddings", torch.randn(4, 3, dtype=torch.complex64)),
        ("embeddings", torch.zeros(4, 0)),
        ("embeddings", torch.ones(4)),
        ("fingerprint", 7),
    ],
)
def test_a_table_names_the_part_that_does_not_fit(part, value):
    parts = {"embeddings": torch.randn(4, 3), "labels": [0, 1, 0, 1], "ids": list("abcd")}
    EmbeddingTable(**parts)
    with pytest.raises(DataError, match=f"^{part}: "):
        EmbeddingTable(**{**parts, part: value})


def test_a_table_takes_lists_and_drops_gradients(tmp_path):
    embeddings = torch.randn(2, 3, requires_grad=True)
    table = EmbeddingTable(embeddings, [5, 6], ("a", "b"), [1, 2])
    assert not table.embeddings.requires_grad
    assert (table.labels.tolist(), table.ids, table.cameras.tolist()) == (
        [5, 6],
        ["a", "b"],
        [1, 2],
    )
    table.save(tmp_path / "t.npz")
    assert EmbeddingTable.load(tmp_path / "t.npz").ids == ["a", "b"]
    assert EmbeddingTable([[1, 2]], [0], ["a"]).embeddings.tolist() == [[1, 2]]
