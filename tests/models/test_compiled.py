"""A compiled training pass: the same numbers and names; and none where there is no compiler."""

import copy
import shutil

import pytest
import torch
from conftest import train_in_two_parts, trainer_of
from torch import nn

from lookalike.models.compiled import compile_training
from lookalike.models.reference_batch_norm import reference_batch_norm
from lookalike.training import load_checkpoint

IMAGES = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("g++", "clang++"))), reason="no C++ compiler here"
)


def network():
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.0)]
    return reference_batch_norm(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()))


def learn(model, steps=3):
    """Return what is left of some steps of gradient descent, and the last output."""
    torch.manual_seed(1)
    for _ in range(steps):
        output = model(IMAGES)
        model.zero_grad()
        output.square().sum().backward()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= 0.1 * parameter.grad
    return {**model.state_dict(), "output": output, "random": torch.rand(1)}


@pytest.mark.slow
@needs_compiler
def test_compiled_steps_are_the_plain_ones():
    told = []
    plain, compiled = network(), network()
    compile_training(compiled, told.append)
    expected, found = learn(plain), learn(compiled)
    assert not told
    assert list(expected) == list(found)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-5, msg=name)
    assert compiled.forward.train is not compiled.forward._plain


def refuse(function):
    def call(*inputs):
        raise RuntimeError("no compiler is called g+-\nand so on")

    return call


def fail_behind_the_statistics(function):
    """A compiler that fails when half of the work is done."""

    def call(*inputs):
        function(*inputs)
        torch.rand(3)
        raise RuntimeError("too late")

    return call


@pytest.mark.parametrize("compiler", [refuse, fail_behind_the_statistics])
def test_without_a_compiler_training_goes_on_and_says_why(compiler, monkeypatch):
    monkeypatch.setattr(torch, "compile", compiler)
    told = []
    plain, falling_back = network(), network()
    compile_training(falling_back, told.append)
    expected, found = learn(plain), learn(falling_back)
    for name, value in expected.items():
        assert torch.equal(value, found[name]), name
    (text,) = told
    assert text.startswith("Global.compile: this backbone could not be compiled here (RuntimeError")
    assert "training goes on without it" in text
    assert "\n" not in text


def test_evaluation_is_not_compiled(monkeypatch):
    monkeypatch.setattr(torch, "compile", refuse)
    told = []
    model = network()
    compile_training(model, told.append)
    expected = network().eval()(IMAGES)
    assert torch.equal(model.eval()(IMAGES), expected)
    model.train()
    with torch.no_grad():
        model(IMAGES)
    assert not told


def test_a_copy_has_its_own_weights():
    model = network()
    compile_training(model, print)
    copied = copy.deepcopy(model).eval()
    for parameter in model.parameters():
        parameter.data.zero_()
    assert copied(IMAGES).abs().sum() > 0


COMPILED = ("Global.compile=True", "+EMA={decay: 0.5}")


def test_a_run_keeps_its_names_and_tells_of_the_failure_in_its_log(tiny, monkeypatch):
    monkeypatch.setattr(torch, "compile", refuse)
    straight = tiny / "straight"
    trainer_of(tiny, f"Global.output_dir={straight}", "+EMA={decay: 0.5}").run()
    train_in_two_parts(tiny, *COMPILED)
    expected, found = load_checkpoint(straight), load_checkpoint(tiny / "output")
    assert list(expected.model) == list(found.model)
    for name, value in expected.model.items():
        assert torch.equal(value, found.model[name]), name
    assert "note: Global.compile: this backbone" in (tiny / "output" / "train.log").read_text()
