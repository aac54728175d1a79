"""Classes and cameras are numbered once over all splits that are compared."""

import csv
import json
import os
import shutil

import numpy as np
import pytest
import torch
from conftest import TINY_YAML, make_images, trainer_of
from ruamel.yaml import YAML
from safetensors.torch import save_file

from lookalike.assembly.data_doctor import list_data
from lookalike.assembly.embedding import embedded_split
from lookalike.assembly.job import build_job
from lookalike.assembly.load import load_run
from lookalike.cli.evaluate_tables import load_pair
from lookalike.errors import DataError
from lookalike.inference.table_files import load_table, save_table
from lookalike.retrieval import RecallAtK, evaluate_retrieval
from lookalike.retrieval.rules import Rules
from lookalike.retrieval.table_scores import score_tables
from lookalike.training import RunLog
from lookalike.types import EmbeddingTable

ANIMALS = ("ant", "bee", "cow", "dog", "emu", "fox")


@pytest.fixture
def animals(tmp_path):
    """Folders of six animals; the queries are exact copies of the gallery's cow, emu and fox."""
    make_images(tmp_path)
    for number, name in enumerate(ANIMALS):
        source = tmp_path / "images" / f"{number:03d}"
        shutil.copytree(source, tmp_path / "train" / name)
        shutil.copytree(source, tmp_path / "gallery" / name)
        if name in ("cow", "emu", "fox"):
            shutil.copytree(source, tmp_path / "query" / name)
    return tmp_path


def rows_of(folder):
    return [(str(p.relative_to(folder)), p.parent.name) for p in sorted(folder.rglob("*.jpg"))]


def as_folders(root, split):
    return {"name": "ImageFolder", "image_root": str(root / split)}


