"""Blocks that are computed again learn as if they had been kept, in less memory."""

import copy

import pytest
import torch
from saved_bytes import counting_saved_bytes
from torch import nn

from lookalike import build
from lookalike.models.feature_tap import cut_backbone
from lookalike.models.lent_buffers import buffers_lent
from lookalike.models.recompute import recompute_blocks
from lookalike.models.reference_batch_norm import reference_batch_norm

IMAGES = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


class Block(nn.Module):
    """Everything that a second pass could get wrong: statistics, random numbers, a shortcut."""

    def __init__(self, width=8):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.dropout = nn.Dropout(0.3)

    def forward(self, x):
        return x + self.dropout(self.norm(self.conv(x)).relu())


def network(blocks=4):
    torch.manual_seed(1)
    stages = nn.Sequential(*[Block() for _ in range(blocks)])
    model = nn.Sequential(nn.Conv2d(3, 8, 3), stages, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return reference_batch_norm(model)


def learn(model, images=IMAGES):
    """Return gradients and buffers of two steps."""
    torch.manual_seed(2)
    for _ in range(2):
        model(images).square().sum().backward()
    gradients = {name: p.grad for name, p in model.named_parameters()}
    return gradients, dict(model.named_buffers()), torch.rand(1)


@pytest.mark.parametrize("name", ["network", "ResNet18", "MobileNetV3_large_x1_0", "vit", "tap"])
def test_gradients_statistics_and_random_numbers_are_those_of_the_plain_pass(name):
    def make():
        if name == "network":
            return network()
        torch.manual_seed(3)
        if name == "vit":
            return build(
                "backbone",
                {"name": "vit_tiny_patch16_224", "img_size": 32, "drop_path_rate": 0.5, "depth": 3},
            )
        if name == "tap":
            # a model that cannot be traced, cut inside its last block
            return cut_backbone(
                build("backbone", {"name": "tf_mobilenetv3_small_minimal_100"}),
                ["blocks.4.0.conv_pw"], image_shape=(3, 32, 32),
            )  # fmt: skip
        return build("backbone", {"name": name})

    plain, again = make(), make()
    assert recompute_blocks(again) >= 3
    assert list(again.state_dict()) == list(plain.state_dict())
    for expected, found in zip(learn(plain), learn(again), strict=True):
        if isinstance(expected, torch.Tensor):
            assert torch.equal(expected, found)
            continue
        for key, value in expected.items():
            if value is None:
                assert found[key] is None, key
            else:
                torch.testing.assert_close(found[key], value, rtol=1e-6, atol=1e-6, msg=key)


def test_only_the_inputs_of_blocks_are_kept():
    kept = {}
    for blocks in (4, 8):
        for again in (False, True):
            model = network(blocks)
            if again:
                recompute_blocks(model)
            with counting_saved_bytes() as count:
                output = model(IMAGES)
                kept[blocks, again] = count.now
            del output
    one_map = 4 * 8 * 30 * 30 * 4
    # each further block keeps its input; otherwise also what norm, rectifier and dropout need
    assert kept[8, True] - kept[4, True] == 4 * one_map
    assert kept[8, False] - kept[4, False] > 4 * 3 * one_map


def test_evaluation_and_copies_run_their_own_weights():
    model = network()
    recompute_blocks(model)
    copied = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert copied(IMAGES).abs().sum() > 0
    assert model(IMAGES).abs().sum() == 0
    copied.eval()
    assert torch.equal(copied(IMAGES), copied(IMAGES))


def test_a_row_of_layers_has_no_blocks():
    assert recompute_blocks(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())) == 0
    traced = cut_backbone(build("backbone", {"name": "torchvision.resnet18"}), ["flatten"])
    assert recompute_blocks(traced) == 0


def test_buffers_come_back_even_from_a_pass_that_fails():
    norm = nn.BatchNorm1d(2)
    before = norm.running_mean
    with pytest.raises(ValueError, match="expected 2D"), buffers_lent(norm):
        norm(torch.zeros(()))
    assert norm.running_mean is before
