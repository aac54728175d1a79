"""Exported models: running numbers of layers, and the places they belong to."""

import numpy as np
import pytest
from torch import nn

from lookalike import build
from lookalike.errors import CheckpointError
from lookalike.paddleclas import place_numbered

KINDS = (nn.Conv2d, nn.Linear, nn.BatchNorm2d, nn.BatchNorm1d)


def layers_of(module):
    return [
        (kind.__name__, key)
        for key, layer in module.named_modules()
        for kind in KINDS
        if isinstance(layer, kind)
    ]


def numbered(kind, numbers):
    """Arrays of the layers that an export has; each holds its number."""
    return {f"{kind}_{n}.w_0": np.full((1, 1, 1, 1), float(n)) for n in numbers}


def places(found):
    """Turn keys into numbers, of the first number that each array holds."""
    return {key: float(array.flat[0]) for key, array in found.items()}


def test_the_late_convolutions_of_the_model_with_stride_1():
    """The reference replaces two convolutions of the last stage, so they get the last numbers.

    ``ResNet50_last_stage_stride1`` is a ResNet50 whose 14th block gets its 3x3 convolution, then
    its shortcut's convolution anew. Convolutions 44 and 46 of the 53 (stem, 10, 13 and 19 of three
    stages, and the second and the fourth of the block) are thrown away and leave gaps.
    """
    convs = [key for kind, key in layers_of(build("backbone", "ResNet50")) if kind == "Conv2d"]
    assert len(convs) == 53
    assert convs[43:47] == [
        "layer4.0.conv1", "layer4.0.conv2", "layer4.0.conv3", "layer4.0.downsample.0",
    ]  # fmt: skip
    layers = [("Conv2d", key) for key in convs]
    kept = [n for n in range(55) if n not in (44, 46)]
    arrays = numbered("conv2d", kept)
    found = places(place_numbered(arrays, layers, "ResNet50_last_stage_stride1"))
    expected = {f"{key}.weight": float(n) for n, key in enumerate(convs)}
    expected["layer4.0.conv2.weight"] = 53.0
    expected["layer4.0.downsample.0.weight"] = 54.0
    assert found == expected
    plain = places(place_numbered(numbered("conv2d", range(53)), layers, "ResNet50"))
    assert plain == {f"{key}.weight": float(n) for n, key in enumerate(convs)}


def test_numbers_need_not_begin_at_0_and_are_sorted_as_numbers():
    arrays = numbered("conv2d", [9, 10, 101])
    layers = [("Conv2d", name) for name in "abc"]
    assert places(place_numbered(arrays, layers, "VGG19")) == {
        "a.weight": 9.0, "b.weight": 10.0, "c.weight": 101.0,
    }  # fmt: skip


def test_norms_of_both_names_and_all_their_leaves():
    leaves = ("w_0", "b_0", "w_1", "w_2")
    arrays = {f"batch_norm_3.{leaf}": np.array([float(n)]) for n, leaf in enumerate(leaves)}
    arrays |= {f"batch_norm1d_0.{leaf}": np.array([4.0 + n]) for n, leaf in enumerate(leaves)}
    layers = [("BatchNorm2d", "norm"), ("BatchNorm1d", "neck")]
    names = ("weight", "bias", "running_mean", "running_var")
    expected = {f"norm.{name}": float(n) for n, name in enumerate(names)}
    expected |= {f"neck.{name}": 4.0 + n for n, name in enumerate(names)}
    assert places(place_numbered(arrays, layers, "MobileNetV1")) == expected


def test_linear_weights_are_turned_and_their_bias_is_not():
    arrays = {"linear_0.w_0": np.arange(6.0).reshape(2, 3), "linear_0.b_0": np.arange(3.0)}
    found = place_numbered(arrays, [("Linear", "fc")], "PPLCNet_x1_0")
    assert found["fc.weight"].tolist() == [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]
    assert found["fc.bias"].tolist() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("arrays", "backbone", "message"),
    [
        (numbered("conv2d", [0]), "ResNet50_metabin", "use its .pdparams file"),
        (numbered("conv2d", [0]), "SwinTransformer", "use its .pdparams file"),
        (numbered("conv2d", [0, 1]), "ResNet50", "2 layers of the kind Conv2d, this one 1"),
        ({"gru_0.w_0": np.zeros(1)}, "ResNet50", "'gru_0.w_0' is of no kind known"),
        ({"conv2d_0.w_7": np.zeros(1)}, "ResNet50", "'conv2d_0.w_7' is of no kind known"),
        ({"conv2d.w_0": np.zeros(1)}, "ResNet50", "is of no kind known"),
    ],
)
def test_what_cannot_be_placed_is_told(arrays, backbone, message):
    with pytest.raises(CheckpointError, match=message):
        place_numbered(arrays, [("Conv2d", "a")], backbone)