def as_named_table(root, split):
    with (root / f"{split}.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *rows_of(root / split)])
    return {
        "name": "Table",
        "image_root": str(root / split),
        "table_file": str(root / f"{split}.csv"),
    }


def numbers(root, split, *, junk=False):
    lines = [f"{path} {10 * ANIMALS.index(name) + 5}" for path, name in rows_of(root / split)]
    if junk and split == "gallery":
        lines[0] = lines[0].rsplit(" ", 1)[0] + " -1"
    (root / f"{split}.txt").write_text("\n".join(lines) + "\n")
    return str(root / f"{split}.txt")


def as_relabelled_list(root, split):
    return {
        "name": "ImageNetDataset",
        "image_root": str(root / split),
        "cls_label_path": numbers(root, split),
        "relabel": True,
    }


def as_list_with_junk(root, split):
    return {
        "name": "VeriWild",
        "image_root": str(root / split),
        "cls_label_path": numbers(root, split, junk=True),
    }


LAYOUTS = [as_folders, as_named_table, as_relabelled_list, as_list_with_junk]


def config_of(root, layout, gallery_layout=None, **more):
    config = YAML(typ="safe").load(TINY_YAML.format(root=root))
    train = config["DataLoader"]["Train"]
    train["dataset"] = {
        **as_folders(root, "train"),
        "transform_ops": train["dataset"]["transform_ops"],
    }
    section = config["DataLoader"]["Eval"]["Query"]
    ops = section["dataset"]["transform_ops"]
    config["DataLoader"]["Eval"] = {
        name: {**section, "dataset": {**own(root, name.lower()), "transform_ops": ops}}
        for name, own in (("Query", layout), ("Gallery", gallery_layout or layout))
    }
    config["Global"].update(more)
    with (root / "run.yaml").open("w") as file:
        YAML(typ="safe").dump(config, file)
    return root / "run.yaml"


def build(path, *overrides, training=False):
    return build_job(load_run(path, overrides), training=training)


def names_of(split):
    return [split.dataset.class_names[label] for label in split.dataset.labels]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_queries_find_their_copies_however_labels_are_written(animals, layout):
    job = build(config_of(animals, layout))
    result = job.evaluate(RunLog(job.folder, "eval", quiet=True))
    assert result.values["recall1"] == 1.0
    assert result.num_answerable == 12


@pytest.mark.parametrize("layout", [as_folders, as_named_table])
def test_names_of_the_labels_are_kept(animals, layout):
    evaluation = build(config_of(animals, layout)).evaluation
    for split in evaluation.splits:
        folders = [path.split("/")[0] for path in split.dataset.paths]
        assert names_of(split) == folders


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_data_doctor_numbers_classes_as_the_evaluation_does(animals, layout):
    run = load_run(config_of(animals, layout))
    splits = {split.name: split for split in list_data(run).splits}
    query, gallery = splits["Query"], splits["Gallery"]
    where = {path: label for path, label in zip(gallery.paths, gallery.labels, strict=True)}
    assert [where[path] for path in query.paths if path in where] == [
        label for path, label in zip(query.paths, query.labels, strict=True) if path in where
    ]


def test_folders_meet_a_table_of_names(animals):
    evaluation = build(config_of(animals, as_folders, as_named_table)).evaluation
    assert names_of(evaluation.query) == ["cow"] * 4 + ["emu"] * 4 + ["fox"] * 4
    number = dict(
        zip(evaluation.gallery.dataset.paths, evaluation.gallery.dataset.labels, strict=True)
    )
    assert [
        number[path] for path in evaluation.query.dataset.paths
    ] == evaluation.query.dataset.labels


def test_names_that_meet_numbers_are_refused_with_both(animals):
    path = config_of(animals, as_folders, as_list_with_junk)
    with pytest.raises(DataError, match=r"Query has cow, emu, fox; Gallery has 5, 15, 25, ..."):
        build(path)


def classification(root, names):
    """Evaluate a classifier on folders that are a part of the training's classes."""
    for name in names:
        shutil.copytree(root / "train" / "cow", root / "val" / name, dirs_exist_ok=True)
    path = config_of(root, as_folders, eval_mode="classification")
    config = YAML(typ="safe").load(path)
    section = config["DataLoader"]["Eval"]["Query"]
    section["dataset"]["image_root"] = str(root / "val")
    config["DataLoader"]["Eval"] = section
    config["Metric"] = {"Eval": [{"TopkAcc": {"topk": [1]}}]}
    with path.open("w") as file:
        YAML(typ="safe").dump(config, file)
    return path


def test_a_classification_numbers_classes_as_the_training(animals):
    job = build(classification(animals, ["cow", "fox"]), training=True)
    assert sorted(set(job.evaluation.query.dataset.labels)) == [2, 5]


def test_a_class_that_was_not_trained_is_refused_by_name(animals):
    with pytest.raises(DataError, match=r"was not trained on \('gnu'\).*knows 6 classes"):
        build(classification(animals, ["cow", "gnu"]), training=True)


def test_class_names_travel_with_the_checkpoint_and_number_a_later_classification(animals):
    path = classification(animals, ["cow", "fox"])
    trainer_of(animals, "Global.epochs=1", "Global.eval_during_train=False").run()
    latest = animals / "output" / "latest"
    assert json.loads((latest / "classes.json").read_text())["names"] == list(ANIMALS)
    shutil.rmtree(animals / "train")  # an evaluation needs no training data
    for weights in (latest, latest / "model.safetensors"):
        job = build(path, f"Global.pretrained_model={weights}")
        assert sorted(set(job.evaluation.query.dataset.labels)) == [2, 5]


def test_numbers_are_the_names_of_classes_without_names(tiny):
    trainer_of(tiny, "Global.epochs=1", "Global.eval_during_train=False").run()
    names = json.loads((tiny / "output" / "latest" / "classes.json").read_text())["names"]
    assert names == ["0", "1", "2", "3", "4", "5"]


def test_without_class_names_the_training_list_is_read_for_a_classification(animals):
    path = classification(animals, ["cow", "fox"])
    run = load_run(path, training=False, evaluating=True)
    assert sorted(set(build_job(run, training=False).evaluation.query.dataset.labels)) == [2, 5]
    shutil.rmtree(animals / "train")
    job = build_job(load_run(path, training=False, evaluating=True), training=False)
    assert sorted(set(job.evaluation.query.dataset.labels)) == [0, 1]
    assert any("numbered by the evaluation's own lists" in note for note in job.notes)


def test_the_read_model_knows_its_classes(animals):
    from lookalike import EmbeddingModel as Readable

    config_of(animals, as_folders)
    trainer_of(animals, "Global.epochs=1", "Global.eval_during_train=False").run()
    assert Readable.from_pretrained(animals / "output" / "latest").class_names == list(ANIMALS)


def test_damaged_class_names_are_refused(animals):
    from lookalike.assembly.class_numbering import read_class_names
    from lookalike.errors import CheckpointError

    assert read_class_names(animals) is None
    for text in ("", "[", "{}", '{"names": [1]}', '{"names": "abc"}'):
        (animals / "classes.json").write_text(text)
        with pytest.raises(CheckpointError, match="classes.json: damaged"):
            read_class_names(animals)


# cameras


def camera_table(root, split, cameras):
    rows = [
        (path, name, cameras[i % len(cameras)])
        for i, (path, name) in enumerate(rows_of(root / split))
    ]
    with (root / f"{split}.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label", "seen"), *rows])
    return {**as_named_table_spec(root, split), "camera_column": "seen"}


