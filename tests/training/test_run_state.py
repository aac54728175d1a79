"""Everything that is saved of a run is put back, and the run goes on with it."""

import random
from copy import deepcopy

import numpy as np
import torch
from conftest import trainer_of
from same_run import equal

from lookalike.training import load_checkpoint

ALL = (
    "+EMA={decay: 0.5}",
    "+AMP={dtype: float16, use_dynamic_loss_scaling: True, scale_loss: 1024}",
    "Global.iter_per_epoch=2",
    "Global.epochs=3",
    "Global.save_steps=1",
)


def scored(tiny, scores, *overrides):
    """Return a training loop whose evaluations give these scores, of the model and its average."""
    trainer = trainer_of(tiny, *overrides)
    remaining = iter(scores)
    trainer.evaluate = lambda model: {"recall1": next(remaining), "mAP": 0.5}
    return trainer


def test_a_restored_state_is_the_state_that_was_saved(tiny):
    first = scored(tiny, [0.9, 0.8, 0.3, 0.85], *ALL)
    first.epochs = 2
    first.run()
    saved = load_checkpoint(tiny / "output").state
    again = trainer_of(tiny, *ALL)
    fresh = deepcopy(again.state())
    # whatever was drawn meanwhile
    torch.rand(5), np.random.rand(5), random.random()  # noqa: NPY002, B018
    again.restore(load_checkpoint(tiny / "output"))
    found = again.state()
    assert found.keys() == saved.keys()
    for key, value in saved.items():
        assert equal(found[key], value), key
    # each of them had moved, so that the test sees it
    changed = {key for key, value in saved.items() if not equal(value, fresh[key])}
    wanted = {"iteration", "best", "best_averaged", "last_metrics", "averages", "update"}
    assert changed >= wanted
    assert saved["best"] == [0.9, 1]
    assert saved["best_averaged"] == [0.85, 2]
    assert saved["last_metrics"] == {"recall1": 0.3, "mAP": 0.5}


def test_the_best_average_is_not_replaced_by_a_worse_one_after_a_resume(tiny):
    first = scored(tiny, [0.5, 0.9], *ALL)
    first.epochs = 1
    first.run()
    kept = load_checkpoint(tiny / "output" / "best_model_ema")
    second = scored(tiny, [0.6, 0.8, 0.4, 0.7], *ALL)
    second.restore(load_checkpoint(tiny / "output"))
    assert (second.best.score, second.best_averaged.score) == (0.5, 0.9)
    result = second.run()
    assert (result.best.score, result.best.epoch) == (0.6, 2)
    assert (second.best_averaged.score, second.best_averaged.epoch) == (0.9, 1)
    now = load_checkpoint(tiny / "output" / "best_model_ema")
    assert now.facts["epoch"] == 1
    assert equal(now.model, kept.model)


def test_facts_of_a_checkpoint(tiny):
    scored(tiny, [0.5, 0.6, 0.4, 0.7, 0.3, 0.8], *ALL).run()
    latest = load_checkpoint(tiny / "output").facts
    about = ("epoch", "iteration", "best", "best_epoch")
    assert [latest[key] for key in about] == [3, 6, 0.5, 1]
    assert latest["metrics"] == {"recall1": 0.3, "mAP": 0.5}
    average = load_checkpoint(tiny / "output" / "best_model_ema").facts
    assert [average[key] for key in about] == [3, 6, 0.8, 3]
    assert average["metrics"] == {"recall1": 0.8, "mAP": 0.5}
    best = load_checkpoint(tiny / "output" / "best_model").facts
    assert [best[key] for key in about] == [1, 2, 0.5, 1]
    assert best["metrics"] == {"recall1": 0.5, "mAP": 0.5}


def test_a_run_resumed_after_a_fall_equals_the_uninterrupted_run(tiny):
    schedule = ("{name: ReduceOnPlateau, learning_rate: 0.05, mode: max, patience: 0, "
                "factor: 0.5, cooldown: 1}")  # fmt: skip
    overrides = [f"Optimizer.lr={schedule}", "Global.epochs=5", "Global.iter_per_epoch=1"]

    def trainer(folder):
        built = trainer_of(tiny, *overrides, f"Global.output_dir={folder}")
        built.evaluate = lambda model: {"recall1": 0.5}
        return built

    straight = trainer(tiny / "straight")
    straight.run()
    # the best, a fall, its cooldown, falls in the epochs 4 and 5 with one cooldown between them
    assert straight.update.optimizers[0].learning_rate(0) == 0.0125
    first = trainer(tiny / "parts")
    first.epochs = 2
    first.run()
    second = trainer(tiny / "parts")
    second.restore(load_checkpoint(tiny / "parts"))
    second.run()
    assert equal(second.update.model.state_dict(), straight.update.model.state_dict())
    assert equal(second.update.state_dict(), straight.update.state_dict())
