"""Cutting backbones: the right output, the unused parts gone, both ways of cutting."""

import copy

import pytest
import timm
import torch
import torchvision
from torch import nn

from lookalike import build
from lookalike.errors import ConfigError
from lookalike.models import FeatureTap, cut_backbone
from lookalike.models.feature_tap import freeze_up_to, observe_layers
from lookalike.paddleclas import stop_layer_candidates

SHAPE = (3, 64, 64)


def seen_output(model, layer, x):
    """What a hook on the whole model sees: the truth a cut is measured by."""
    seen = {}
    handle = model.get_submodule(layer).register_forward_hook(
        lambda module, inputs, output: seen.setdefault("output", output)
    )
    with torch.no_grad():
        model(x)
    handle.remove()
    return seen["output"]


@pytest.mark.parametrize("layer", ["layer3.1", "layer2.0.conv1", "layer4", "avgpool", "maxpool"])
def test_traced_cut_returns_what_a_hook_sees(layer):
    torch.manual_seed(0)
    model = torchvision.models.resnet18().eval()
    x = torch.randn(2, *SHAPE)
    expected = seen_output(model, layer, x)
    cut = cut_backbone(copy.deepcopy(model), [layer], image_shape=SHAPE).eval()
    assert not isinstance(cut, FeatureTap)
    torch.testing.assert_close(cut(x), expected)


@pytest.mark.parametrize("layer", ["blocks.2.0", "conv_head", "global_pool", "global_pool.pool"])
def test_observed_cut_returns_what_a_hook_sees(layer):
    torch.manual_seed(0)
    model = timm.create_model("tf_efficientnet_lite0").eval()
    x = torch.randn(1, *SHAPE)
    expected = seen_output(model, layer, x)
    cut = cut_backbone(copy.deepcopy(model), [layer], image_shape=SHAPE).eval()
    assert isinstance(cut, FeatureTap)
    torch.testing.assert_close(cut(x), expected)


@pytest.mark.parametrize("name", ["resnet18", "tf_efficientnet_lite0"])
@pytest.mark.parametrize("layer", ["middle", "pool"])
def test_every_parameter_left_is_trained(name, layer):
    """Nothing behind the cut stays in the model, the optimiser or a checkpoint."""
    where = {
        "resnet18": ("layer2", "avgpool"),
        "tf_efficientnet_lite0": ("blocks.3", "global_pool"),
    }
    model = torchvision.models.resnet18() if name == "resnet18" else timm.create_model(name)
    cut = cut_backbone(model, [where[name][layer == "pool"]], image_shape=SHAPE).train()
    cut(torch.randn(2, *SHAPE)).square().sum().backward()
    without = [key for key, parameter in cut.named_parameters() if parameter.grad is None]
    assert without == []


def test_training_mode_reaches_the_cut_model():
    cut = cut_backbone(torchvision.models.resnet18(), ["avgpool"], image_shape=SHAPE)
    x = torch.randn(4, *SHAPE)
    before = copy.deepcopy(cut.state_dict())
    cut.train()(x)
    after = cut.state_dict()
    assert not torch.equal(before["bn1.running_mean"], after["bn1.running_mean"])
    cut.eval()
    torch.testing.assert_close(cut(x), cut(x))


class Parallel(nn.Module):
    """Two branches; the second is registered before the first and joins later."""

    def __init__(self):
        super().__init__()
        self.side = nn.Conv2d(3, 4, 1)
        self.stem = nn.Conv2d(3, 4, 1)
        self.tap = nn.Conv2d(4, 4, 1)
        self.fc = nn.Linear(4, 2)

    def forward(self, x):
        y = self.tap(self.stem(x))
        return self.fc((y + self.side(x)).mean((2, 3)))


def test_a_parallel_branch_is_not_kept():
    cut = cut_backbone(Parallel(), ["tap"], image_shape=SHAPE)
    assert {name.split(".")[0] for name, _ in cut.named_parameters()} == {"stem", "tap"}


@pytest.mark.parametrize("name", ["avg_pool", "adaptive_avg_pool2d_0"])
def test_both_name_styles_of_paddleclas(name):
    arch = {"Backbone": {"name": "ResNet50"}, "BackboneStopLayer": {"name": name}}
    model = build("model", arch, image_shape=SHAPE)
    assert model(torch.zeros(1, *SHAPE))["features"].shape == (1, 2048, 1, 1)


@pytest.mark.parametrize("name", ["flatten", "flatten_0"])
def test_flatten_is_two_dimensional(name):
    arch = {"Backbone": {"name": "ResNet50"}, "BackboneStopLayer": {"name": name}}
    model = build("model", arch, image_shape=SHAPE)
    assert model(torch.zeros(1, *SHAPE))["features"].shape == (1, 2048)


@pytest.mark.parametrize(
    "backbone", ["resnet18", "resnet50d", "tf_efficientnet_lite0", "regnetx_002"]
)
@pytest.mark.parametrize("name", ["avg_pool", "flatten"])
def test_reference_names_work_on_other_backbones(backbone, name):
    arch = {"Backbone": {"name": backbone}, "BackboneStopLayer": {"name": name}}
    features = build("model", arch, image_shape=SHAPE)(torch.zeros(1, *SHAPE))["features"]
    assert features.flatten(1).shape[1] == features.shape[1]


def test_an_unknown_layer_is_an_error_with_the_nearest_name():
    arch = {"Backbone": {"name": "resnet18"}, "BackboneStopLayer": {"name": "layer3.l"}}
    with pytest.raises(ConfigError, match=r"no layer 'layer3\.l'.*Did you mean 'layer3\.1'"):
        build("model", arch, image_shape=SHAPE)


def test_stop_layer_words():
    assert stop_layer_candidates("stages[3][0]")[0] == ["stages.3.0"]
    assert stop_layer_candidates("linear_1")[1] == ("Linear", 1)


def test_observed_layers_have_shapes_in_order():
    layers = observe_layers(torchvision.models.resnet18(), SHAPE)
    names = list(layers)
    assert names.index("layer1") < names.index("layer4") < names.index("avgpool")
    assert layers["layer4"] == (1, 512, 2, 2)


@pytest.mark.parametrize("layer", ["layer2.0.conv1", "layer2", "bn1"])
def test_freezing_up_to_a_layer_takes_what_runs_before_it(layer):
    model = torchvision.models.resnet18()
    freeze_up_to(model, [layer], image_shape=SHAPE)
    order = list(observe_layers(model, SHAPE))
    learns = {name: p.requires_grad for name, p in model.named_parameters()}
    for name, does in learns.items():
        module = name.rpartition(".")[0]
        inside = module == layer or module.startswith(f"{layer}.")
        assert does == (not inside and order.index(module) > order.index(layer)), name
    assert any(learns.values())


def test_freezing_from_a_yaml_and_a_layer_that_is_not_there():
    backbone = {"name": "ResNet18", "freeze_befor": "blocks[3]"}
    spec = {"Backbone": backbone, "BackboneStopLayer": {"name": "flatten"}}
    model = build("model", spec, image_shape=SHAPE)
    frozen = {name.split(".")[1] for name, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {"conv1", "bn1", "layer1", "layer2"}
    backbone["freeze_befor"] = "layer9"
    with pytest.raises(ConfigError, match="freeze_befor.*no layer 'layer9'"):
        build("model", spec, image_shape=SHAPE)