def as_named_table_spec(root, split):
    return {
        "name": "Table",
        "image_root": str(root / split),
        "table_file": str(root / f"{split}.csv"),
    }


def test_cameras_have_names_that_mean_the_same_in_both_splits(animals):
    cameras = {"query": ["north"], "gallery": ["east", "north", "south", "west"]}
    path = config_of(animals, lambda root, split: camera_table(root, split, cameras[split]))
    evaluation = build(path).evaluation
    query, gallery = evaluation.query.dataset, evaluation.gallery.dataset
    assert {query.camera_names[camera] for camera in query.cameras} == {"north"}
    assert [gallery.camera_names[camera] for camera in gallery.cameras] == cameras["gallery"] * 6
    (north,) = set(query.cameras)
    assert [gallery.camera_names[n] for n in {north}] == ["north"]


@pytest.mark.parametrize("training", [True, False])
def test_one_camera_is_refused_before_the_first_step(animals, training):
    path = config_of(animals, lambda root, split: camera_table(root, split, ["roof"]))
    with pytest.raises(DataError) as caught:
        build(path, training=training)
    message = str(caught.value)
    assert "none of the 12 queries of Query can be answered" in message
    assert "label and camera are removed" in message
    assert "roof" in message
    assert "camera_column" in message


def test_a_class_of_one_image_cannot_answer_itself(animals):
    def single(root, split):
        (root / "single.txt").write_text("ant/000.jpg 0\nbee/000.jpg 1\n")
        return {
            "name": "VeriWild",
            "image_root": str(root / "gallery"),
            "cls_label_path": str(root / "single.txt"),
        }

    with pytest.raises(DataError, match="a query's own image is removed, and Query has no other"):
        build(config_of(animals, single))
    reference = build(config_of(animals, single, retrieval_protocol="reference"))
    assert reference.evaluation is not None  # there an image may find itself


# the same image


@pytest.mark.parametrize("spelling", ["./{}", ".//{}", "../gallery/{}"])
def test_an_image_never_finds_itself_however_its_path_is_spelled(animals, spelling):
    def spelled(root, split):
        pattern = "{}" if split == "query" else spelling
        lines = [
            f"{pattern.format(path)} {ANIMALS.index(name)}"
            for path, name in rows_of(root / "gallery")
        ]
        (root / f"{split}.txt").write_text("\n".join(lines) + "\n")
        return {
            "name": "VeriWild",
            "image_root": str(root / "gallery"),
            "cls_label_path": str(root / f"{split}.txt"),
            "allow_outside": True,
        }

    job = build(config_of(animals, spelled))
    log = RunLog(job.folder, "eval", quiet=True)
    result = job.evaluate(log, tables=animals / "tables")
    single = build(config_of(animals, lambda root, split: spelled(root, "query")))
    assert result.values == single.evaluate(log).values
    assert "own image" in result.protocol
    tables, same = load_pair(str(animals / "tables/query.npz"), str(animals / "tables/gallery.npz"))
    scores = score_tables(*tables, ["recall@1", "mAP"], Rules(own_images=same))
    assert list(scores.values.values()) == [result.values["recall1"], result.values["mAP"]]


