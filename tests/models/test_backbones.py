"""The reference's backbones: sizes, layers, arithmetic and rules for the optimiser."""

import copy
import math
import sys

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from lookalike import build
from lookalike.assembly.model import build_model
from lookalike.config import ComponentSpec
from lookalike.config.schema import ArchSection
from lookalike.errors import ConfigError
from lookalike.models import cut_backbone
from lookalike.models.backbones.clip_vit import ClipTower
from lookalike.models.backbones.meta_bin import MetaBatchInstanceNorm
from lookalike.models.backbones.mobilenet_v3 import SteepHardSigmoid
from lookalike.models.downscale_dropout import DownscaleDropout
from lookalike.models.fuse_branches import fuse_branches
from lookalike.models.reference_batch_norm import has_reference_update, reference_batch_norm
from lookalike.optim import parameter_groups
from lookalike.optim.groups import collect_rules
from lookalike.paddleclas import stays_whole, stop_layer_candidates
from lookalike.types import ParamRule

SHAPE = (3, 64, 64)
# name, arguments, trainable parameters of the reference, and what it has and we do not
SIZES = [
    ("ResNet50", {}, 25_557_032, 0),
    ("ResNet50_vd", {}, 25_576_264, 0),
    ("ResNet50_last_stage_stride1", {}, 25_557_032, 0),
    ("ResNet50_adaptive_max_pool2d", {}, 25_557_032, 0),
    ("ResNet50_metabin", {}, 25_636_712, 0),
    ("MobileNetV1", {}, 4_231_976, 0),
    ("MobileNetV3_large_x1_0", {"class_num": 512}, 4_855_078, 0),
    ("PPLCNet_x2_5", {}, 9_017_560, 0),
    ("PPLCNet_x2_5_Tanh", {"class_num": 512}, 8_392_432, 0),
    # the reference keeps room for the merged depth-wise convolutions while it trains the branches
    ("PPLCNetV2_base", {}, 6_800_360, 113_152),
    ("PPLCNetV2_base_ShiTu", {"class_expand": 512}, 5_247_976, 113_152),
    ("AlexNet", {"class_num": 48}, 57_200_496, 0),
    ("VGG19", {"class_num": 48}, 139_761_392, 0),
    ("VGG19Sigmoid", {"class_num": 48}, 139_761_392, 0),
    ("CLIP_vit_base_patch16_224", {"return_embed": True}, 86_192_640, 0),
    # 303,966,976 with timm's head 1024 -> 768 and its offset; the reference projects to 512
    ("CLIP_vit_large_patch14_224", {"return_embed": True}, 303_966_976, 1024 * 256 + 768),
    ("AdaFace_IR_18", {}, 24_020_352, 0),
]


def empty(name, **args):
    """A backbone without memory for its weights."""
    with torch.device("meta"):
        return build("backbone", {"name": name, **args})


def real(name, seed=0, **args):
    torch.manual_seed(seed)
    return build("backbone", {"name": name, **args})


@pytest.mark.parametrize(("name", "args", "reference", "unused"), SIZES)
def test_as_many_trainable_parameters_as_the_reference(name, args, reference, unused):
    parameters = [p for p in empty(name, **args).parameters() if p.requires_grad]
    assert sum(p.numel() for p in parameters) == reference - unused


STEPS = {
    "ResNet50": "conv1 bn1 relu maxpool layer1 layer2 layer3 layer4 avgpool flatten fc",
    "ResNet50_vd": "conv1 bn1 relu maxpool layer1 layer2 layer3 layer4 avgpool flatten fc",
    "MobileNetV1": "conv_stem bn1 blocks global_pool flatten classifier",
    "MobileNetV3_large_x1_0": "conv_stem bn1 blocks conv_last global_pool conv_head act2 dropout "
    "flatten classifier",
    "PPLCNet_x1_0": "conv_stem bn1 blocks global_pool conv_head act2 dropout flatten classifier",
    "PPLCNetV2_base_ShiTu": "stem stages global_pool conv_head act2 dropout flatten classifier",
    "AlexNet": "features avgpool flatten classifier",
    "VGG19": "features avgpool flatten classifier",
    "AdaFace_IR_18": "input_layer body output_layer",
}


