"""A run that fails says at which step, of which images, and what it can go on from."""

import json
import multiprocessing
import os
import signal

import pytest
import torch
from conftest import trainer_of

from lookalike.errors import DataError, DivergedError, SetupError
from lookalike.training import load_checkpoint

WORKERS = ("DataLoader.Train.loader.num_workers=2", "Global.epochs=3")


def fails(trainer, kind):
    with pytest.raises(kind) as caught:
        trainer.run()
    return str(caught.value)


def poison(trainer, step, value=float("nan"), gradient=False):
    """Make the loss of one step, or only its gradient, not finite."""
    whole = trainer.update.loss.forward

    def forward(output, labels):
        terms = whole(output, labels)
        if trainer.iteration == step:
            terms["loss"] = terms["loss"] * (1.0 if gradient else value)
            if gradient:
                terms["loss"].register_hook(lambda incoming: incoming * value)
        return terms

    trainer.update.loss.forward = forward
    return trainer


@pytest.mark.parametrize("gradient", [False, True])
def test_the_step_that_is_not_finite_is_told_and_written_down(tiny, gradient):
    trainer = poison(trainer_of(tiny, "Global.epochs=3"), step=4, gradient=gradient)
    seen = []
    trainer.guard.note = lambda step, note=trainer.guard.note: (seen.append(step), note(step))
    text = fails(trainer, DivergedError)
    assert f"the {'gradient' if gradient else 'loss'} is not finite in epoch 2, iteration 1" in text
    assert f"The last good checkpoint is {tiny / 'output' / 'latest'}, of step 3;" in text
    written = json.loads((tiny / "output" / "diverged.json").read_text())
    assert written["step"] == written["found_at_step"] == 4
    assert (written["epoch"], written["iteration"]) == (2, 1)
    assert len(written["images"]) == 8
    assert written["images"] == [trainer.names[i] for i in seen[4].images.tolist()]
    assert written["last_finite"]["step"] == 3
    assert written["last_finite"]["terms"]["loss"] == float(seen[3].terms["loss"].detach())
    assert 0 < written["last_finite"]["gradient"] < 1e6
    assert written["last_statistics"]["step"] == 4
    if gradient:
        assert written["gradient"] == "nan"
        named = {name for name, _ in trainer.update.model.named_parameters()}
        assert {"head.weight", "neck.conv.weight"} <= set(written["parameters"]) <= named
        assert written["terms"]["loss"] > 0
    else:
        assert written["terms"]["loss"] == "nan"
    assert all(bool(p.isfinite().all()) for p in trainer.update.model.parameters())
    load_checkpoint(tiny / "output")


@pytest.mark.parametrize("printed", [2, 1000])
def test_a_device_that_is_not_waited_for_is_told_of_the_very_step(tiny, printed):
    """Steps are looked at when the run prints, or saves."""
    trainer = poison(trainer_of(tiny, "Global.iter_per_epoch=4"), step=5)
    trainer.print_every = printed
    cpu, trainer.device = trainer.device, torch.device("meta")
    move = trainer._iteration

    def on_cpu(epoch, index, batch):
        batch.__class__.to, kept = lambda self, device: self, batch.__class__.to
        try:
            move(epoch, index, batch)
        finally:
            batch.__class__.to = kept

    trainer._iteration = on_cpu
    text = fails(trainer, DivergedError)
    trainer.device = cpu
    assert "is not finite in epoch 2, iteration 1" in text
    later = 1 if printed == 2 else 2
    assert f"found {later} step" in text
    assert json.loads((tiny / "output" / "diverged.json").read_text())["step"] == 5
    assert load_checkpoint(tiny / "output").facts["iteration"] == 4, "nothing is saved after it"


def out_of_memory(*_):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")


def no_memory(*_):
    raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes")


@pytest.mark.parametrize("fault", [out_of_memory, no_memory])
def test_out_of_memory_says_what_takes_less(tiny, fault):
    trainer = trainer_of(tiny, "Global.epochs=3")
    forward = trainer.update.loss.forward

    def failing(*inputs):
        return (fault if trainer.iteration == 4 else forward)(*inputs)

    trainer.update.loss.forward = failing
    text = fails(trainer, SetupError)
    assert "out of memory in step 4 with batch_size 8" in text
    for advice in ("micro_batch_size: 16", "activation_checkpointing: True", "AMP"):
        assert advice in text
    assert "latest, of step 3; --resume" in text


def test_advice_that_is_followed_already_is_not_given(tiny):
    trainer = trainer_of(tiny, "Global.micro_batch_size=4", "AMP={}")
    trainer.update.loss.forward = out_of_memory
    text = fails(trainer, SetupError)
    assert "and micro_batch_size 4" in text
    assert "micro_batch_size: 2" in text
    assert "AMP" not in text
    assert "No checkpoint has been saved yet." in text


def test_checkpoints_of_an_earlier_run_in_the_folder_are_not_this_ones(tiny):
    trainer_of(tiny, "Global.epochs=1").run()
    trainer = trainer_of(tiny)
    trainer.update.loss.forward = out_of_memory
    assert "No checkpoint has been saved yet." in fails(trainer, SetupError)
    resumed = trainer_of(tiny)
    resumed.restore(load_checkpoint(tiny / "output"))
    resumed.update.loss.forward = out_of_memory
    assert "latest, of step 3;" in fails(resumed, SetupError)


def test_a_bug_is_told_with_what_it_left(tiny):
    trainer = trainer_of(tiny)
    forward = trainer.update.loss.forward
    trainer.update.loss.forward = lambda *i: 1 / 0 if trainer.iteration == 4 else forward(*i)
    with pytest.raises(ZeroDivisionError):
        trainer.run()
    text = (tiny / "output" / "train.log").read_text()
    assert "Failed in step 4. The last good checkpoint is" in text


def test_a_killed_worker_ends_the_run_saved_at_that_step(tiny):
    """What was trained since the epoch's end is there, and goes on bit for bit."""
    straight = tiny / "straight"
    trainer_of(tiny, f"Global.output_dir={straight}", *WORKERS).run()
    trainer = trainer_of(tiny, *WORKERS)
    move = trainer._iteration

    def then_kill(epoch, index, batch):
        move(epoch, index, batch)
        if trainer.iteration == 5:
            for worker in multiprocessing.active_children():
                os.kill(worker.pid, signal.SIGKILL)

    trainer._iteration = then_kill
    text = fails(trainer, SetupError)
    assert "was killed by SIGKILL" in text
    assert "latest, of step 5; --resume goes on from it." in text
    resumed = trainer_of(tiny, *WORKERS)
    resumed.restore(load_checkpoint(tiny / "output"))
    resumed.run()
    expected, found = load_checkpoint(straight), load_checkpoint(tiny / "output")
    assert all(torch.equal(value, found.model[name]) for name, value in expected.model.items())


def test_a_broken_image_ends_the_run_saved_and_tells_so(tiny):
    trainer = trainer_of(tiny, "Global.epochs=9")
    move = trainer._iteration

    def then_spoil(epoch, index, batch):
        move(epoch, index, batch)
        if trainer.iteration == 4:
            (tiny / "images" / "000" / "000.jpg").write_bytes(b"gone")

    trainer._iteration = then_spoil
    text = fails(trainer, DataError)
    assert "000.jpg" in text
    assert f"latest, of step {trainer.iteration}; --resume" in text
    assert load_checkpoint(tiny / "output").facts["iteration"] == trainer.iteration >= 4
