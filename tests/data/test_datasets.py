"""Every reader on a small folder in its real layout, and on broken ones."""

import numpy as np
import pytest
from PIL import Image

from lookalike import build
from lookalike.errors import ConfigError, DataError


def picture(path, size=(20, 10), colour=(10, 200, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def test_image_net_list_with_delimiter_and_relabel(tmp_path):
    for name in ("a b.png", "c.png"):
        picture(tmp_path / "img" / name)
    (tmp_path / "list.txt").write_text("a b.png\t7\nc.png\t3\textra\n")
    spec = {
        "name": "ImageNetDataset",
        "image_root": str(tmp_path / "img"),
        "cls_label_path": str(tmp_path / "list.txt"),
        "delimiter": "\t",
        "relabel": True,
    }
    dataset = build("dataset", spec)
    assert dataset.paths == ["a b.png", "c.png"]
    assert dataset.labels == [1, 0]
    assert dataset.cameras is None
    assert dataset[0].image.shape == (3, 10, 20)


def test_veri_wild_reads_cameras(tmp_path):
    picture(tmp_path / "a.png")
    (tmp_path / "list.txt").write_text("a.png  4   2\n")
    spec = {"VeriWild": {"image_root": str(tmp_path), "cls_label_path": str(tmp_path / "list.txt")}}
    sample = build("dataset", spec)[0]
    assert (sample.label, sample.camera) == (4, 2)


def test_logo_counts_classes_from_one(tmp_path):
    picture(tmp_path / "img" / "x.png")
    (tmp_path / "list.txt").write_text("image_id\tclass\tname\tpath\n0\t3\tacme\tx.png\n")
    spec = {"LogoDataset": {"image_root": str(tmp_path / "img"),
                            "cls_label_path": str(tmp_path / "list.txt")}}  # fmt: skip
    assert build("dataset", spec).labels == [2]
    (tmp_path / "list.txt").write_text("image_id\tclass\tname\tpath\n0\tx\tacme\tx.png\n")
    with pytest.raises(DataError, match="list.txt:2"):
        build("dataset", spec)


def test_icartoon_paths_may_hold_blanks(tmp_path):
    picture(tmp_path / "a b.png")
    (tmp_path / "list.txt").write_text("a b.png\t5\n")
    spec = {"ICartoonDataset": {"image_root": str(tmp_path),
                                "cls_label_path": str(tmp_path / "list.txt")}}  # fmt: skip
    assert build("dataset", spec).labels == [5]


@pytest.fixture
def comp_cars(tmp_path):
    pixels = np.zeros((10, 20, 3), dtype=np.uint8)
    pixels[2:6, 3:9] = 255
    (tmp_path / "image" / "78").mkdir(parents=True)
    Image.fromarray(pixels).save(tmp_path / "image" / "78" / "a.png")
    (tmp_path / "label" / "78").mkdir(parents=True)
    (tmp_path / "label" / "78" / "a.txt").write_text("1\n1\n3 2 9 6\n")
    (tmp_path / "list.txt").write_text("78/a.png 12\n")
    return {"name": "CompCars", "image_root": str(tmp_path / "image"),
            "label_root": str(tmp_path / "label"),
            "cls_label_path": str(tmp_path / "list.txt")}  # fmt: skip


def test_comp_cars_cuts_to_the_box(comp_cars, tmp_path):
    whole = build("dataset", comp_cars)
    cut = build("dataset", {**comp_cars, "bbox_crop": True})
    assert whole[0].image.shape == (3, 10, 20)
    assert cut[0].image.shape == (3, 4, 6)
    assert (cut[0].image == 255).all()
    (tmp_path / "label" / "78" / "a.txt").write_text("9 2 3 6\n")
    with pytest.raises(DataError, match=r"a\.txt: the box"):
        build("dataset", {**comp_cars, "bbox_crop": True})


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("Market1501", "market1501/Market-1501-v15.09.15"),
        ("DukeMTMC", "dukemtmc/DukeMTMC-reID"),
        ("MSMT17", "msmt17/MSMT17_V1"),
    ],
)
def test_person_sets(tmp_path, name, folder):
    train = tmp_path / folder / "bounding_box_train"
    for file in ("0002_c1s1_000451_03.jpg", "0007_c3s1_000451_03.jpg", "-1_c1s1_1.jpg"):
        picture(train / file)
    picture(tmp_path / folder / "query" / "0005_c2s1_1.jpg")
    spec = {"name": name, "image_root": str(tmp_path)}
    trained = build("dataset", {**spec, "cls_label_path": "bounding_box_train"})
    assert trained.labels == [0, 1]  # relabelled, junk left out
    assert trained.cameras == [0, 2]
    assert build("dataset", {**spec, "cls_label_path": "query"}).labels == [5]
    picture(train / "nonsense.jpg")
    with pytest.raises(DataError, match=r"nonsense\.jpg"):
        build("dataset", {**spec, "cls_label_path": "bounding_box_train"})


