"""The same image is the same file, however its path is written."""

import os
from types import SimpleNamespace

import pytest

from lookalike.data.datasets import MixedDataset, veri_wild
from lookalike.data.image_identity import image_identities


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images" / "a").mkdir(parents=True)
    for name in ("1", "2"):
        (tmp_path / "images" / "a" / f"{name}.jpg").write_bytes(b"x")
    (tmp_path / "images" / "a" / "link.jpg").symlink_to("1.jpg")
    (tmp_path / "other").symlink_to("images")
    (tmp_path / "chain").symlink_to("other/a")
    return tmp_path


def identity(root, path, **more):
    return image_identities(SimpleNamespace(image_root=root, paths=[path], **more))[0]


@pytest.mark.parametrize(
    ("root", "path"),
    [
        ("images", "a/1.jpg"),
        ("images", "./a/1.jpg"),
        ("images", "a//1.jpg"),
        ("images", "a/./1.jpg"),
        ("images", "a/../a/1.jpg"),
        ("images/", "a/link.jpg"),
        ("./images/a", "1.jpg"),
        ("other", "a/1.jpg"),
        ("other/a", "link.jpg"),
        ("chain", "1.jpg"),
        ("chain", "link.jpg"),
        (".", "other/a/link.jpg"),
    ],
)
def test_every_spelling_of_a_path_is_one_image(folder, monkeypatch, root, path):
    expected = os.path.realpath(folder / "images" / "a" / "1.jpg")
    assert identity(folder / root, path) == expected
    monkeypatch.chdir(folder)
    assert identity(root, path) == expected


def test_other_files_and_other_boxes_are_other_images(folder):
    assert identity(folder / "images", "a/2.jpg") != identity(folder / "images", "a/1.jpg")
    boxes = [
        identity(folder / "images", "a/1.jpg", boxes=[(0, 0, 9, right)]) for right in (8, 9, 9)
    ]
    assert boxes[0] != boxes[1] == boxes[2]


def test_files_that_are_missing_are_told_apart_by_their_paths(tmp_path):
    assert identity(tmp_path, "x/./no.jpg") == identity(tmp_path / "x", "no.jpg")
    assert identity(tmp_path, "x/no.jpg") != identity(tmp_path, "x/none.jpg")


def test_a_mixed_data_set_has_the_images_of_its_parts(folder):
    (folder / "list.txt").write_text("a/1.jpg 0\na/2.jpg 1\n")
    one, other = (
        veri_wild(str(folder / root), str(folder / "list.txt")) for root in ("images", "other")
    )
    assert image_identities(MixedDataset([one, other])) == 2 * image_identities(one)
