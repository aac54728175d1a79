"""How runs in several processes start: weights, refusals, and what steps where."""

import pytest
import torch
from conftest import TINY_YAML, make_images, write_list
from process_group import run

from lookalike import processes
from lookalike.assembly.job import build_job
from lookalike.assembly.load import load_run
from lookalike.assembly.training import make_trainer
from lookalike.errors import LookalikeError
from lookalike.models.sharded import sharded_parameters
from lookalike.training import RunLog

SHORT = ["Global.epochs=1", "+Global.iter_per_epoch=2", "DataLoader.Train.sampler.batch_size=4"]
SHARDED = "+Arch.Head.sharded=True"


@pytest.fixture
def images(tmp_path):
    write_list(tmp_path / "train.txt", make_images(tmp_path))
    (tmp_path / "run.yaml").write_text(TINY_YAML.format(root=tmp_path))
    return tmp_path


def trainer(root, *overrides):
    changes = [*SHORT, f"Global.output_dir={root}/{processes.count()}", *overrides]
    return make_trainer(build_job(load_run(root / "run.yaml", changes)), RunLog(quiet=True))


def parameters(one):
    """Return all parameters, rows of all processes together."""
    own = sharded_parameters(one.update.model)
    return {
        name: processes.rows_of_all(p.detach()) if name in own else p.detach().clone()
        for name, p in one.update.model.named_parameters()
    }


def after(steps, root, *overrides):
    """Return the parameters after the start (0) or after the run (1)."""
    one = trainer(root, *overrides)
    if steps:
        one.run()
    else:
        one._begin()
    return parameters(one)


def refusal(root, *overrides):
    try:
        trainer(root, *overrides)
    except LookalikeError as error:
        return str(error)
    return ""


FITTED = [
    "Arch.BackboneStopLayer.name=flatten",
    "Arch.Neck={name: FC, embedding_size: 96, class_num: 5, "
    "weight_attr: {initializer: {name: LDA, shrinkage: 0.5}}}",
    "Arch.Head={name: ArcMargin, embedding_size: 5, class_num: 6, "
    "weight_attr: {initializer: {name: ClassMeans}}}",
]
DRAWN = ["Arch.Head.weight_attr={initializer: {name: Normal, std: 0.5}}"]


@pytest.mark.parametrize("ways", ["fitted", "drawn", "fitted sharded", "drawn sharded"])
def test_weights_start_as_in_one_process(images, ways):
    changes = FITTED if "fitted" in ways else [f"+{DRAWN[0]}"]
    alone = after(0, images, *changes)
    more = [SHARDED] if "sharded" in ways else []
    for found in run(after, 2, 0, images, *changes, *more):
        for name, value in found.items():
            torch.testing.assert_close(value, alone[name], rtol=1e-5, atol=1e-5)


def test_weights_of_a_model_are_dealt_to_the_processes(images):
    torch.save(after(0, images), images / "model.pt")
    one = trainer(images)
    torch.nn.init.normal_(one.update.model.head.weight)
    torch.save(one.update.model.state_dict(), images / "model.pt")
    change = f"+Global.pretrained_model={images}/model.pt"
    for found in run(after, 2, 0, images, change, SHARDED):
        assert torch.equal(found["head.weight"], one.update.model.head.weight)
    smaller = {**one.update.model.state_dict(), "head.weight": torch.ones(3, 16)}
    torch.save(smaller, images / "model.pt")
    for text in run(refusal, 2, images, change, SHARDED):
        assert "3 rows" in text


def updates(root, *overrides):
    one = trainer(root, *overrides)
    return one.update.model.head.update is not None


def test_only_rows_that_are_dealt_step_within_the_backward_pass(images):
    chunked = "+Arch.Head.chunk_size=4"
    assert updates(images, chunked)
    assert run(updates, 2, images, chunked) == [False, False]
    assert run(updates, 2, images, chunked, SHARDED) == [True, True]


def test_replicas_of_a_chunked_head_stay_the_same(images):
    one, other = run(after, 2, 1, images, "+Arch.Head.chunk_size=4")
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


FROZEN = ["+Arch.Backbone.freeze=True", "Arch.Neck={name: FC, embedding_size: 96, class_num: 16, "
          "weight_attr: {learning_rate: 1.0}}"]  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        ["Loss.Train=[{SupConLoss: {weight: 1.0, views: 2}}]"],  # the head takes no part
        ["Loss.Train=[{SupConLoss: {weight: 1.0, views: 2, gather: True}}]", SHARDED],
        ["+AMP={use_amp: True, dtype: bfloat16}", "+Loss.Train.1.SupConLoss.gather=True", SHARDED],
        ["+Global.update_freq=2", SHARDED],
        [*FROZEN, "Loss.Train=[{CELoss: {weight: 1.0}}]", SHARDED],
        ["+EMA={decay: 0.5}", "+Global.eval_before_train=True"],
    ],
)
def test_what_goes_in_one_process_goes_in_two(images, changes):
    one, other = run(after, 2, 1, images, *changes)
    for name, value in one.items():
        assert torch.isfinite(value).all(), name
        assert torch.equal(value, other[name]), name


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ("DataLoader.Train.sampler.batch_size=8", "a batch needs 8 different labels (16 / 2), the "
         "data has 6"),
        ("DataLoader.Train.sampler.batch_size=3", "got 3 and 2"),
        ("+Optimizer.clip_norm=1.0", "clip_norm"),
        ("Arch.Head.class_num=1", "1 classes"),
        ("Loss.Train.0={MultiLabelLoss: {weight: 1.0}}", "needs all logits at once"),
        ("+Loss.Train.0.CELoss.gather=True", "looks at each image by itself"),
    ],
)  # fmt: skip
def test_what_cannot_go_is_refused_in_every_process(images, change, text):
    if "class_num" in change:
        rows = [line for line in (images / "train.txt").read_text().splitlines() if "000/" in line]
        (images / "train.txt").write_text("\n".join(rows) + "\n")
    for found in run(refusal, 2, images, SHARDED, change):
        assert text in " ".join(found.split())