def test_faces_are_pil_images(tmp_path):
    picture(tmp_path / "a.png")
    (tmp_path / "list.txt").write_text("a.png 1\n")
    spec = {"name": "AdaFaceDataset", "root_dir": str(tmp_path),
            "label_path": str(tmp_path / "list.txt"),
            "transform": [{"ToTensor": None}]}  # fmt: skip
    image = build("dataset", spec)[0].image
    assert image.shape == (3, 10, 20)
    assert 0.0 <= image.min() <= image.max() <= 1.0


def test_image_folder_numbers_classes_by_name(tmp_path):
    for name in ("zebra/1.png", "ant/1.png", "ant/deep/2.png"):
        picture(tmp_path / name)
    (tmp_path / "ant" / "notes.txt").write_text("not an image")
    dataset = build("dataset", {"ImageFolder": {"image_root": str(tmp_path)}})
    assert dataset.paths == ["ant/1.png", "ant/deep/2.png", "zebra/1.png"]
    assert dataset.labels == [0, 0, 1]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no image"):
        build("dataset", {"ImageFolder": {"image_root": str(tmp_path / "empty")}})


def test_csv_with_names_and_cameras(tmp_path):
    for name in "abc":
        picture(tmp_path / f"{name}.png")
    (tmp_path / "t.csv").write_text('file,brand,view\na.png,VW,1\nb.png,Audi,2\n"c.png",VW,3\n')
    spec = {"Table": {"image_root": str(tmp_path), "table_file": str(tmp_path / "t.csv"),
                      "path_column": "file", "label_column": "brand",
                      "camera_column": "view"}}  # fmt: skip
    dataset = build("dataset", spec)
    assert dataset.labels == [1, 0, 1]
    assert dataset.cameras == [1, 2, 3]
    with pytest.raises(DataError, match="no column 'nothing'; it has file, brand, view"):
        build("dataset", {"Table": {**spec["Table"], "label_column": "nothing"}})
    (tmp_path / "t.csv").write_text("file,brand,view\n../secret.png,VW,1\n")
    with pytest.raises(DataError, match="leaves the image root"):
        build("dataset", spec)


def test_csv_labels_too_long_for_a_number_are_names(tmp_path):
    for name in "ab":
        picture(tmp_path / f"{name}.png")
    codes, file = ["4006381333931000000017", "4006381333931000000009"], tmp_path / "t.csv"
    file.write_text(f"path,label,camera\na.png,{codes[0]},0\nb.png,{codes[1]},1\n")
    spec = {"image_root": str(tmp_path), "table_file": str(file)}
    assert build("dataset", {"Table": spec}).labels == [1, 0]
    images = build("dataset", {"Table": {**spec, "camera_column": "label"}}).images
    assert (images.class_names, images.camera_names) == (sorted(codes), sorted(codes))


def listed(folder, name, labels):
    """Write a folder with one picture per label and its list; return the spec of its reader."""
    for index in range(len(labels)):
        picture(folder / name / f"{index}.png", colour=(index, 0, 0))
    lines = [f"{index}.png {label} {index}\n" for index, label in enumerate(labels)]
    (folder / f"{name}.txt").write_text("".join(lines))
    paths = {"image_root": str(folder / name), "cls_label_path": str(folder / f"{name}.txt")}
    return {"name": "VeriWild", **paths}


