"""Mixed precision and the running average of the weights."""

import pytest
import torch
from conftest import train_in_two_parts, trainer_of
from test_trainer import losses
from torch import nn

from lookalike import build
from lookalike.training import load_checkpoint
from lookalike.training.best import Best
from lookalike.training.precision import Precision
from lookalike.training.update import Update
from lookalike.types import Batch

CPU = torch.device("cpu")
SGD = {"name": "SGD", "lr": {"learning_rate": 0.1}}


class Squares(nn.Module):
    def forward(self, output, labels):
        return {"loss": output.float().square().mean()}


class Plain(nn.Module):
    def __init__(self, norm=False):
        super().__init__()
        self.norm = nn.BatchNorm1d(12) if norm else nn.Identity()
        self.linear = nn.Linear(12, 3)

    def forward(self, images, labels):
        return self.linear(self.norm(images.flatten(1)))


def batch(seed=0):
    images = torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(seed))
    zeros = torch.zeros(4, dtype=torch.int64)
    return Batch(images, zeros, zeros, torch.arange(4))


def update_of(model, **kwargs):
    return Update(model, Squares(), [build("optimizer", SGD, model=model)], **kwargs)


def test_the_average_is_the_recurrence_from_the_initial_weights():
    torch.manual_seed(0)
    model = Plain()
    expected = model.linear.weight.detach().clone()
    update = update_of(model, average=0.75)
    for iteration in range(5):
        update.gradients(batch(iteration), iteration)
        update.apply(iteration)
        expected = 0.75 * expected + 0.25 * model.linear.weight.detach()
    torch.testing.assert_close(update.averaged.module.linear.weight.detach(), expected)
    assert not torch.allclose(expected, model.linear.weight)


def test_running_statistics_are_averaged_too():
    model = Plain(norm=True)
    update = update_of(model, average=0.5)
    update.gradients(batch(), 0)
    update.apply(0)
    assert model.norm.running_mean.abs().sum() > 0
    averaged = update.averaged.module.norm.running_mean
    torch.testing.assert_close(averaged, 0.5 * model.norm.running_mean)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_steps_like_float32(dtype):
    weights = []
    for enabled in (False, True):
        torch.manual_seed(0)
        model = Plain()
        update = update_of(model, precision=Precision(CPU, enabled=enabled, dtype=dtype))
        output, _ = update.gradients(batch(), 0)
        assert output.dtype == (dtype if enabled else torch.float32)
        update.apply(0)
        assert model.linear.weight.dtype == torch.float32
        weights.append(model.linear.weight.detach())
    torch.testing.assert_close(*weights, rtol=0.05, atol=0.01)


def test_a_step_with_infinite_gradients_is_left_out_and_the_factor_falls():
    model = Plain()
    before = model.linear.weight.detach().clone()
    precision = Precision(CPU, enabled=True, dtype=torch.float16, scale_loss=2.0**40)
    update = update_of(model, precision=precision)
    update.gradients(batch(), 0)
    update.apply(0)
    assert torch.equal(model.linear.weight, before)
    assert precision.scaler.get_scale() == 2.0**39


def test_a_fixed_factor_stays():
    precision = Precision(CPU, enabled=True, dtype=torch.float16, scale_loss=8.0, dynamic=False)
    update = update_of(Plain(), precision=precision)
    for iteration in range(3):
        update.gradients(batch(iteration), iteration)
        update.apply(iteration)
    assert precision.scaler.get_scale() == pytest.approx(8.0, rel=1e-5)


HALF = ("+AMP={dtype: bfloat16, use_dynamic_loss_scaling: True, scale_loss: 1024}",)
AVERAGE = ("+EMA={decay: 0.5}",)


@pytest.mark.parametrize("extra", [HALF, AVERAGE, HALF + AVERAGE], ids=["half", "average", "both"])
def test_a_run_in_two_parts_equals_the_whole(tiny, extra):
    straight = tiny / "straight"
    trainer_of(tiny, f"Global.output_dir={straight}", *extra).run()
    train_in_two_parts(tiny, *extra)
    expected, found = load_checkpoint(straight), load_checkpoint(tiny / "output")
    for name, value in expected.model.items():
        assert torch.equal(value, found.model[name]), name
    assert losses(straight)[-1] == losses(tiny / "output")[-1]
    averages = [part.state["update"]["averaged"] for part in (expected, found)]
    assert (averages[0] is None) == (extra == HALF)
    for name, value in (averages[0] or {}).items():
        assert torch.equal(value, averages[1][name]), name


def test_the_average_has_a_best_model_of_its_own(tiny):
    trainer = trainer_of(tiny, *AVERAGE)
    trainer.run()
    best = load_checkpoint(tiny / "output" / "best_model_ema").model
    assert set(best) == set(load_checkpoint(tiny / "output").model)
    assert trainer.best_averaged.score is not None
    assert "[Eval EMA]" in (tiny / "output" / "train.log").read_text()


def test_the_average_begins_with_the_weights_fitted_to_the_data(tiny):
    trainer = trainer_of(tiny, "+EMA={decay: 0.9999}", "Global.epochs=1")
    trainer.prepare = lambda: nn.init.constant_(trainer.update.model.head.weight, 7.0)
    trainer.run()
    assert trainer.update.averaged.module.head.weight.mean() > 6.9


def test_a_resumed_run_may_begin_an_average(tiny):
    trainer_of(tiny, "Global.epochs=1").run()
    trainer = trainer_of(tiny, *AVERAGE)
    trainer.restore(load_checkpoint(tiny / "output"))
    averaged = trainer.update.averaged.module.state_dict()
    for name, value in trainer.update.model.state_dict().items():
        assert torch.equal(value, averaged[name]), name


def test_an_average_keeps_the_ranges_of_rounding(tiny):
    trainer = trainer_of(tiny, "+Slim={quant: {name: pact}}", "+EMA={decay: 0.9999}")
    trainer.run()
    averaged, model = trainer.update.averaged.module, trainer.update.model
    pairs = zip(averaged.named_buffers(), model.named_buffers(), strict=True)
    for (name, value), (_, expected) in pairs:
        if "quantize_input" in name:  # the ranges of weights are those of the average
            assert torch.equal(value, expected), name


def test_an_optimizer_without_gradients_steps_aside(tiny):
    model = Plain()
    idle = build("optimizer", SGD, parameters=[nn.Parameter(torch.ones(1))])
    precision = Precision(CPU, enabled=True, dtype=torch.float16, scale_loss=8.0)
    update = Update(
        model, Squares(), [build("optimizer", SGD, model=model), idle], precision=precision
    )
    before = model.linear.weight.detach().clone()
    update.gradients(batch(), 0)
    update.apply(0)
    assert not torch.equal(before, model.linear.weight)


def test_a_score_that_is_no_number_is_never_the_best():
    best = Best()
    assert not best.improves(float("nan"), 1)
    assert best.improves(0.5, 2)
    assert not best.improves(float("nan"), 3)
    assert not best.improves(0.4, 4)
    assert (best.score, best.epoch) == (0.5, 2)


def test_a_term_that_some_steps_lack_is_averaged_over_the_others():
    from lookalike.training.averages import Averages

    means = Averages()
    means.add({"loss": torch.tensor(1.0)}, 4)
    means.add({"loss": torch.tensor(3.0), "MetaTest_loss": torch.tensor(6.0)}, 4)
    assert means.read() == {"loss": 2.0, "MetaTest_loss": 6.0}
    again = Averages()
    again.load_state_dict(means.state_dict())
    assert again.read() == means.read()
