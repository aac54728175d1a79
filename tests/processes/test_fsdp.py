"""Runs whose weights are split over the processes, beside runs with replicas."""

from functools import partial

import pytest
import test_training
import torch
from conftest import TINY_YAML, make_images, write_list
from process_group import run
from test_training import largest_difference, losses

from lookalike import EmbeddingModel
from lookalike.assembly.job import build_job
from lookalike.assembly.load import load_run
from lookalike.assembly.training import make_trainer
from lookalike.errors import ConfigError
from lookalike.models.blocks import blocks_of
from lookalike.training import RunLog
from lookalike.training.checkpoint import num_bytes

VIT = "{name: vit_tiny_patch16_224, pretrained: False, img_size: 32, patch_size: 8, depth: 3, \
num_heads: 3, embed_dim: 48, num_classes: 0}"
CONSTANT = "Optimizer.lr={name: Constant, learning_rate: 0.001}"
FSDP = "+Global.fsdp=True"
CENTERS = """Optimizer=
  - Momentum: {scope: RecModel, momentum: 0.9, lr: {name: Constant, learning_rate: 0.001}}
  - SGD: {scope: CenterLoss, lr: {name: Constant, learning_rate: 0.5}}"""
CENTER_LOSS = "Loss.Train=[{CELoss: {}}, {CenterLoss: {num_classes: 11, feat_dim: 16}}]"
ADAMW = "Optimizer={name: AdamW, lr: {name: Constant, learning_rate: 0.0001}}"


@pytest.fixture
def images(tmp_path):
    """Eleven labels of four images, and a run of a small transformer."""
    write_list(tmp_path / "train.txt", make_images(tmp_path, num_labels=11))
    text = TINY_YAML.format(root=tmp_path).replace("class_num: 6", "class_num: 11")
    text = text.replace("  BackboneStopLayer:\n    name: avg_pool\n", "")
    text = text.replace("in_channels: 96", "in_channels: 48")
    old = "  Backbone:\n    name: test_resnet\n    pretrained: False\n"
    assert old in text
    text = text.replace(old, f"  Backbone: {VIT}\n").replace("batch_size: 16", "batch_size: 5")
    (tmp_path / "run.yaml").write_text(text)
    return tmp_path


# eight images over all processes, three steps
train_in = partial(test_training.train_in, start=["Global.epochs=1", "+Global.iter_per_epoch=3"])


def kept(checkpoint):
    """Return what the optimisers keep for each parameter."""
    optimizers = checkpoint.state["update"]["optimizers"]
    return [one for each in optimizers for one in each["optimizer"]["state"].values()]


@pytest.mark.parametrize(
    "changes",
    [
        [CONSTANT, "+Optimizer.clip_global_norm=0.5", "+Global.eval_before_train=True"],
        [ADAMW, "+Optimizer.clip_norm=0.1", "+Global.update_freq=3"],
        [CENTERS, CENTER_LOSS, "+Global.activation_checkpointing=True"],
        [CONSTANT, "+Arch.Head.sharded=True", "+AMP.use_amp=True", "+AMP.dtype=bfloat16"],
    ],
    ids=["momentum", "adamw", "a loss that learns", "sharded head"],
)
def test_weights_that_are_split_learn_what_replicas_learn(images, changes):
    replicas = train_in(2, images, "replicas", *changes)
    split = train_in(2, images, "split", FSDP, *changes)
    assert losses(images, "split") == pytest.approx(losses(images, "replicas"), rel=1e-5)
    assert largest_difference(split, replicas) < 1e-5
    assert split.model.keys() == replicas.model.keys()
    for one, other in zip(kept(split), kept(replicas), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    assert split.facts["metrics"] == pytest.approx(replicas.facts["metrics"], abs=1e-6)


def test_a_run_moves_between_processes_and_replicas(images):
    """From 4 by 1 to 2, with, without and with fsdp, as one process that goes through."""
    moves = [(4, [FSDP]), (1, []), (2, [FSDP])]
    for epochs, (number, split) in enumerate(moves, start=1):
        more = [*split, CONSTANT, f"Global.epochs={epochs}"]
        moved = train_in(number, images, "moved", *more, resume=epochs > 1)
    published = EmbeddingModel.from_pretrained(images / "moved" / "latest").state_dict()
    assert all(tensor.equal(moved.model[key]) for key, tensor in published.items())
    alone = train_in(1, images, "alone", CONSTANT, f"Global.epochs={len(moves)}")
    assert losses(images, "moved") == pytest.approx(losses(images, "alone"), rel=1e-4)
    assert largest_difference(moved, alone) < 1e-3


def memory(config, overrides):
    """Take a step; return the bytes of weights, gradients and optimiser state here.

    And whether the weights of the first block are whole when the last one begins.
    """
    trainer = make_trainer(build_job(load_run(config, overrides)), RunLog(quiet=True))
    update = trainer.update
    update.train()
    blocks, seen = blocks_of(update.model.backbone), []
    blocks[-1].register_forward_pre_hook(lambda *_: seen.append(first_weight(blocks[0])))
    update.gradients(next(iter(trainer.batches.start(0))), 0)
    learning = [p for group in update.optimizers[0].optimizer.param_groups for p in group["params"]]
    gradients = num_bytes([p.grad for p in learning])
    update.apply(0)
    state = update.optimizers[0].optimizer.state_dict()["state"]
    kept = num_bytes([one["exp_avg"] for one in state.values()])
    here = [here_of(p) for p in update.model.parameters()]
    return seen[0], (num_bytes(here), num_bytes(learning), gradients, kept)


def here_of(parameter):
    return getattr(parameter, "to_local", lambda: parameter)()


def first_weight(block):
    """Return the bytes of the largest weight here."""
    return max(num_bytes(here_of(p)) for p in block.parameters())


def test_each_process_keeps_its_part(images):
    config = str(images / "run.yaml")
    changes = [ADAMW, "DataLoader.Train.sampler.batch_size=2", "Loss.Train=[{CELoss: {}}]"]
    weight, whole = memory(config, changes)
    assert len(set(whole)) == 1
    found = run(memory, 4, config, [*changes, FSDP])
    assert [first for first, _ in found] == [weight / 4] * 4
    parts = [part for _, part in found]
    for part in parts:
        assert len(set(part)) == 1
    assert sum(part[0] for part in parts) == whole[0]
    # what has fewer rows than there are processes is the first one's: class token and positions
    assert max(part[0] for part in parts) < 1.1 * whole[0] / 4


def refusal(config, overrides):
    try:
        make_trainer(build_job(load_run(config, overrides)), RunLog(quiet=True))
    except ConfigError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("+EMA.decay=0.9", "average of whole weights"),
        ("+AMP.use_amp=True", "write AMP.dtype: bfloat16"),
        ("+Global.compile=True", "compiled code has a plan of its own"),
    ],
)
def test_what_needs_whole_weights_is_refused(images, change, why):
    assert why in refusal(str(images / "run.yaml"), [FSDP, change])


def test_weights_fitted_to_the_images_are_refused(images):
    fitted = "+Arch.Head.weight_attr={initializer: {name: ClassMeans}}"
    for text in run(refusal, 2, str(images / "run.yaml"), [FSDP, fitted]):
        assert "fitted to the training images" in text
