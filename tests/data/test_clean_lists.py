"""Clean lists keep every other byte of the list, and never stand in its place."""

import os

import pytest
from planted_faults import plant

from lookalike.data.datasets import label_file, table, veri_wild
from lookalike.data.doctor import (
    AllRows,
    Finding,
    ListedSplit,
    diagnose,
    examine_files,
    write_clean_lists,
)
from lookalike.data.image_files import listed_only
from lookalike.errors import DataError, SetupError

BROKEN = {
    "gone.jpg", "empty.jpg", "text.jpg", "cut.jpg", "cut.png", "cut.gif", "cut.webp", "cut.bmp",
    "flipped.png", "bomb.png", "folder.jpg",
}  # fmt: skip
TWO_LABELS = {"two_minds.jpg", "good/2_1.jpg"}


def split_of(root, text, name="list.txt", reader=label_file, split="Train", **options):
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_bytes(text.encode())
    with listed_only():
        dataset = reader(str(root), str(root / name), **options)
    return ListedSplit.of(split, "train", dataset)


def bad(split, *rows, kind="truncated"):
    return [split.finding(row, kind, "") for row in rows]


def test_the_clean_list_trains_without_a_fault_of_its_kinds(tmp_path):
    plant(tmp_path)
    with listed_only():
        dataset = veri_wild(str(tmp_path / "images"), str(tmp_path / "train.txt"))
    splits = [ListedSplit.of("Train", "train", dataset)]
    rows = AllRows(splits)
    found = diagnose(rows, examine_files(rows.files, workers=0)).findings
    before = (tmp_path / "train.txt").read_bytes()
    (written,) = write_clean_lists(splits, found, tmp_path / "clean.txt")
    assert (tmp_path / "train.txt").read_bytes() == before
    kept = veri_wild(str(tmp_path / "images"), str(tmp_path / "clean.txt"))
    assert set(dataset.paths) - set(kept.paths) == BROKEN | TWO_LABELS
    assert (written.num_rows, written.num_left_out) == (len(dataset), 13)
    assert len(kept) == len(dataset) - 13
    for index in range(len(kept)):
        kept[index]
    assert sorted(os.listdir(tmp_path)) == [
        "clean.txt", "gallery.txt", "images", "query.txt", "train.txt"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a 0\nb 1\nc 2\n", "a 0\nc 2\n"),
        ("a 0\r\nb 1\r\nc 2", "a 0\r\nc 2"),
        ("\ufeffb 1\n\n  \na 0\n", "\n  \na 0\n"),
        ("a 0\n\n\nb 1\nc 2\n\n", "a 0\n\n\nc 2\n\n"),
        ("é 0\nb 1\rü 2\n", "é 0\nü 2\n"),
    ],
)
def test_all_other_bytes_stay(tmp_path, text, expected):
    split = split_of(tmp_path, text)
    row = list(split.paths).index("b")
    write_clean_lists([split], bad(split, row), tmp_path / "clean.txt")
    assert (tmp_path / "clean.txt").read_bytes().decode() == expected


def test_a_table_keeps_its_header_and_whole_rows(tmp_path):
    text = (
        'note,path,label\n"two\nlines",a.jpg,0\nx,"b.jpg",1\n"three\n\nlines",c.jpg,2\ny,d.jpg,3\n'
    )
    split = split_of(tmp_path, text, "t.csv", table)
    assert split.lines == [3, 4, 7, 8]
    write_clean_lists([split], bad(split, 0, 2), tmp_path / "clean.csv")
    assert (tmp_path / "clean.csv").read_text() == 'note,path,label\nx,"b.jpg",1\ny,d.jpg,3\n'


def test_quotes_of_a_plain_list_are_no_quotes(tmp_path):
    split = split_of(tmp_path, 'a" 0\nb" 1\nc 2\n', "l.csv")
    write_clean_lists([split], bad(split, 1), tmp_path / "clean.csv")
    assert (tmp_path / "clean.csv").read_text() == 'a" 0\nc 2\n'