def test_a_linked_gallery_holds_the_same_images(animals):
    os.symlink(animals / "gallery", animals / "linked")
    path = config_of(
        animals,
        lambda root, split: as_folders(root, "gallery" if split == "query" else "linked"),
    )
    evaluation = build(path).evaluation
    assert evaluation.shares_images
    assert evaluation.query.identities == evaluation.gallery.identities


def test_images_listed_twice_are_reported(animals):
    def twice(root, split):
        lines = [f"{path} {ANIMALS.index(name)}" for path, name in rows_of(root / "gallery")]
        (root / "twice.txt").write_text("\n".join([*lines, f"./{lines[0]}"]) + "\n")
        return {
            "name": "VeriWild",
            "image_root": str(root / "gallery"),
            "cls_label_path": str(root / "twice.txt"),
        }

    notes = build(config_of(animals, twice)).notes
    assert [note for note in notes if "listed more than once" in note] == [
        f"Query: 1 image is listed more than once; the first is ./ant/000.jpg "
        f"({animals / 'twice.txt'}:25)."
    ]


# tables


def test_tables_of_two_commands_meet_by_name(animals):
    """Each table numbers its classes on its own; the names decide."""
    embeddings = torch.eye(3)
    query = EmbeddingTable(
        embeddings[1:], torch.tensor([0, 1]), ["q1", "q2"], class_names=["b", "c"]
    )
    gallery = EmbeddingTable(
        embeddings, torch.tensor([0, 1, 2]), ["1", "2", "3"], class_names=["a", "b", "c"]
    )
    assert evaluate_retrieval(query, gallery, [RecallAtK([1])]).values == {"recall1": 1.0}
    assert score_tables(query, gallery, ["recall@1"], Rules()).values == {"recall@1": 1.0}


def test_cameras_of_two_tables_meet_by_name():
    vectors = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]])
    query = EmbeddingTable(
        vectors[:1], torch.tensor([0]), ["q"], torch.tensor([0]), camera_names=["north"]
    )
    gallery = EmbeddingTable(
        vectors,
        torch.tensor([0, 1, 0]),
        ["1", "2", "3"],
        torch.tensor([1, 0, 0]),
        camera_names=["east", "north"],
    )
    # the match seen by the query's own camera is removed, so the first one left is of class 1
    assert evaluate_retrieval(query, gallery, [RecallAtK([1])]).values == {"recall1": 0.0}


def test_junk_rows_of_tables_are_neither_queries_nor_answers():
    vectors = torch.tensor([[1.0, 0.0], [1.0, 0.01], [0.8, 0.6], [0.0, 1.0]])
    table = EmbeddingTable(vectors, torch.tensor([0, -1, 0, -1]), list("abcd"))
    result = evaluate_retrieval(table, table, [RecallAtK([1])], same_images=True)
    assert (result.values, result.num_queries, result.num_gallery) == ({"recall1": 1.0}, 2, 2)
    junk = EmbeddingTable(vectors, torch.full((4,), -1), list("abcd"))
    with pytest.raises(DataError, match="holds junk alone"):
        evaluate_retrieval(table, junk, [RecallAtK([1])])


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_tables_keep_names_and_images(animals, tmp_path, suffix):
    job = build(config_of(animals, as_folders))
    table = embedded_split(job, "Query", RunLog(job.folder, "embed", quiet=True))
    save_table(table, tmp_path / f"t{suffix}")
    again = load_table(tmp_path / f"t{suffix}")
    assert [again.class_names[label] for label in again.labels] == ["cow"] * 4 + ["emu"] * 4 + [
        "fox"
    ] * 4
    assert torch.equal(again.images, table.images)
    assert len(np.unique(again.images)) == 12


def test_a_table_without_names_is_read(tmp_path):
    save_file({"embeddings": torch.eye(2), "labels": torch.arange(2)}, tmp_path / "t.safetensors")
    table = load_table(tmp_path / "t.safetensors")
    assert (table.class_names, table.camera_names, table.images) == (None, None, None)
