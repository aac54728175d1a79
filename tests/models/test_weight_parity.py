"""What the reference computed with weights that follow from their keys, and what we compute.

The recording is described in tests/golden_weights. Weights go the way of a weight file: their
keys through the translation, all of them into the model.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from torch import nn

sys.path.insert(0, str(ROOT / "benchmarks" / "weights"))
import compare
from components import COMPONENTS, fill

from lookalike.assembly.catalog import CATALOG
from lookalike.errors import CheckpointError
from lookalike.paddleclas.numbered import place_numbered

VECTORS = Path(__file__).parents[1] / "golden_weights"
INDEX = json.loads((VECTORS / "index.json").read_text())["components"]


def recorded(name):
    with np.load(VECTORS / f"{name}.npz") as archive:
        return dict(archive)


def built(name):
    component = COMPONENTS[name]
    state = compare.reference_state(component, INDEX[name])
    return component, compare.make(component, compare.translated(component, state))


# CLIP's large tower is compared by benchmarks/weights/compare.py alone
@pytest.mark.parametrize("name", INDEX)
def test_outputs_and_statistics_of_the_reference(name):
    component, module = built(name)
    found = compare.errors(component, compare.compute(component, module), recorded(name))
    assert {*component.modes} <= set(found)
    assert found == {part: pytest.approx(0.0, abs=compare.LIMIT) for part in found}


def test_every_backbone_is_compared():
    heavy = {c.name for c in COMPONENTS.values() if c.heavy}
    assert {COMPONENTS[name].name for name in INDEX} - {""} | heavy == set(CATALOG["backbone"])


def other_average(module):
    module.bn1.momentum = 0.11


def other_epsilon(module):
    module.bn1.eps = 1e-3


def unbiased_variance(module):
    module.bn1._forward_hooks.clear()
    module.bn1._forward_pre_hooks.clear()


def other_activation(module):
    module.layer4[1].relu = nn.LeakyReLU(0.01)


def other_weight(module):
    module.layer3[0].conv1.weight.data[0, 0, 0, 0] += 0.05


PERTURBED = {
    other_epsilon: {"eval", "train"},
    other_average: {"statistics"},
    unbiased_variance: {"statistics"},
    other_activation: {"eval", "train", "statistics"},
    other_weight: {"eval", "train", "statistics"},
}


@pytest.mark.parametrize("perturb", PERTURBED)
def test_a_small_change_of_one_layer_is_seen(perturb):
    component, module = built("ResNet18")
    perturb(module)
    found = compare.errors(component, compare.compute(component, module), recorded("ResNet18"))
    assert {part for part, error in found.items() if error > compare.LIMIT} >= PERTURBED[perturb]


def test_the_numbers_are_the_same_in_every_release_of_numpy():
    drawn = [*fill("a.weight", (2,)).tolist(), *fill("b", (3, 4))[0, :2].tolist()]
    assert drawn == pytest.approx([1.33992219, 0.56880921, -0.94412631, 1.03020966], rel=1e-6)


EXPORTED = [
    name
    for name, component in COMPONENTS.items()
    if name in INDEX
    and component.kind == "backbone"
    and name.startswith(("ResNet18", "ResNet50", "MobileNet", "PPLCNet_x0_25"))
    and "metabin" not in name
]


@pytest.mark.parametrize("name", EXPORTED)
def test_an_exported_model_finds_the_same_places(name):
    component = COMPONENTS[name]
    state = compare.reference_state(component, INDEX[name])
    expected = compare.translated(component, state)
    module = compare.make(component, expected)
    numbered = {INDEX[name]["keys"][key][0]: array for key, array in state.items()}
    layers = [
        (kind, key)
        for key, layer in module.named_modules()
        for kind in ("Conv2d", "Linear", "BatchNorm2d", "BatchNorm1d")
        if isinstance(layer, getattr(nn, kind))
    ]
    placed = place_numbered(numbered, layers, component.name)
    assert set(placed) == set(expected)
    for key, array in placed.items():
        np.testing.assert_array_equal(array, expected[key].numpy(), err_msg=key)


def test_exports_that_cannot_be_placed_are_refused():
    for name in ("PPLCNetV2_base", "AdaFace_IR_18", "AlexNet", "CLIP_vit_base_patch16_224"):
        with pytest.raises(CheckpointError, match=r"use its \.pdparams file"):
            place_numbered({}, [], name)
    with pytest.raises(CheckpointError, match="1 layers of the kind Linear, this one 0"):
        place_numbered({"linear_0.w_0": np.zeros((2, 2))}, [], "ResNet50")
    with pytest.raises(CheckpointError, match="'x' is of no kind"):
        place_numbered({"x": np.zeros(1)}, [], "ResNet50")