@pytest.mark.parametrize("name", STEPS)
def test_steps_in_order(name):
    assert [step for step, _ in empty(name).named_children()] == STEPS[name].split()


# (backbone, stop layer, output shape at 224 px)
STOPS = [
    ("ResNet50", "flatten", (2048,)),
    ("ResNet50", "avg_pool", (2048, 1, 1)),
    ("ResNet50", "adaptive_avg_pool2d_0", (2048, 1, 1)),
    ("ResNet50", "flatten_0", (2048,)),
    ("ResNet50", "linear_0", (1000,)),
    ("ResNet50", "conv2d_5", (64, 56, 56)),
    ("ResNet50", "stem", (64, 112, 112)),
    ("ResNet50", "stem[0].bn", (64, 112, 112)),
    ("ResNet50", "max_pool", (64, 56, 56)),
    ("ResNet50", "blocks[13]", (2048, 7, 7)),
    ("ResNet50", "blocks[13].conv1", (512, 7, 7)),
    ("ResNet50", "blocks[13].short.conv", (2048, 7, 7)),
    ("ResNet50", "layer4.0.conv1", (512, 14, 14)),
    ("ResNet50_vd", "flatten", (2048,)),
    ("ResNet50_vd", "stem[1]", (32, 112, 112)),
    ("ResNet50_vd", "blocks[3].conv1", (128, 28, 28)),
    ("ResNet18", "blocks[2].conv1", (128, 28, 28)),
    ("ResNet50_last_stage_stride1", "avg_pool", (2048, 1, 1)),
    ("ResNet50_last_stage_stride1", "flatten", (2048,)),
    ("ResNet50_last_stage_stride1", "blocks[15]", (2048, 14, 14)),
    ("ResNet50_adaptive_max_pool2d", "flatten", (2048,)),
    ("ResNet50_metabin", "flatten", (2048,)),
    ("ResNet50_metabin", "blocks[13].conv1", (512, 14, 14)),
    ("MobileNetV1", "flatten", (1024,)),
    ("MobileNetV1", "conv", (32, 112, 112)),
    ("MobileNetV1", "blocks[3].depthwise_conv", (128, 28, 28)),
    ("MobileNetV3_large_x1_0", "adaptive_avg_pool2d_8", (960, 1, 1)),
    ("MobileNetV3_large_x1_0", "last_second_conv", (960, 7, 7)),
    ("MobileNetV3_large_x1_0", "last_conv", (1280, 1, 1)),
    ("MobileNetV3_large_x1_0", "hardswish", (1280, 1, 1)),
    ("MobileNetV3_large_x1_0", "flatten", (1280,)),
    ("MobileNetV3_large_x1_0", "blocks[3].mid_se.conv1", (18, 1, 1)),
    ("MobileNetV3_large_x1_0", "blocks[13]", (160, 7, 7)),
    ("PPLCNet_x2_5", "flatten", (1280,)),
    ("PPLCNet_x2_5", "avg_pool", (1280, 1, 1)),
    ("PPLCNet_x1_0", "adaptive_avg_pool2d_2", (512, 1, 1)),
    ("PPLCNet_x1_0", "conv1", (16, 112, 112)),
    ("PPLCNet_x1_0", "blocks5[4].dw_conv.bn", (256, 14, 14)),
    ("PPLCNet_x1_0", "blocks6[1].se", (512, 7, 7)),
    ("PPLCNet_x1_0", "act", (1280, 1, 1)),
    ("PPLCNet_x2_5_Tanh", "fc", (1000,)),
    ("PPLCNetV2_base_ShiTu", "flatten", (1280,)),
    ("PPLCNetV2_base", "stages[3][0]", (1024, 7, 7)),
    ("PPLCNetV2_base_ShiTu", "stages[3][0]", (1024, 14, 14)),
    ("PPLCNetV2_base", "stages[2][0].pw_conv_1", (256, 14, 14)),
    ("PPLCNetV2_base", "stem[0].bn", (32, 112, 112)),
    ("AlexNet", "_conv5", (256, 6, 6)),
    ("AlexNet", "_fc7", (4096,)),
    ("VGG19", "conv_block_5", (512, 7, 7)),
    ("VGG19", "fc2", (4096,)),
    ("VGG19Sigmoid", "fc2", (4096,)),
    ("AdaFace_IR_18", "body[3]", (128, 28, 28)),
    ("CLIP_vit_base_patch16_224", "norm", (197, 768)),
]