def test_a_mix_joins_data_sets_each_with_its_transforms(tmp_path):
    flat = listed(tmp_path, "flat", [0, 0, 1])
    big = listed(tmp_path, "big", [2, 3]) | {"transform_ops": [{"ResizeImage": {"size": 8}}]}
    dataset = build("dataset", {"name": "MixDataset", "datasets_config": [flat, big]})
    assert dataset.labels == [0, 0, 1, 2, 3]
    assert dataset.cameras == [0, 1, 2, 0, 1]
    assert dataset.paths == ["flat/0.png", "flat/1.png", "flat/2.png", "big/0.png", "big/1.png"]
    assert [tuple(dataset[i].image.shape) for i in (2, 3)] == [(3, 10, 20), (3, 8, 8)]
    assert (dataset[4].index, dataset[4].label, int(dataset[4].image[0, 0, 0])) == (4, 3, 1)
    assert dataset.where(4) == f"{tmp_path / 'big.txt'}:2"
    with pytest.raises(DataError, match="label 3 is outside"):
        dataset.check_labels(3)


def test_mistakes_inside_a_mix_are_told_with_their_place(tmp_path):
    flat = listed(tmp_path, "flat", [0])
    wrong = [flat | {"relabell": True}, {"name": "Nothing"}]
    with pytest.raises(ConfigError) as caught:
        build("dataset", {"name": "MixDataset", "datasets_config": wrong})
    assert "datasets_config.0.relabell: unknown argument. Did you mean 'relabel'?" in str(
        caught.value
    )
    assert "datasets_config.1: no dataset is called 'Nothing'" in str(caught.value)
    with pytest.raises(ConfigError, match="datasets_config: is missing"):
        build("dataset", {"name": "MixDataset"})
    with pytest.raises(ConfigError, match="VeriWild takes no datasets"):
        build("dataset", flat | {"datasets": [flat]})


def test_labels_that_a_transform_tells(tmp_path):
    for name in ("a b.png", "c.png"):
        picture(tmp_path / name)
    (tmp_path / "list.txt").write_text("a b.png,one\nc.png,two\n")
    spec = {
        "name": "CustomLabelDataset",
        "image_root": str(tmp_path),
        "sample_list_path": str(tmp_path / "list.txt"),
        "delimiter": ",",
        "label_key": "random_rot90_orientation",
        "transform_ops": [{"ResizeImage": {"size": 8}}, {"RandomRot90": None}],
    }
    dataset = build("dataset", spec)
    assert dataset.paths == ["a b.png", "c.png"]
    assert {dataset[0].label for _ in range(60)} == {0, 1, 2, 3}
    dataset.check_labels(1)
    with pytest.raises(DataError, match=r"outside \[0, 1\)"):
        [dataset[1] for _ in range(60)]
    with pytest.raises(DataError, match="no transform tells 'angle'.*random_rot90_orientation"):
        build("dataset", spec | {"label_key": "angle"})[0]
    assert build("dataset", spec | {"label_key": None})[1].label == 0


@pytest.mark.parametrize(
    ("columns", "notes"),
    [
        ("", []),
        (",split", ["all rows are in this split: the column split not used."]),
        (
            ",is_query,is_gallery,x_1,y_1,x_2,y_2",
            [
                "all rows are in this split: the columns is_query, is_gallery not used.",
                "whole images are used, without boxes: the columns x_1, y_1, x_2, y_2 not used.",
            ],
        ),
        (
            ",camera,colour",
            [
                "no cameras are used (set camera_column): the column camera not used.",
                "other columns are not used: colour.",
            ],
        ),
    ],
)
def test_columns_that_are_not_read_are_reported(tmp_path, columns, notes):
    picture(tmp_path / "a.png")
    cells = ",1" * columns.count(",")
    (tmp_path / "t.csv").write_text(f"path,label{columns}\na.png,0{cells}\n")
    spec = {"image_root": str(tmp_path), "table_file": str(tmp_path / "t.csv")}
    assert list(build("dataset", {"Table": spec}).images.notes) == notes