def test_parquet_keeps_its_columns(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = {"path": ["a", "b", "c"], "label": [0, 1, 2], "more": [0.5, 0.25, None]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    with listed_only():
        dataset = table(str(tmp_path), str(tmp_path / "t.parquet"))
    split = ListedSplit.of("Train", "train", dataset)
    write_clean_lists([split], bad(split, 1), tmp_path / "clean.parquet")
    kept = parquet.read_table(tmp_path / "clean.parquet").to_pydict()
    assert kept == {"path": ["a", "c"], "label": [0, 2], "more": [0.5, None]}


def test_several_lists_go_into_a_folder_under_their_names(tmp_path):
    train = split_of(tmp_path, "a 0\nb 1\n", "one/list.txt")
    query = split_of(tmp_path, "a 0\nb 1\n", "two/list.txt", split="Query")
    gallery = split_of(tmp_path, "a 0\n", "two/gallery.txt", split="Gallery")
    splits = [train, query, gallery]
    write_clean_lists(splits, bad(query, 1), tmp_path / "clean")
    assert {path.name: path.read_text() for path in (tmp_path / "clean").iterdir()} == {
        "Train_list.txt": "a 0\nb 1\n",
        "Query_list.txt": "a 0\n",
        "gallery.txt": "a 0\n",
    }
    with pytest.raises(DataError, match=r"names one file, and there are 3 lists .*give a folder"):
        write_clean_lists(splits, [], tmp_path / "clean.txt")


def test_a_list_of_two_splits_loses_what_either_loses(tmp_path):
    train = split_of(tmp_path, "a 0\nb 1\nc 2\n")
    query = ListedSplit.of("Query", "query", _again(tmp_path))
    write_clean_lists([train, query], [*bad(train, 0), *bad(query, 1)], tmp_path / "clean.txt")
    assert (tmp_path / "clean.txt").read_text() == "c 2\n"


def _again(root):
    with listed_only():
        return label_file(str(root), str(root / "list.txt"))


@pytest.mark.parametrize("disguise", ["itself", "symbolic link", "hard link", "other spelling"])
def test_the_input_is_never_overwritten(tmp_path, disguise):
    split = split_of(tmp_path, "a 0\nb 1\n")
    target = tmp_path / "clean.txt"
    if disguise == "itself":
        target = tmp_path / "list.txt"
    elif disguise == "symbolic link":
        target.symlink_to("list.txt")
    elif disguise == "hard link":
        target.hardlink_to(tmp_path / "list.txt")
    else:
        target = tmp_path / "." / ".." / tmp_path.name / "list.txt"
    with pytest.raises(DataError, match="never overwritten"):
        write_clean_lists([split], bad(split, 1), target)
    assert (tmp_path / "list.txt").read_text() == "a 0\nb 1\n"
    folder = tmp_path  # in which the list has its own name
    with pytest.raises(DataError, match="never overwritten"):
        write_clean_lists([split], bad(split, 1), folder)


def test_an_older_clean_list_is_replaced(tmp_path):
    split = split_of(tmp_path, "a 0\nb 1\n")
    (tmp_path / "clean.txt").write_text("old")
    write_clean_lists([split], bad(split, 1), tmp_path / "clean.txt")
    assert (tmp_path / "clean.txt").read_text() == "a 0\n"


def test_a_failure_leaves_the_older_one(tmp_path, monkeypatch):
    split = split_of(tmp_path, "a 0\nb 1\n")
    (tmp_path / "clean.txt").write_text("old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SetupError, match="No space left"):
        write_clean_lists([split], bad(split, 1), tmp_path / "clean.txt")
    assert (tmp_path / "clean.txt").read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == ["clean.txt", "list.txt"]


def test_a_list_that_changed_meanwhile_is_told(tmp_path):
    split = split_of(tmp_path, "a 0\nb 1\n")
    (tmp_path / "list.txt").write_text("new 0\na 0\nb 1\n")
    with pytest.raises(DataError, match=r"list\.txt:2: has changed"):
        write_clean_lists([split], bad(split, 1), tmp_path / "clean.txt")


def test_nothing_left_is_an_error_and_writes_nothing(tmp_path):
    split = split_of(tmp_path, "a 0\nb 1\n")
    with pytest.raises(DataError, match="every image would be left out"):
        write_clean_lists([split], bad(split, 0, 1), tmp_path / "clean.txt")
    assert not (tmp_path / "clean.txt").exists()


def test_only_broken_and_contradictory_images_are_left_out(tmp_path):
    from lookalike.data.doctor import KINDS

    split = split_of(tmp_path, "a 0\nb 1\n")
    left_out = set()
    for kind in KINDS:
        write_clean_lists([split], bad(split, 1, kind=kind), tmp_path / "clean.txt")
        if (tmp_path / "clean.txt").read_text() == "a 0\n":
            left_out.add(kind)
    assert left_out == {
        "missing", "empty", "not_an_image", "truncated", "damaged", "too_large", "unreadable",
        "conflict",
    }  # fmt: skip


def test_a_finding_of_no_row_takes_none(tmp_path):
    split = split_of(tmp_path, "a 0\nb 1\n")
    write_clean_lists([split], [Finding("sampler", "Train", "")], tmp_path / "clean.txt")
    assert (tmp_path / "clean.txt").read_text() == "a 0\nb 1\n"