def cut(model, name, layer, shape=(3, 224, 224)):
    candidates, numbered = stop_layer_candidates(layer, name)
    return cut_backbone(model, candidates, numbered=numbered, image_shape=shape, wanted=layer)


@pytest.mark.parametrize(("name", "layer", "shape"), STOPS)
def test_every_stop_name_of_the_reference(name, layer, shape):
    images = (3, 112, 112) if name.startswith("AdaFace") else (3, 224, 224)
    tapped = cut(empty(name), name, layer, images).eval()
    assert tapped(torch.zeros(1, *images, device="meta")).shape[1:] == shape


@pytest.mark.parametrize(
    ("name", "layer", "act"),
    [
        ("PPLCNet_x0_25", "blocks3[0].dw_conv", nn.Hardswish()),
        ("PPLCNetV2_base", "stem[0]", nn.ReLU()),
        ("MobileNetV1", "conv", nn.ReLU()),
    ],
)
def test_a_norm_ends_before_its_activation(name, layer, act):
    model, x = real(name).eval(), torch.randn(1, *SHAPE)
    before = cut(copy.deepcopy(model), name, f"{layer}.bn", SHAPE)(x)
    torch.testing.assert_close(act(before), cut(model, name, layer, SHAPE)(x))


def test_a_cut_inside_a_norm_leaves_its_statistics_alone():
    """The forward pass ends before the hook that scales the variance back."""
    tapped = cut(real("PPLCNet_x0_25"), "PPLCNet_x0_25", "conv1.bn", SHAPE).train()
    x = torch.randn(4, *SHAPE)
    value = tapped(x)
    expected = 0.9 + 0.1 * tapped.model.conv_stem(x).var((0, 2, 3), unbiased=False)
    torch.testing.assert_close(tapped.model.bn1.running_var, expected)
    assert value.requires_grad


def test_a_chain_keeps_its_modules():
    """So that branches can be merged, modes switched and rules found after the cut."""
    model = real("ResNet50_metabin", bias_lr_factor=2.0)
    norm = model.layer4[0].bn2
    tapped = cut(model, "ResNet50_metabin", "flatten", SHAPE)
    assert tapped.layer4[0].bn2 is norm
    assert collect_rules(tapped)["layer4.0.bn2.batch_norm.bias"].lr_multiplier == 2.0
    inner = cut(real("ResNet50_metabin"), "ResNet50_metabin", "blocks[3].conv1", SHAPE)
    assert isinstance(inner.layer2.get_submodule("0").bn2, MetaBatchInstanceNorm)


def test_a_vision_transformer_is_not_cut_at_flatten():
    name = "CLIP_vit_base_patch16_224"
    assert "used as it is" in stays_whole("flatten", name)
    assert stays_whole("blocks[3]", name) == stays_whole("flatten", "ResNet50") == ""


def test_the_recognition_model_says_that_it_was_not_cut():
    name = "CLIP_vit_base_patch16_224"
    arch = ArchSection.model_validate(
        {
            "name": "RecModel",
            "Backbone": {"name": name, "return_embed": True, "return_mean_embed": True},
            "BackboneStopLayer": {"name": "flatten"},
        }
    )
    built = build_model(arch, image_shape=(3, 32, 32))
    assert built.shapes["features"] == [1, 512]
    assert any("used as it is" in note for note in built.notes)


def test_clip_returns_the_mean_of_projected_tokens():
    torch.manual_seed(0)
    sizes = {"patch_size": 16, "embed_dim": 64, "depth": 2, "num_heads": 2}
    flags = {"return_embed": True, "drop_class_token": True}
    tower = ClipTower(10, return_mean_embed=True, **flags, **sizes).eval()
    x = torch.randn(2, 3, 224, 224)
    tokens = tower.forward_features(x)
    assert tokens.shape == (2, 197, 64)
    torch.testing.assert_close(tower(x), tower.head(tokens[:, 1:]).mean(1))
    tower.drop_class_token = False
    torch.testing.assert_close(tower(x), tower.head(tokens).mean(1))
    assert ClipTower(10, return_mean_embed=False, **flags, **sizes)(x).shape == (2, 196, 512)
    flags["return_embed"] = False
    assert ClipTower(10, return_mean_embed=False, **flags, **sizes)(x).shape == (2, 10)


