"""Names of classes and cameras: numbers, floats, junk, and one numbering for several splits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike.names import is_junk, numbered, share_names


def read(values, what="label"):
    problems = []
    found = numbered(values, range(1, len(values) + 1), what, lambda *at: problems.append(at))
    return found, problems


@pytest.mark.parametrize("values", [["1.0", "2"], [1.0, 2], ["1e3", "4"], ["nan", "1"], [0.5, "a"]])
def test_floats_are_refused_where_whole_numbers_are_expected(values):
    _, problems = read(values)
    assert [line for line, _ in problems] == [1]
    assert "must be a whole number or a name" in problems[0][1]


@pytest.mark.parametrize("values", [["9.3", "X5"], ["a", "1"], ["1" * 19, "2"], [True, False]])
def test_names_that_hold_digits_are_names(values):
    (numbers, names), problems = read(values)
    assert not problems
    assert [names[number] for number in numbers] == [str(value) for value in values]


def test_negative_labels_are_refused_and_negative_cameras_are_numbers():
    assert read([0, -3])[1] == [(2, "labels start at 0 (-1 marks junk), got -3.")]
    assert read([0, -3], "camera") == (([0, -3], None), [])


@pytest.mark.parametrize(
    ("written", "junk"), [(-1, True), ("-1", True), (" -1 ", True), ("-10", False), (True, False)]
)
def test_junk(written, junk):
    assert is_junk(written) is junk


NAMES = st.lists(st.sampled_from(["ant", "bee", "7", "007", "12", "-1x"]), min_size=1, max_size=9)


@given(NAMES, NAMES)
def test_equal_names_are_equal_numbers_and_only_these(first, second):
    columns = []
    for names in (first, second):
        known = sorted(set(names))
        columns.append(([known.index(name) for name in names], known))
    (left, right), shared = share_names(columns)
    numeric = {"7", "007", "12"} >= {*first, *second}
    injective = (
        all(len({int(n) for n in set(c)}) == len(set(c)) for c in (first, second))
        if numeric
        else False
    )
    key = (lambda name: int(name)) if numeric and injective else (lambda name: name)
    for i, one in enumerate(first):
        for j, other in enumerate(second):
            assert (left[i] == right[j]) == (key(one) == key(other))
    assert [key(shared[n]) for n in left] == [key(name) for name in first]


def test_numbers_of_a_list_stay_when_no_split_has_names():
    (left, right), names = share_names([([5, 9], None), ([9], None)])
    assert (left.tolist(), right.tolist(), names) == ([5, 9], [9], None)


def test_a_list_of_numbers_meets_folders_named_by_numbers():
    (left, right), names = share_names([([12, 7], None), ([0, 1], ["007", "012"])])
    assert left.tolist() == [right[1], right[0]]
    assert [int(name) for name in names] == [7, 12]


def test_classes_of_a_trained_head_keep_their_places():
    (found,), names = share_names([([0, 1, 2], ["bee", "cow", "yak"])], known=["yak", "emu", "bee"])
    assert found.tolist() == [2, 3, 0]
    assert names == ["yak", "emu", "bee", "cow"]


def test_the_first_columns_classes_come_first_in_their_own_order_also_without_images():
    _, names = share_names([([1], ["b", "a"]), ([0], ["c"])])
    assert names == ["b", "a", "c"]
    assert np.unique(names).size == 3
