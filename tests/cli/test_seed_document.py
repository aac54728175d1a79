"""Every key of the seed document's YAML, as it is printed there (names, values, order)."""

import json

import pytest
from conftest import SHARED, make_images, write_list

SEED = SHARED / "seed" / "feature_learning.md"

EVAL = """
  Eval:
    Query: &query
      dataset:
        name: "VeriWild"
        image_root: "{root}/images"
        cls_label_path: "{root}/list.txt"
        transform_ops:
          - ResizeImage:
              size: 32
          - NormalizeImage:
              scale: 0.00392157
              mean: [0.485, 0.456, 0.406]
              std: [0.229, 0.224, 0.225]
              order: ''
      sampler: {{name: DistributedBatchSampler, batch_size: 8, drop_last: False, shuffle: False}}
      loader: {{num_workers: 0, use_shared_memory: False}}
    Gallery: *query
"""


def blocks():
    parts = SEED.read_text(encoding="utf-8").split("```yaml\n")[1:]
    return [part.split("```")[0] for part in parts]


pytestmark = pytest.mark.skipif(not SEED.exists(), reason="the seed document is not here")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("veri")
    write_list(root / "list.txt", make_images(root, num_labels=4, per_label=3))
    (root / "seed.yaml").write_text("\n".join(blocks()), encoding="utf-8")
    with_eval = [
        block + EVAL.format(root=root) if block.startswith("DataLoader") else block
        for block in blocks()
    ]
    (root / "with_eval.yaml").write_text("\n".join(with_eval), encoding="utf-8")
    return root


def options(folder, *more):
    settings = [
        f"Global.output_dir={folder}/output",
        "Global.device=cpu",
        "Global.epochs=2",
        "Global.image_shape=[3, 32, 32]",
        f"DataLoader.Train.dataset.image_root={folder}/images",
        f"DataLoader.Train.dataset.cls_label_path={folder}/list.txt",
        "DataLoader.Train.dataset.transform_ops.0.ResizeImage.size=32",
        "DataLoader.Train.sampler.batch_size=4",
        "DataLoader.Train.loader.num_workers=0",
        "Arch.Backbone.pretrained=False",
        *more,
    ]
    return [part for setting in settings for part in ("-o", setting)]


OFF = "Global.eval_during_train=False"


def test_check_passes_and_tells_what_will_run(folder, lookalike):
    done = lookalike("check", "-c", folder / "seed.yaml", "--json", *options(folder, OFF))
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["shapes"]["backbone"] == [1, 2048, 1, 1]
    assert facts["shapes"]["features"] == [1, 512]
    assert facts["shapes"]["logits"] == [1, 431]
    assert facts["data"]["Train"]["images"] == 12
    assert facts["training"]["losses"] == ["CELoss", "SupConLoss"]


def test_evaluation_without_a_block_shows_the_block(folder, lookalike):
    done = lookalike("check", "-c", folder / "seed.yaml", *options(folder))
    assert done.returncode == 2
    assert "Gallery" in done.stderr
    assert "-o Global.eval_during_train=False" in done.stderr
    assert "Traceback" not in done.stderr


def test_labels_beyond_the_head_are_named_with_file_line_and_fix(folder, lookalike):
    (folder / "big.txt").write_text("000/000.jpg 0 0\n000/001.jpg 0 1\n001/000.jpg 30670 0\n")
    more = f"DataLoader.Train.dataset.cls_label_path={folder}/big.txt"
    done = lookalike("train", "-c", folder / "seed.yaml", *options(folder, OFF, more))
    assert done.returncode == 3
    assert f"{folder}/big.txt:3" in done.stderr
    assert "Arch.Head.class_num to 30671" in done.stderr
    assert "relabel" in done.stderr


@pytest.mark.walkthrough
def test_trains_evaluates_saves_and_resumes(folder, lookalike):
    done = lookalike("train", "-c", folder / "with_eval.yaml", *options(folder))
    assert done.returncode == 0, done.stderr
    for field in ("lr(MultiStepDecay)", "CELoss", "SupConLoss", "recall1", "recall5", "mAP"):
        assert field in done.stdout
    assert "'use_shared_memory' has no effect" in done.stdout
    assert "'verbose' is not used" in done.stdout
    for name in ("latest", "best_model", "epoch_1", "epoch_2"):
        assert (folder / "output" / name / "manifest.json").exists()

    again = lookalike(
        "train", "-c", folder / "with_eval.yaml", *options(folder, "Global.epochs=3"), "--resume"
    )
    assert again.returncode == 0, again.stderr
    assert "after epoch 2" in again.stdout
    assert "[Train][Epoch 3/3]" in again.stdout
    assert "[Train][Epoch 2/3]" not in again.stdout

    measured = lookalike(
        "eval", "-c", folder / "with_eval.yaml",
        *options(folder, f"Global.pretrained_model={folder}/output/best_model"),
        "--json", folder / "metrics.json",
    )  # fmt: skip
    assert measured.returncode == 0, measured.stderr
    metrics = json.loads((folder / "metrics.json").read_text())
    assert {"recall1", "recall5", "mAP"} <= set(metrics)
    assert 0.0 <= metrics["recall1"] <= metrics["recall5"] <= 1.0

    resolved = lookalike("check", "-c", folder / "output" / "resolved.yaml")
    assert resolved.returncode == 0, resolved.stderr


def test_gpu_on_a_machine_without_one(folder, lookalike):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has one")
    gpu = [o.replace("device=cpu", "device=gpu") for o in options(folder, OFF)]
    done = lookalike("check", "-c", folder / "seed.yaml", *gpu)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("using the CPU") == 1
    refused = lookalike("check", "-c", folder / "seed.yaml", "--strict-device", *gpu)
    assert refused.returncode == 4
