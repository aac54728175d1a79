"""A slow process is named in a real run, whatever it is slow at and however the run is dealt."""

import os
import time

import pytest
from conftest import TINY_YAML, make_images, trainer_of, write_list
from process_group import run
from test_fsdp import VIT

from lookalike.faults import Fault, watching
from lookalike.training.doctor.stragglers import Stragglers

SHORT = ["Global.epochs=2", "+Global.iter_per_epoch=8", "Global.print_batch_step=2"]
LONG = 0.08
TRANSFORMER = [
    f"Arch.Backbone={VIT}",
    "Arch.BackboneStopLayer=null",
    "Arch.Neck.in_channels=48",
    "+Global.fsdp=True",
]


@pytest.fixture
def images(tmp_path):
    write_list(tmp_path / "train.txt", make_images(tmp_path, num_labels=12))
    text = TINY_YAML.format(root=tmp_path).replace("class_num: 6", "class_num: 12")
    (tmp_path / "run.yaml").write_text(text)
    return tmp_path


def slowed(root, slow, at, overrides):
    """Train with one process that sleeps in each step."""
    trainer = trainer_of(root, *SHORT, *overrides)
    trainer.doctor.stragglers = Stragglers(steps=4, windows=2)
    fault = Fault("place.none:1:raise")
    if int(os.environ["RANK"]) == slow:
        if at == "backward":
            weight = next(p for p in trainer.update.model.parameters() if p.requires_grad)
            weight.register_hook(lambda gradient: time.sleep(LONG))
        else:
            fault = Fault(f"place.{at}:1+:sleep={LONG}")
    with watching(fault):
        trainer.run()
    return [(one.what, one.evidence) for _, one in trainer.doctor.found]


@pytest.mark.parametrize(
    ("slow", "at", "overrides"),
    [
        (1, "waiting for data", ["+Global.save_steps=4"]),
        (0, "backward", ["+Arch.Head.sharded=True", "+Global.update_freq=2"]),
        (1, "waiting for data", TRANSFORMER),
    ],
)
def test_the_slow_one_is_named(images, slow, at, overrides):
    one, other = run(slowed, 2, images, slow, at, overrides)
    assert one == other
    ((what, evidence),) = one
    assert what.startswith(f"process {slow} on host ")
    assert evidence.startswith("computing" if at == "backward" else at)
