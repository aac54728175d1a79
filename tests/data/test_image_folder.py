"""Folders as classes: what is no image of a class is skipped, and reported."""

import os

import pytest
from PIL import Image

from lookalike.data.datasets import MixedDataset, image_folder
from lookalike.errors import DataError


@pytest.fixture
def folder(tmp_path):
    for name in ("zebra", "ant", "my cat"):
        (tmp_path / name).mkdir()
        for number in range(2):
            Image.new("RGB", (4, 4)).save(tmp_path / name / f"{number}.png")
    return tmp_path


def read(root):
    dataset = image_folder(str(root))
    named = [dataset.class_names[label] for label in dataset.labels]
    return dict(zip(dataset.paths, named, strict=True)), dataset.images.notes


EXPECTED = {f"{name}/{n}.png": name for name in ("ant", "my cat", "zebra") for n in range(2)}


@pytest.mark.parametrize(
    "litter",
    [
        ".ipynb_checkpoints/x.png",
        ".git/objects/a.png",
        "@eaDir/1.png",
        "__MACOSX/ant/._0.png",
        "$RECYCLE.BIN/1.png",
        "ant/._0.png",
        "ant/.hidden.jpg",
        "ant/.ipynb_checkpoints/0-checkpoint.png",
        "ant/@eaDir/0.png/SYNOPHOTO_THUMB_M.jpg",
        "ant/Thumbs.db",
        "ant/notes.txt",
        "README.png",
        "latest/",
        ".empty/",
    ],
)
def test_what_is_no_image_of_a_class_is_skipped_and_reported(folder, litter):
    path = folder / litter
    if litter.endswith("/"):
        path.mkdir()
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    found, notes = read(folder)
    assert found == EXPECTED
    assert len(notes) == 1
    assert str(folder) in notes[0]
    assert "skipped 1 " in notes[0]


def test_nothing_is_reported_of_a_clean_folder(folder):
    assert read(folder) == (EXPECTED, ())


def test_images_of_sub_folders_belong_to_the_class(folder):
    (folder / "ant" / "2024" / "may").mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(folder / "ant" / "2024" / "may" / "5.PNG")
    assert read(folder)[0] == {**EXPECTED, "ant/2024/may/5.PNG": "ant"}


def test_a_folder_named_minus_one_is_junk(folder):
    (folder / "-1").mkdir()
    Image.new("RGB", (4, 4)).save(folder / "-1" / "0.png")
    found, notes = read(folder)
    assert found == EXPECTED
    assert notes == ("1 image with the label -1 (junk) left out.",)


def test_broken_links_are_reported(folder):
    (folder / "ant" / "gone.png").symlink_to("nowhere.png")
    found, notes = read(folder)
    assert found == EXPECTED
    assert "broken links or special files (ant/gone.png)" in notes[0]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_cannot_be_read_is_an_error(folder):
    (folder / "ant").chmod(0)
    with pytest.raises(DataError, match="ant: cannot be read"):
        read(folder)


def test_parts_of_a_mixed_data_set_share_their_classes(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    for name in ("bee", "zebra"):
        (other / name).mkdir()
        Image.new("RGB", (4, 4)).save(other / name / "9.png")
    mixed = MixedDataset([image_folder(str(folder)), image_folder(str(other))])
    named = [mixed.class_names[label] for label in mixed.labels]
    assert named == ["ant", "ant", "my cat", "my cat", "zebra", "zebra", "bee", "zebra"]
    assert [mixed[row].label for row in range(len(mixed))] == list(mixed.labels)