def same_output(ours, theirs, images=SHAPE, atol=1e-4):
    x = torch.randn(2, *images)
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(x), theirs.eval()(x), rtol=1e-4, atol=atol)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("ResNet50", lambda: torchvision.models.resnet50()),
        ("ResNet50_vd", lambda: timm.create_model("resnet50d")),
        ("PPLCNetV2_base", lambda: timm.create_model("lcnetv2_base")),
    ],
)
def test_equal_to_the_library(name, theirs):
    ours, theirs = real(name, **({"dropout_prob": 0.0} if "LC" in name else {})), theirs()
    theirs.load_state_dict(ours.state_dict())
    same_output(ours, theirs)


def test_alexnet_is_torchvisions():
    """The whole chain is trained weight for weight; dropout differs by its own factor."""
    ours, theirs = real("AlexNet", class_num=4), torchvision.models.alexnet(num_classes=4)
    theirs.load_state_dict(ours.state_dict())
    for index in (0, 3):
        ours.classifier[index] = nn.Identity()
    same_output(ours, theirs, (3, 224, 224))


def test_pp_lcnet_is_timms_without_an_offset():
    ours, theirs = real("PPLCNet_x1_0", dropout_prob=0.0), timm.create_model("lcnet_100")
    state = {**ours.state_dict(), "conv_head.bias": torch.zeros(1280)}
    theirs.load_state_dict(state)
    same_output(ours, theirs)


def test_mobilenet_v1_is_timms_with_plain_relus():
    ours = real("MobileNetV1")
    theirs = timm.create_model("mobilenetv1_100", act_layer="relu")
    for (key, to), (_, value) in zip(
        theirs.state_dict().items(), ours.state_dict().items(), strict=True
    ):
        assert to.shape == value.shape, key
        to.copy_(value)
    same_output(ours, theirs)


def test_last_stage_stride_1_has_the_same_weights_and_a_larger_map():
    plain, wide = real("ResNet50"), real("ResNet50_last_stage_stride1")
    wide.load_state_dict(plain.state_dict())
    x = torch.randn(1, *SHAPE)
    assert cut(wide, "ResNet50", "blocks", SHAPE)(x).shape == (1, 2048, 4, 4)


def test_maximum_pooling():
    model, x = real("ResNet50_adaptive_max_pool2d").eval(), torch.randn(1, *SHAPE)
    maps = cut(copy.deepcopy(model), "ResNet50", "blocks", SHAPE)(x)
    pooled = cut(model, "ResNet50", "avg_pool", SHAPE)(x)
    torch.testing.assert_close(pooled, maps.amax((2, 3), keepdim=True))


@pytest.mark.parametrize("name", ["ResNet50", "ResNet50_vd"])
def test_stem_act_null_takes_the_relus_away(name):
    model, x = real(name, stem_act=None).eval(), torch.randn(1, *SHAPE)
    stem = cut(model, name, "stem", SHAPE)
    assert (stem(x) < 0).any()
    assert not any(isinstance(module, nn.ReLU) for module in stem.modules())
    assert (cut(real(name).eval(), name, "stem", SHAPE)(x) >= 0).all()


def test_squashed_outputs():
    x = torch.randn(2, *SHAPE)
    tanh = real("PPLCNet_x2_5_Tanh", class_num=8).eval()
    linear = cut(copy.deepcopy(tanh), "", "classifier", SHAPE)
    torch.testing.assert_close(tanh(x), linear(x).tanh())
    last_but_one = cut(real("VGG19Sigmoid", class_num=8).eval(), "VGG19Sigmoid", "fc2", SHAPE)
    code = last_but_one(x)
    assert (code > 0).all()
    assert (code < 1).all()


