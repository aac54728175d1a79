"""Packed images are the images that were packed, and a pack that is not whole is refused."""

import io
import json
import os
import pickle
import tarfile

import numpy as np
import pytest
import torch
from conftest import make_images, train_in_two_parts, trainer_of, write_list
from PIL import Image
from torch.utils.data import DataLoader

from lookalike import build
from lookalike.data.datasets import packed, veri_wild
from lookalike.data.pack import pack_images
from lookalike.data.shards import INDEX
from lookalike.errors import DataError, SetupError


@pytest.fixture
def files(tmp_path):
    """24 images, one of them a PNG with an odd name, with cameras."""
    rows = make_images(tmp_path)
    odd = "005/my.\u4e2d.photo.JPG"
    Image.new("RGB", (9, 7), (1, 2, 3)).save(tmp_path / "images" / odd, "PNG")
    return veri_wild(
        str(tmp_path / "images"), str(write_list(tmp_path / "train.txt", [*rows, (odd, 9, 4)]))
    )


@pytest.fixture
def pack(files, tmp_path):
    pack_images(files, tmp_path / "pack", shard_bytes=6_000)
    return tmp_path / "pack"


NPY = b"\x93NUMPY\x01\x00v\x00{'descr': '<i8', 'fortran_order': False, 'shape': (0,), }" + 60 * b" "


def arrays_of(pack):
    with np.load(pack / INDEX) as stored:
        return dict(stored)


def test_every_sample_is_the_same_to_the_bit(files, pack):
    made = packed(str(pack))
    assert len(list(pack.glob("shard-*.tar"))) > 2
    assert (made.paths, made.labels, made.cameras) == (files.paths, files.labels, files.cameras)
    assert made.image_root == files.image_root.resolve()
    for index in reversed(range(len(files))):
        one, other = made[index], files[index]
        assert torch.equal(one.image, other.image)
        assert (one.label, one.camera, one.index) == (other.label, other.camera, other.index)
        path = files.image_root / files.paths[index]
        assert made.file_bytes(index) == path.read_bytes()


def test_shards_are_tar_files_in_the_convention_of_webdataset(files, pack):
    seen = []
    for shard in sorted(pack.glob("shard-*.tar")):
        with tarfile.open(shard) as tar:
            members = tar.getmembers()
            for image, facts in zip(members[::2], members[1::2], strict=True):
                key, suffix = image.name.split(".")
                assert facts.name == f"{key}.json" and int(key) == len(seen)
                about = json.load(tar.extractfile(facts))
                data = tar.extractfile(image).read()
                kind = Image.open(io.BytesIO(data)).format
                assert {"JPEG": "jpg", "PNG": "png"}[kind] == suffix
                assert data == (files.image_root / about["path"]).read_bytes()
                seen.append((about["path"], about["label"], about["camera"]))
    assert seen == list(zip(files.paths, files.labels, files.cameras, strict=True))


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_read_it(files, pack, workers):
    made = packed(str(pack))
    made[3]  # a file is open when the workers start
    again = pickle.loads(pickle.dumps(made))
    assert again.files.open == {}
    for dataset in (made, again):
        loader = DataLoader(dataset, batch_size=None, num_workers=workers)
        assert all(torch.equal(s.image, files[s.index].image) for s in loader)


def test_few_files_stay_open(pack, monkeypatch):
    monkeypatch.setattr("lookalike.data.shards._MAX_OPEN", 2)
    made = packed(str(pack))
    before = len(os.listdir("/proc/self/fd"))
    for index in range(len(made)):
        made[index]
    assert len(made.files.open) == 2
    assert len(os.listdir("/proc/self/fd")) == before + 2
    del made
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_broken_image_is_told_and_nothing_is_written(files, tmp_path):
    for name in ("000/000.jpg", "003/001.jpg"):
        (tmp_path / "images" / name).write_bytes(b"not a picture")
    with pytest.raises(DataError) as caught:
        pack_images(files, tmp_path / "new")
    first, second, last = str(caught.value).split("\n")
    assert "000/000.jpg: not an image" in first and "003/001.jpg" in second
    assert last == "Nothing was packed."
    assert not [p for p in tmp_path.iterdir() if "new" in p.name]


def test_a_folder_that_holds_something_is_refused(files, tmp_path, pack):
    for folder in (pack, tmp_path / "train.txt"):
        with pytest.raises(SetupError, match="not empty"):
            pack_images(files, folder)
    (tmp_path / "empty").mkdir()
    pack_images(files, tmp_path / "empty")
    assert len(packed(str(tmp_path / "empty"))) == len(files)


