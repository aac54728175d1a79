"""Rounding to 8 bits: what it computes, that it learns, resumes and is exported as integers."""

import onnx
import pytest
import torch
from conftest import train_in_two_parts, trainer_of
from torch import nn

from lookalike.assembly.export import export
from lookalike.assembly.job import build_job
from lookalike.assembly.load import load_run
from lookalike.inference.export import PROGRAM, ExportedModel, run_onnx, traced, write_onnx
from lookalike.models.embedding_model import EmbeddingModel
from lookalike.models.quantization import Rounding, fix_quantization, quantize_for_training
from lookalike.training import load_checkpoint

QUANT = "+Slim={quant: {name: pact}}"


def small_model():
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return EmbeddingModel(backbone, nn.Linear(8, 5))


def test_weights_are_rounded_per_channel_by_their_largest_magnitude():
    model = small_model()
    quantize_for_training(model)
    model.train()
    weight = model.backbone[0].weight.detach()
    found = model.backbone[0].quantize_weight(weight)
    scale = weight.abs().amax(dim=(1, 2, 3), keepdim=True) / 127
    torch.testing.assert_close(found, (weight / scale).round() * scale, rtol=1e-5, atol=1e-7)


def test_inputs_are_rounded_by_a_running_average_that_stands_still_in_evaluation():
    rounding = Rounding(per_channel=False)
    rounding.train()
    rounding(torch.tensor([-1.0, 0.5]))
    rounding(torch.tensor([-3.0, 2.0]))
    rounding.eval()
    largest = 0.9 * 1.0 + 0.1 * 3.0
    values = torch.tensor([0.31, -0.77, 100.0])
    scale = largest / 127
    expected = (values / scale).round().clamp(-127, 127) * scale
    torch.testing.assert_close(rounding(values), expected)
    torch.testing.assert_close(rounding(values), expected)


def test_the_learned_bound_clips_and_has_a_gradient():
    rounding = Rounding(per_channel=False, clip=True)
    with torch.no_grad():
        rounding.bound.fill_(2.0)
    values = torch.tensor([-5.0, 1.0, 3.0], requires_grad=True)
    rounding.clipped(values).sum().backward()
    torch.testing.assert_close(rounding.clipped(values).detach(), torch.tensor([-2.0, 1.0, 2.0]))
    assert values.grad.tolist() == [0.0, 1.0, 0.0]
    assert rounding.bound.grad == 0.0
    (rounding.clipped(values.detach()) * torch.tensor([0.0, 0.0, 1.0])).sum().backward()
    assert rounding.bound.grad == 1.0


def test_parameters_keep_their_names_and_all_of_them_learn():
    model = small_model()
    before = {name for name, _ in model.named_parameters()}
    assert quantize_for_training(model) == 2
    assert before <= {name for name, _ in model.named_parameters()}
    model.train()
    model(torch.randn(4, 3, 8, 8) * 30)["features"].square().sum().backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("images", [torch.randn(2, 3, 8, 8)])
def test_fixed_integers_compute_the_same(images):
    model = small_model()
    quantize_for_training(model)
    model.train()
    model(images)
    expected = model.eval()(images)["features"].detach()
    fix_quantization(model)
    torch.testing.assert_close(model(images)["features"].detach(), expected)


def test_a_run_resumes_bit_for_bit_and_is_exported_as_integers(tiny):
    straight = tiny / "straight"
    trainer_of(tiny, QUANT, f"Global.output_dir={straight}").run()
    train_in_two_parts(tiny, QUANT)
    expected, found = load_checkpoint(straight).model, load_checkpoint(tiny / "output").model
    assert all(torch.equal(value, found[name]) for name, value in expected.items())
    options = [
        QUANT,
        f"Global.pretrained_model={tiny}/output/latest",
        f"Global.save_inference_dir={tiny}/inference",
    ]
    job = build_job(load_run(tiny / "run.yaml", options, training=False), training=False)
    export(job, onnx=False, images=8, advance=lambda what: None)
    nodes = [
        str(node.target) for node in torch.export.load(tiny / "inference" / PROGRAM).graph.nodes
    ]
    assert sum("dequantize_per_channel" in node for node in nodes) > 10


def test_onnx_shows_the_integers(tmp_path):
    model = small_model()
    quantize_for_training(model)
    images = torch.randn(2, 3, 8, 8)
    model.train()(images)
    exported = ExportedModel(model)
    write_onnx(traced(exported, (3, 8, 8)), tmp_path / "model.onnx", {})
    nodes = [node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node]
    assert nodes.count("DequantizeLinear") >= 3
    expected = model.eval()(images)["features"].detach()
    torch.testing.assert_close(
        run_onnx(tmp_path / "model.onnx")(images), expected, atol=1e-3, rtol=1e-3
    )


def test_export_takes_the_scale_of_the_weight_as_it_is():
    """A step after the last forward pass leaves the recorded scale of before the step."""
    model = small_model()
    quantize_for_training(model)
    images = torch.randn(2, 3, 8, 8)
    model.train()(images)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.7)
    exported = ExportedModel(model)  # before anything is evaluated
    expected = model.eval()(images)["features"].detach()
    torch.testing.assert_close(exported(images), expected)


def test_numbers_beyond_the_range_are_clipped_alike_in_onnx(tmp_path):
    """ONNX clips to -128, where 127 steps are the range on both sides."""
    model = small_model()
    quantize_for_training(model, clip=False)
    images = torch.randn(4, 3, 8, 8)
    model.train()(images)
    beyond = 3.0 * images
    expected = model.eval()(beyond)["features"].detach()
    write_onnx(traced(ExportedModel(model), (3, 8, 8)), tmp_path / "model.onnx", {})
    found = run_onnx(tmp_path / "model.onnx")(beyond)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