def test_fused_branches_are_equal():
    model = real("PPLCNetV2_base_ShiTu", class_num=8).train()
    x = torch.randn(4, *SHAPE)
    for _ in range(3):
        model(x)  # running statistics that are not 0 and 1
    model = cut(model, "PPLCNetV2_base_ShiTu", "flatten", SHAPE)
    fused = fuse_branches(model)
    convs = [m for m in fused.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (5, 5)]
    assert len(convs) == 8
    assert any("dw_conv_list" in name for name, _ in model.named_modules())
    assert not any("dw_conv_list.0" in name for name, _ in fused.named_modules())
    same_output(model, fused)


def test_dropout_shrinks_in_evaluation():
    drop, ones = DownscaleDropout(0.2), torch.ones(10_000)
    torch.testing.assert_close(drop.eval()(ones), 0.8 * ones)
    torch.manual_seed(0)
    trained = drop.train()(ones)
    assert set(trained.tolist()) == {0.0, 1.0}
    assert trained.mean().item() == pytest.approx(0.8, abs=0.02)
    with pytest.raises(ValueError, match=r"share in \[0, 1\)"):
        DownscaleDropout(1.0)


def test_steep_hard_sigmoid():
    x = torch.tensor([-3.0, -2.5, 0.0, 1.0, 2.5, 3.0])
    expected = torch.tensor([0.0, 0.0, 0.5, 0.7, 1.0, 1.0])
    torch.testing.assert_close(SteepHardSigmoid()(x), expected)


@pytest.mark.parametrize("momentum", [0.1, 0.7, None])
def test_running_variance_is_biased(momentum):
    """Recorded by the reference: 1.0 after a batch of 0 and 2; PyTorch gives 1.1."""
    torch.manual_seed(0)
    norm = reference_batch_norm(nn.BatchNorm2d(3, momentum=momentum))
    reference_batch_norm(norm)  # a second time changes nothing
    mean, variance = torch.zeros(3), torch.ones(3)
    for step in range(1, 4):
        x = 3 * torch.randn(4, 3, 2, 2) + 1
        share = momentum or 1 / step
        mean = (1 - share) * mean + share * x.mean((0, 2, 3))
        variance = (1 - share) * variance + share * x.var((0, 2, 3), unbiased=False)
        torch.testing.assert_close(norm(x), nn.BatchNorm2d(3)(x))
        torch.testing.assert_close(norm.running_mean, mean)
        torch.testing.assert_close(norm.running_var, variance)
    kept = norm.running_var.clone()
    norm.eval()(x)
    torch.testing.assert_close(norm.running_var, kept, rtol=0, atol=0)


def test_the_recorded_update():
    norm = reference_batch_norm(nn.BatchNorm1d(1))
    norm(torch.tensor([[0.0], [2.0]]))
    assert norm.running_mean.item() == pytest.approx(0.1)
    assert norm.running_var.item() == pytest.approx(1.0)