def test_a_stop_leaves_nothing_behind(files, tmp_path):
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack_images(files, tmp_path / "new", advance=stop)
    assert not [p for p in tmp_path.iterdir() if "new" in p.name]


def test_changed_bytes_are_told_with_shard_and_member(pack):
    shard, arrays = pack / "shard-000000.tar", arrays_of(pack)
    data = bytearray(shard.read_bytes())
    data[int(arrays["offsets"][0]) + 5] ^= 1
    shard.write_bytes(data)
    made = packed(str(pack))
    made[1]
    with pytest.raises(DataError, match=r"shard-000000\.tar: 000000000\.\* \(000/000\.jpg\)"):
        made[0]


def test_a_failing_transform_is_told_with_shard_and_member(pack):
    def fail(image):
        raise KeyError("colour")

    made = packed(str(pack), transforms=fail)
    with pytest.raises(DataError, match=r"shard-0000.*\(000/001\.jpg\): a transform failed"):
        made[1]


def test_shards_that_are_not_those_of_the_index_are_refused(pack):
    shard = pack / "shard-000001.tar"
    good = shard.read_bytes()
    shard.write_bytes(good[:-1])
    with pytest.raises(DataError, match=r"shard-000001\.tar: has .* bytes; the index describes"):
        packed(str(pack))
    shard.unlink()
    with pytest.raises(DataError, match=r"shard-000001\.tar: is missing"):
        packed(str(pack))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("offsets", lambda a: a + 10**9),
        ("offsets", lambda a: a - 10**6),
        ("sizes", lambda a: a * 0),
        ("sizes", lambda a: a + 2**62),
        ("shards", lambda a: a + 99),
        ("shards", lambda a: a - 99),
        ("labels", lambda a: a[:-1]),
        ("labels", lambda a: a - 100),
        ("checks", lambda a: a.astype(float)),
        ("path_ends", lambda a: a[::-1]),
        ("path_ends", lambda a: a + 1),
        ("paths", lambda a: a * 0 + 255),
        ("paths", lambda a: np.frombuffer(b"../" + bytes(a[3:]), np.uint8)),
        ("paths", lambda a: np.frombuffer(b"/" + bytes(a[1:]), np.uint8)),
        ("format", lambda a: a + 1),
        ("cameras", lambda a: a[:3]),
    ],
)
def test_an_index_that_does_not_fit_is_refused(pack, name, change):
    arrays = arrays_of(pack)
    np.savez(pack / INDEX, **{**arrays, name: change(arrays[name])})
    with pytest.raises(DataError, match=r"index\.npz"):
        packed(str(pack))


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04broken", NPY, None])
def test_a_file_that_is_no_index_is_refused(pack, content):
    whole = (pack / INDEX).read_bytes()
    (pack / INDEX).write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(DataError, match=r"index\.npz"):
        packed(str(pack))
    (pack / INDEX).unlink()
    with pytest.raises(DataError, match="'lookalike pack' wrote"):
        packed(str(pack))


def test_an_index_is_never_unpickled(pack):
    np.savez(pack / INDEX, **{**arrays_of(pack), "labels": np.array([{}], dtype=object)})
    with pytest.raises(DataError, match="damaged"):
        packed(str(pack))


def test_training_from_packed_images_is_training_from_files(tiny):
    plain = trainer_of(tiny)
    result = plain.run()
    pack_images(plain.batches.dataset, tiny / "pack", shard_bytes=5_000)
    text = (tiny / "run.yaml").read_text().replace("name: VeriWild", "name: PackedDataset")
    text = text.replace(f"image_root: {tiny}/images", f"image_root: {tiny}/pack")
    lines = [line for line in text.splitlines() if "cls_label_path" not in line]
    (tiny / "run.yaml").write_text("\n".join(lines))
    again = train_in_two_parts(tiny)
    for name, tensor in plain.update.model.state_dict().items():
        assert torch.equal(tensor, again.update.model.state_dict()[name]), name
    assert again.last_metrics == result.metrics
    assert again.facts["data"] == plain.facts["data"]


def test_query_and_gallery_packed_apart_still_know_each_other(files, tmp_path):
    roots = set()
    for name in ("query", "gallery"):
        pack_images(files, tmp_path / name)
        spec = {"PackedDataset": {"image_root": str(tmp_path / name)}}
        roots.add(build("dataset", spec).image_root.resolve())
    # an image never finds itself: the evaluation tells by root and path
    assert len(roots) == 1
