"""A batch computed in pieces: the loss and the gradients of the whole, the memory of a piece."""

import sys
from pathlib import Path

import pytest
import torch
from conftest import train_in_two_parts, trainer_of
from test_trainer import losses
from torch import nn

from lookalike import build
from lookalike.models import EmbeddingModel
from lookalike.training import load_checkpoint
from lookalike.training.piecewise import PiecewiseUpdate
from lookalike.training.precision import Precision
from lookalike.training.update import Update
from lookalike.types import Batch

sys.path.insert(0, str(Path(__file__).parent.parent / "models"))
from saved_bytes import counting_saved_bytes  # noqa: E402

LOSSES = [
    {"CELoss": {"weight": 1.0}},
    {"SupConLoss": {"weight": 0.5, "views": 2}},
    {"TripletLossV2": {"weight": 0.5, "feature_from": "backbone"}},
    {"CenterLoss": {"weight": 0.1, "num_classes": 5, "feat_dim": 6}},
]


def batch(size=10):
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(5).repeat_interleave(2)[:size]
    images = torch.randn(size, 3, 8, 8, generator=generator)
    return Batch(images, labels, labels, torch.arange(size))


def model_of(*, norm=False, dropout=0.0, head_feature_from="neck"):
    torch.manual_seed(1)
    layers = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8) if norm else nn.Identity(), nn.ReLU()]
    backbone = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout))
    width = 6 if head_feature_from == "neck" else 8
    head = {"name": "ArcMargin", "embedding_size": width, "class_num": 5}
    return EmbeddingModel(
        backbone, nn.Linear(8, 6), build("head", head), head_feature_from=head_feature_from
    )


def after_one(model, *, piece=None, **kwargs):
    """Return the terms and all gradients of one batch."""
    torch.manual_seed(2)
    loss = build("loss", LOSSES)
    kwargs |= {} if piece is None else {"piece": piece}
    update = (Update if piece is None else PiecewiseUpdate)(model, loss, [], **kwargs)
    update.train()
    output, terms = update.gradients(batch(), 0)
    gradients = {name: p.grad for name, p in [*model.named_parameters(), *loss.named_parameters()]}
    return output, terms, gradients


def difference(found, expected):
    """Return the largest difference, as a share of the largest number beside it."""
    shares = [0.0]
    for one, other in zip(found, expected, strict=True):
        assert list(one) == list(other)
        for key, value in other.items():
            if value is None:
                assert one[key] is None, key
            else:
                gap = (one[key].float() - value.float()).abs().max()
                shares.append((gap / value.float().abs().max().clamp_min(1e-6)).item())
    return max(shares)


@pytest.mark.parametrize("piece", [1, 3, 5, 9, 10])
@pytest.mark.parametrize("head_feature_from", ["neck", "backbone"])
def test_loss_and_gradients_are_those_of_the_whole_batch(piece, head_feature_from):
    def make():
        return model_of(head_feature_from=head_feature_from)

    expected = after_one(make())
    assert difference(after_one(make(), piece=piece), expected) < 1e-5


def test_accumulated_batches_are_something_else():
    """The check of the checks: without the pairs between the pieces the gradients differ."""
    gradients = []
    for pieces in (True, False):
        model, loss, whole = model_of(), build("loss", LOSSES[1:2]), batch()
        if pieces:
            PiecewiseUpdate(model, loss, [], piece=5).gradients(whole, 0)
        else:
            update = Update(model, loss, [], accumulate=2)
            for part in (whole.indices < 5, whole.indices >= 5):
                update.gradients(whole.rows(part), 0)
        gradients.append([{"neck": model.neck.weight.grad}])
    assert difference(*gradients) > 0.05


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_in_half_precision(dtype):
    def precision():
        return Precision(torch.device("cpu"), enabled=True, dtype=dtype, scale_loss=8.0)

    expected = after_one(model_of(), precision=precision())
    found = after_one(model_of(), piece=4, precision=precision())
    assert difference(found, expected) < 0.02


def test_both_passes_see_the_same_random_numbers():
    """With dropout, a numeric derivative along the gradient must be the gradient's square norm."""
    model = model_of(dropout=0.5).double()
    loss = build("loss", LOSSES[1:2])
    update = PiecewiseUpdate(model, loss, [], piece=3)
    images = batch()
    double = Batch(images.images.double(), images.labels, images.cameras, images.indices)

    def value():
        torch.manual_seed(5)
        terms = update.gradients(double, 0)[1]
        return terms["loss"].item()

    value()
    after = torch.rand(1)
    gradient = model.neck.weight.grad.clone()
    step, weight = 1e-6, model.neck.weight.data
    weight += step * gradient
    up = value()
    weight -= 2 * step * gradient
    down = value()
    assert (up - down) / (2 * step) == pytest.approx(gradient.square().sum().item(), rel=1e-4)
    assert torch.equal(after, torch.rand(1))


def test_statistics_move_once_per_piece_and_are_those_of_the_pieces():
    model, plain = model_of(norm=True), model_of(norm=True)
    after_one(model, piece=5)
    with torch.no_grad():
        for images in batch().images.split(5):
            plain.backbone(images)
    for name, value in plain.named_buffers():
        torch.testing.assert_close(dict(model.named_buffers())[name], value, msg=name)
    assert model.backbone[1].num_batches_tracked == 2


def test_no_piece_is_a_rest_of_one_image():
    seen = []
    model = model_of(norm=True)
    model.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    after_one(model, piece=3)
    assert seen == [3, 3, 2, 2] * 2


def test_frozen_parts_are_computed_once():
    seen = []
    model = model_of()
    model.backbone.requires_grad_(False)
    model.neck.requires_grad_(False)
    model.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    _, _, gradients = after_one(model, piece=5)
    assert seen == [5, 5]
    assert gradients["head.weight"] is not None


def test_the_memory_is_that_of_a_piece():
    most = {}
    for size in (10, 5, 2):
        with counting_saved_bytes() as count:
            after_one(model_of(), piece=size)
        most[size] = count.most
    one_map = 8 * 36 * 4
    assert most[10] - most[5] >= 5 * one_map
    assert most[5] - most[2] >= 3 * one_map


AVERAGE = "+EMA={decay: 0.5}"
PIECES = ("Global.micro_batch_size=3", AVERAGE, "Global.update_freq=2")


def test_a_run_in_two_parts_equals_the_whole(tiny):
    straight = tiny / "straight"
    trainer_of(tiny, f"Global.output_dir={straight}", *PIECES).run()
    train_in_two_parts(tiny, *PIECES)
    expected, found = load_checkpoint(straight), load_checkpoint(tiny / "output")
    for name, value in expected.model.items():
        assert torch.equal(value, found.model[name]), name
    assert losses(straight)[-1] == losses(tiny / "output")[-1]