def test_two_passes_before_the_backward_pass():
    """Scaling the statistics must not look like a change to what the backward pass needs."""
    model = nn.Sequential(nn.Linear(3, 4), reference_batch_norm(nn.BatchNorm1d(4)))
    x = torch.randn(5, 3)
    (model(x) + model(2 * x)).square().sum().backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize(
    "name",
    ["ResNet50_vd", "ResNet50_metabin", "PPLCNet_x1_0", "PPLCNetV2_base_ShiTu", "MobileNetV1"]
    + ["AdaFace_IR_18"],
)
def test_every_norm_of_a_reference_backbone_has_the_update(name):
    norms = [m for m in empty(name).modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert norms
    assert all(has_reference_update(norm) for norm in norms)


def test_meta_batch_instance_norm():
    torch.manual_seed(0)
    norm, x = MetaBatchInstanceNorm(3), torch.randn(4, 3, 5, 5)
    torch.testing.assert_close(norm(x), nn.BatchNorm2d(3)(x))
    with torch.no_grad():
        norm.gate.fill_(0.25)
    mixed = 0.25 * nn.BatchNorm2d(3)(x) + 0.75 * nn.InstanceNorm2d(3)(x)
    kept = norm.batch_norm.running_var.clone()
    norm.mode = "hold"
    torch.testing.assert_close(norm(x), mixed)
    torch.testing.assert_close(norm.batch_norm.running_var, kept, rtol=0, atol=0)
    norm.mode = "eval"
    torch.testing.assert_close(norm(x), norm.eval()(x))


def test_stage_multipliers():
    model = empty("ResNet50", lr_mult_list=[0.5, 0.25, 2, 3, 4])
    rules, found = collect_rules(model), {}
    for name, _ in model.named_parameters():
        step = name.split(".")[0]
        found.setdefault(step, set()).add(rules.get(name, ParamRule()).lr_multiplier)
    stages = {"layer1": {0.25}, "layer2": {2}, "layer3": {3}, "layer4": {4}}
    assert found == {"conv1": {0.5}, "bn1": {0.5}, **stages, "fc": {1}}
    model = empty("PPLCNet_x1_0", lr_mult_list=[1, 2, 3, 4, 5, 6])
    rules = collect_rules(model)
    assert rules["conv_stem.weight"].lr_multiplier == 1
    assert rules["blocks.3.1.conv_dw.weight"].lr_multiplier == 5
    assert rules["blocks.4.3.bn2.bias"] == ParamRule(5.0, 0.0)
    assert rules["blocks.5.0.se.conv_reduce.bias"].lr_multiplier == 6
    assert "classifier.weight" not in rules
    with pytest.raises(ConfigError, match="5 numbers expected, one per stage"):
        empty("ResNet50", lr_mult_list=[1, 1])


@pytest.mark.parametrize(
    ("name", "exempt"),
    [
        ("PPLCNet_x1_0", True),
        ("PPLCNetV2_base_ShiTu", True),
        ("MobileNetV3_large_x1_0", True),
        ("ResNet50", False),
        ("MobileNetV1", False),
        ("AdaFace_IR_18", False),
    ],
)
def test_which_norms_are_decayed(name, exempt):
    model = empty(name)
    groups = {g["weight_decay"]: g["params"] for g in parameter_groups([model], weight_decay=1e-4)}
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    count = sum(p.numel() for norm in norms for p in norm.parameters())
    assert sum(p.numel() for p in groups.get(0.0, [])) == (count if exempt else 0)
    assert set(groups) == ({1e-4, 0.0} if exempt else {1e-4})


def test_factors_of_meta_bin():
    rules = collect_rules(empty("ResNet50_metabin", bias_lr_factor=2.0, gate_lr_factor=3.0))
    assert rules["layer1.0.bn1.instance_norm.bias"].lr_multiplier == 2.0
    assert rules["fc.bias"].lr_multiplier == 2.0
    assert rules["bn1.gate"].lr_multiplier == 3.0
    assert rules.get("fc.weight", ParamRule()).lr_multiplier == 1.0


@pytest.mark.parametrize(
    ("name", "key", "std"),
    [
        ("ResNet50", "layer1.0.conv2.weight", math.sqrt(2 / (9 * 64))),
        ("ResNet50", "fc.weight", 1 / math.sqrt(3 * 2048)),
        # He's rule counts the one channel of a depth-wise kernel, as the recorded weights show
        ("PPLCNet_x1_0", "blocks.4.0.conv_dw.weight", math.sqrt(2 / 25)),
        ("MobileNetV1", "blocks.12.conv_dw.weight", math.sqrt(2 / 9)),
        ("MobileNetV1", "classifier.weight", math.sqrt(2 / 1024)),
        # the framework's default does not
        ("MobileNetV3_large_x1_0", "blocks.14.conv_dw.weight", math.sqrt(2 / (25 * 960))),
        ("PPLCNet_x1_0", "classifier.weight", math.sqrt(2 / (1280 + 1000))),
    ],
)
def test_initial_weights(name, key, std):
    weight = real(name).state_dict()[key]
    assert weight.std().item() == pytest.approx(std, rel=0.05)
    assert abs(weight.mean().item()) < 0.05 * std


def test_an_unknown_argument_is_an_error():
    with pytest.raises(ConfigError, match="unknown argument"):
        build("backbone", {"name": "PPLCNet_x1_0", "dropuot_prob": 0.1})
    with pytest.raises(ConfigError, match="strides: 5 numbers expected"):
        build("backbone", {"name": "PPLCNet_x1_0", "stride_list": [2]})
    with pytest.raises(ConfigError, match=r"\[112, 112\] or \[224, 224\]"):
        build("backbone", {"name": "AdaFace_IR_18", "input_size": [96, 96]})


def test_strides_and_no_last_convolution():
    model = empty("PPLCNet_x1_0", stride_list=[2, 2, 2, 2, 1], use_last_conv=False).eval()
    maps = cut(model, "PPLCNet_x1_0", "blocks6")(torch.zeros(1, 3, 224, 224, device="meta"))
    assert maps.shape == (1, 512, 14, 14)
    assert empty("PPLCNet_x1_0", use_last_conv=False).classifier.in_features == 512


# families of timm and torchvision that were made for one size of image
SIZED = ["test_vit", "vit_tiny_patch16_224", "deit_tiny_patch16_224", "xcit_nano_12_p8_224",
         "test_coatnet", "pit_ti_224", "gmlp_ti16_224", "eva02_tiny_patch14_224", "levit_128s"]  # fmt: skip  # noqa: E501


@pytest.mark.parametrize("name", SIZED)
def test_a_backbone_is_built_for_the_images_of_the_run(name):
    from lookalike.assembly.model import build_backbone

    module, _ = build_backbone(ComponentSpec.of(name), image_shape=[3, 128, 64])
    with torch.no_grad():
        assert module.eval()(torch.zeros(1, 3, 128, 64)).shape[0] == 1


def test_the_derived_size_gives_the_weights_that_the_written_one_gives():
    from lookalike.assembly.model import build_backbone

    spec = ComponentSpec.of("vit_tiny_patch16_224")
    written = ComponentSpec.of("vit_tiny_patch16_224", {"img_size": [128, 64]})
    torch.manual_seed(3)
    derived, _ = build_backbone(spec, image_shape=[3, 128, 64])
    torch.manual_seed(3)
    wanted, _ = build_backbone(written, image_shape=[3, 128, 64])
    assert derived.pos_embed.shape == (1, 8 * 4 + 1, 192)
    pairs = zip(derived.state_dict().values(), wanted.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


@pytest.mark.parametrize(
    ("name", "args", "words"),
    [
        ("CLIP_vit_large_patch14_224", {}, "100 x 64 pixels.*patch size.*Global.image_shape"),
        ("nest_tiny", {}, "made for 224 x 224"),
        ("torchvision.vit_b_32", {}, "Expected 224"),
        ("test_vit", {"img_size": [32, 32], "dynamic_img_size": False}, r"Set img_size to \[100"),
    ],
)  # fmt: skip
def test_a_size_that_a_backbone_cannot_take_is_told(name, args, words):
    from lookalike.assembly.model import build_backbone

    with pytest.raises(ConfigError, match=words):
        build_backbone(ComponentSpec.of(name, args), image_shape=[3, 100, 64])


@pytest.mark.filterwarnings("ignore::UserWarning:timm.layers.interpolate")
@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"])
def test_pretrained_positions_are_interpolated_as_timm_does(name, tmp_path):
    import timm

    from lookalike.assembly.model import build_backbone

    module = timm.create_model(name)
    path = tmp_path / "w.safetensors"
    save_file(module.state_dict(), path)
    spec = ComponentSpec.of(name, {"pretrained": str(path)})
    notes = []
    built, report = build_backbone(spec, notes=notes, image_shape=[3, 128, 64])
    assert report.complete
    wanted = timm.create_model(name, img_size=(128, 64))
    filtered = sys.modules[type(wanted).__module__].checkpoint_filter_fn(
        module.state_dict(), wanted
    )
    own = built.state_dict()
    assert all(torch.equal(own[key], filtered[key]) for key in own)
    assert any("interpolated" in note for note in notes)


def test_square_images_of_a_torchvision_vit():
    from lookalike.assembly.model import build_backbone

    built, _ = build_backbone(ComponentSpec.of("torchvision.vit_b_32"), image_shape=[3, 96, 96])
    assert built.image_size == 96
