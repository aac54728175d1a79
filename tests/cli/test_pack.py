"""``lookalike pack``: each split, sizes, and what cannot be packed."""

import pytest

from lookalike.cli.pack import run_pack
from lookalike.data.datasets import packed
from lookalike.errors import ConfigError, DataError


def test_a_split_is_packed(tiny, lookalike):
    done = lookalike("pack", "-c", tiny / "run.yaml", "--to", tiny / "p", "--shard-size", "4KB")
    assert done.returncode == 0, done.stderr
    assert "Packed 24 images" in done.stdout and "PackedDataset" in done.stdout
    assert packed(str(tiny / "p")).labels == [label for label in range(6) for _ in range(4)]
    again = lookalike("pack", "-c", tiny / "run.yaml", "--to", tiny / "p", "--split", "Query")
    assert again.returncode == 4
    assert "not empty" in again.stderr and "Traceback" not in again.stderr


def run(tiny, *overrides, split="Train", size="256MB"):
    config, to = str(tiny / "run.yaml"), str(tiny / "new")
    run_pack(config, split, to, overrides, shard_size=size, allow_import=())


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"split": "Querry"}, ConfigError, "no split 'Querry'. Did you mean 'Query'"),
        ({"size": "many"}, ConfigError, "--shard-size takes an amount such as"),
    ],
)
def test_mistakes_are_told(tiny, options, kind, words):
    with pytest.raises(kind, match=words):
        run(tiny, **options)
    assert not (tiny / "new").exists()


def test_a_missing_list_is_told(tiny):
    with pytest.raises(DataError, match=r"nowhere\.txt"):
        run(tiny, "DataLoader.Train.dataset.cls_label_path=nowhere.txt")


def test_labels_that_transforms_tell_cannot_be_packed(tiny):
    text = (tiny / "run.yaml").read_text().replace("name: VeriWild", "name: CustomLabelDataset", 1)
    (tiny / "run.yaml").write_text(
        text.replace("cls_label_path", "label_key: angle\n      delimiter: ' '\n      list_file", 1)
    )
    with pytest.raises(ConfigError, match="CustomLabelDataset cannot be packed: its labels"):
        run(tiny)


def test_the_data_doctor_says_that_packed_images_were_looked_at(tiny, tmp_path):
    from lookalike.assembly.data_doctor import list_data
    from lookalike.assembly.load import load_run

    run(tiny)
    packed_too = f"DataLoader.Train.dataset={{name: PackedDataset, image_root: {tiny / 'new'}}}"
    data = list_data(load_run(tiny / "run.yaml", [packed_too]))
    assert "Train" not in [split.name for split in data.splits]
    assert any("Train is packed" in note for note in data.notes)
