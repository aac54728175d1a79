"""Tables in Parquet: every form of list is read as it is, or refused with its first bad row."""

import numpy as np
import pytest
import torch

from lookalike.errors import DataError
from lookalike.inference.table_files import load_table

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

ROWS = [[1.0, 0.5, 0.0], [0.0, 2.0, -1.0], [0.25, 0.0, 1.0], [3.0, 1.0, 0.0]]
LISTS = {
    "list": pa.list_(pa.float32()),
    "list of float64": pa.list_(pa.float64()),
    "list of float16": pa.list_(pa.float16()),
    "large list": pa.large_list(pa.float32()),
    "list view": pa.list_view(pa.float32()),
    "large list view": pa.large_list_view(pa.float32()),
}
FIXED = pa.list_(pa.float32(), 3)


def column(rows, kind):
    if kind == LISTS["list of float16"]:
        rows = [row if row is None else [x if x is None else np.float16(x) for x in row]
                for row in rows]  # fmt: skip
    return pa.array(rows, kind)


def cuts(array):
    """The same rows whole, in two chunks, and as a part of a longer array."""
    longer = pa.concat_arrays([array.slice(0, 1), array, array.slice(0, 2)]).slice(1, len(array))
    return {
        "whole": pa.chunked_array([array]),
        "chunks": pa.chunked_array([array.slice(0, 1), array.slice(1, 0), array.slice(1)]),
        "part": pa.chunked_array([longer]),
    }


def written(folder, embeddings, **options):
    count = len(embeddings)
    columns = {"labels": pa.array([0, 1] * (count // 2) + [0] * (count % 2)), **options}
    path = folder / "t.parquet"
    parquet.write_table(pa.table({"embeddings": embeddings, **columns}), path, row_group_size=2)
    return path


@pytest.mark.parametrize("cut", ["whole", "chunks", "part"])
@pytest.mark.parametrize("kind", [*LISTS, "fixed"])
def test_every_form_of_list_is_read_as_it_is(tmp_path, kind, cut):
    array = column(ROWS, FIXED if kind == "fixed" else LISTS[kind])
    found = load_table(written(tmp_path, cuts(array)[cut]))
    assert found.embeddings.tolist() == ROWS
    assert found.labels.tolist() == [0, 1, 0, 1]
    assert found.ids == ["0", "1", "2", "3"]


BAD = {
    "null row": ([ROWS[0], ROWS[1], None, ROWS[3]], "is null in row 2"),
    "null first": ([None, ROWS[1], ROWS[2], ROWS[3]], "is null in row 0"),
    "shorter": ([ROWS[0], [1.0], ROWS[2], ROWS[3]], "has 1 numbers in row 1 and 3 in row 0"),
    "longer": ([ROWS[0], ROWS[1], ROWS[2], [0.0] * 4], "has 4 numbers in row 3 and 3 in row 0"),
    "empty": ([ROWS[0], ROWS[1], ROWS[2], []], "has 0 numbers in row 3 and 3 in row 0"),
    # as many numbers as four rows of three
    "same total": ([ROWS[0], [1.0] * 4, [1.0] * 2, ROWS[3]], "has 4 numbers in row 1"),
    "null number": ([ROWS[0], [1.0, None, 0.0], *ROWS[2:]], "null among the numbers of row 1"),
    "no numbers": ([[], [], [], []], "at least one column, expected"),
}


@pytest.mark.parametrize("cut", ["whole", "chunks", "part"])
@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("name", BAD)
def test_lists_that_are_missing_or_unequal_are_refused(tmp_path, name, kind, cut):
    rows, message = BAD[name]
    path = written(tmp_path, cuts(column(rows, LISTS[kind]))[cut])
    with pytest.raises(DataError, match=rf"t\.parquet: .*{message}"):
        load_table(path)


@pytest.mark.parametrize("cut", ["whole", "chunks", "part"])
@pytest.mark.parametrize("name", ["null row", "null first", "null number"])
def test_nulls_in_lists_of_fixed_size_are_refused(tmp_path, name, cut):
    rows, message = BAD[name]
    with pytest.raises(DataError, match=message):
        load_table(written(tmp_path, cuts(pa.array(rows, FIXED))[cut]))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([1.0, 2.0], "is a column of double; lists of numbers"),
        ([["a"], ["b"]], "has lists of string"),
        ([[[1.0]], [[2.0]]], "has lists of list"),
        ([{"a": 1.0}, {"a": 2.0}], "is a column of struct"),
        ([[True], [False]], "has lists of bool"),
        ([None, None], "is null in row 0"),
    ],
)
def test_other_columns_are_no_embeddings(tmp_path, rows, message):
    with pytest.raises(DataError, match=message):
        load_table(written(tmp_path, pa.array(rows)))


def test_a_tensor_column_and_dictionaries(tmp_path):
    storage = pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float32(), 2))
    tensors = pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(pa.float32(), [2]), storage)
    path = written(
        tmp_path,
        tensors,
        ids=pa.array(["a", "b"]).dictionary_encode(),
        cameras=pa.array([7, 8], pa.uint8()),
        fingerprint=pa.array(["x", "x"]),
        note=pa.array([None, {"any": 1}]),
    )
    found = load_table(path)
    assert found.embeddings.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert (found.ids, found.cameras.tolist(), found.fingerprint) == (["a", "b"], [7, 8], "x")


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("labels", pa.array([0, None]), "'labels' is null in row 1"),
        ("labels", pa.array([0.0, 1.0]), "labels: whole numbers expected, got float64"),
        ("labels", pa.array([True, False]), "labels: whole numbers expected, got bool"),
        ("labels", pa.array(["a", "b"]), r"labels: numbers expected, got \['a', 'b'\]"),
        ("labels", pa.array([0, 2**64 - 1], pa.uint64()), "does not fit into 64 bits"),
        ("ids", pa.array(["a", None]), "'ids' is null in row 1"),
        ("ids", pa.array(["a", None]).dictionary_encode(), "'ids' is null in row 1"),
        ("ids", pa.array([0.5, 1.5]), "ids: row 0 is no text"),
        ("cameras", pa.array([None, 1]), "'cameras' is null in row 0"),
        ("cameras", pa.array([0.1, 0.9]), "cameras: whole numbers expected, got float64"),
        ("fingerprint", pa.array(["x", "y"]), "all rows of a table are of one model"),
    ],
)
def test_other_columns_are_checked(tmp_path, name, values, message):
    embeddings = pa.array([[1.0, 2.0], [3.0, 4.0]])
    columns = {"embeddings": embeddings, "labels": pa.array([0, 1]), name: values}
    parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=message):
        load_table(tmp_path / "t.parquet")


def test_float64_is_narrowed_only_where_nothing_is_lost(tmp_path):
    def dtype_of(number):
        return load_table(written(tmp_path, pa.array([[number], [1.0]]))).embeddings.dtype

    assert dtype_of(0.5) == torch.float32
    assert dtype_of(float("nan")) == torch.float32
    assert [dtype_of(number) for number in (0.1, 1e300, 1e-300)] == [torch.float64] * 3
