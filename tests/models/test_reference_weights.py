"""Weights of the reference under our keys, and a recorded training run that starts from them."""

import pytest
import torch
from golden_cases import arrays, cases

from lookalike import build
from lookalike.models.loading import load_state
from lookalike.optim import parameter_groups
from lookalike.optim.groups import collect_rules
from lookalike.paddleclas.weight_keys import translate_weights

SHAPE = (3, 64, 64)
NAME = "PPLCNet_x0_25"


def empty(name, **args):
    """A backbone without memory for its weights."""
    with torch.device("meta"):
        return build("backbone", {"name": name, **args})


def norm(at):
    return [f"{at}.{leaf}" for leaf in ("weight", "bias", "_mean", "_variance")]


def conv_norm(*places):
    return [key for at in places for key in (f"{at}.conv.weight", *norm(f"{at}.bn"))]


def layer(*places):
    return [f"{at}.{leaf}" for at in places for leaf in ("weight", "bias")]


def resnet_keys(stem):
    keys = conv_norm(*(f"stem.{i}" for i in range(stem)))
    for i in range(16):
        parts = ["conv0", "conv1", "conv2"] + ["short"] * (i in (0, 3, 7, 13))
        keys += conv_norm(*(f"blocks.{i}.{part}" for part in parts))
    return keys + layer("fc")


def mobilenet_v3_keys():
    keys = conv_norm("conv", "last_second_conv")
    for i in range(15):
        keys += conv_norm(*(f"blocks.{i}.{p}_conv" for p in ("expand", "bottleneck", "linear")))
        if i in (3, 4, 5, 10, 11, 12, 13, 14):
            keys += layer(f"blocks.{i}.mid_se.conv1", f"blocks.{i}.mid_se.conv2")
    return [*keys, "last_conv.weight", *layer("fc")]


def pp_lcnet_v2_keys():
    keys = conv_norm("stem.0", "stem.1.dw_conv", "stem.1.pw_conv")
    for stage, depth in enumerate((2, 2, 6, 2)):
        for i in range(depth):
            at = f"stages.{stage}.{i}"
            if stage < 2:
                keys += conv_norm(f"{at}.dw_conv")
            else:
                keys += conv_norm(*(f"{at}.dw_conv_list.{k}" for k in range(2 + (i > 0))))
            keys += layer(f"{at}.se.conv1", f"{at}.se.conv2") if stage == 2 else []
            parts = ("pw_conv_1", "pw_conv_2") if stage == 2 else ("pw_conv",)
            keys += conv_norm(*(f"{at}.{part}" for part in parts))
    return [*keys, "last_conv.weight", *layer("fc")]


def vgg_keys():
    convs = enumerate((2, 2, 4, 4, 4), start=1)
    keys = [f"conv_block_{b}.conv{c}.weight" for b, n in convs for c in range(1, n + 1)]
    return keys + layer("fc1", "fc2", "fc3")


def clip_keys():
    keys = ["cls_token", "pos_embed", "proj", "patch_embed.proj.weight"]
    parts = ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2")
    return keys + layer("ln_pre", "norm", *(f"blocks.{i}.{p}" for i in range(12) for p in parts))


def adaface_keys():
    keys = ["input_layer.0.weight", *norm("input_layer.1"), "input_layer.2._weight"]
    for i in range(8):
        res = f"body.{i}.res_layer"
        keys += [f"{res}.{n}.weight" for n in (1, 4)] + [f"{res}.3._weight"]
        keys += [key for n in (0, 2, 5) for key in norm(f"{res}.{n}")]
        if i in (2, 4, 6):
            keys += [f"body.{i}.shortcut_layer.0.weight", *norm(f"body.{i}.shortcut_layer.1")]
    statistics = ["output_layer.4._mean", "output_layer.4._variance"]
    return [*keys, *norm("output_layer.0"), *layer("output_layer.3"), *statistics]


ALL_KEYS = {
    "ResNet50": resnet_keys(1),
    "ResNet50_last_stage_stride1": resnet_keys(1),
    "ResNet50_vd": resnet_keys(3),
    "MobileNetV1": conv_norm(
        "conv", *(f"blocks.{i}.{p}wise_conv" for i in range(13) for p in ("depth", "point"))
    )
    + layer("fc"),
    "MobileNetV3_large_x1_0": mobilenet_v3_keys(),
    "PPLCNetV2_base": pp_lcnet_v2_keys(),
    "AlexNet": layer("_conv1._conv", "_conv2._conv", "_conv3", "_conv4", "_conv5._conv")
    + layer("_fc6", "_fc7", "_fc8"),
    "VGG19": vgg_keys(),
    "CLIP_vit_base_patch16_224": clip_keys(),
    "AdaFace_IR_18": adaface_keys(),
}


@pytest.mark.parametrize("name", ALL_KEYS)
def test_every_key_has_its_place_and_every_place_its_key(name):
    args = {"return_embed": True} if name.startswith("CLIP") else {}
    state = {key: torch.zeros(1).numpy() for key in ALL_KEYS[name]}
    found = translate_weights(state, name)
    assert len(found.arrays) == len(state)
    assert not found.derived
    ours = {key for key in empty(name, **args).state_dict() if "num_batches" not in key}
    assert set(found.arrays) == ours


REFERENCE_KEYS = [
    ("ResNet50", "stem.0.conv.weight", "conv1.weight"),
    ("ResNet50", "blocks.0.conv0.conv.weight", "layer1.0.conv1.weight"),
    ("ResNet50", "blocks.13.short.bn._variance", "layer4.0.downsample.1.running_var"),
    ("ResNet50_vd", "stem.1.bn.weight", "conv1.4.weight"),
    ("ResNet50_vd", "blocks.3.short.conv.weight", "layer2.0.downsample.1.weight"),
    ("ResNet18", "blocks.0.short.conv.weight", "layer1.0.downsample.0.weight"),
    ("ResNet50_metabin", "stem.0.bn.instance_norm.scale", "bn1.instance_norm.weight"),
    ("ResNet50_metabin", "blocks.3.conv2.bn.gate.gate", "layer2.0.bn3.gate"),
    ("MobileNetV1", "blocks.12.pointwise_conv.bn._mean", "blocks.12.bn2.running_mean"),
    ("MobileNetV3_large_x1_0", "blocks.3.mid_se.conv2.bias", "blocks.3.se.conv_expand.bias"),
    ("MobileNetV3_large_x1_0", "last_second_conv.bn.weight", "conv_last.bn1.weight"),
    ("PPLCNet_x2_5_Tanh", "fc.origin_layer.bias", "classifier.bias"),
    ("PPLCNetV2_base", "stages.2.0.pw_conv_2.conv.weight", "stages.2.0.pw_conv.1.conv.weight"),
    ("AlexNet", "_conv2._conv.bias", "features.3.bias"),
    ("AlexNet", "_fc8.bias", "classifier.6.bias"),
    ("VGG19Sigmoid", "fc2.origin_layer.bias", "classifier.3.bias"),
    ("CLIP_vit_base_patch16_224", "ln_pre.weight", "norm_pre.weight"),
    ("AdaFace_IR_18", "body.2.shortcut_layer.1._mean", "body.2.shortcut_layer.1.running_mean"),
]


@pytest.mark.parametrize(("name", "theirs", "ours"), REFERENCE_KEYS)
def test_keys_of_the_reference_have_a_place(name, theirs, ours):
    zeros = torch.zeros(4).numpy()
    assert list(translate_weights({theirs: zeros}, name).arrays) == [ours]
    assert ours in empty(name).state_dict()


def test_what_needs_no_place():
    state = {"stages.3.0.dw_conv.weight": torch.zeros(2).numpy()}
    assert translate_weights(state, "PPLCNetV2_base").derived == list(state)
    state = {"backbone.output_layer.4.bias": torch.zeros(2).numpy()}
    assert translate_weights(state, "AdaFace_IR_18").derived == list(state)


RUN = next(c for c in cases("end_to_end") if c.id == "e2e/RecModel_pplcnet_fc_arc").values[0]


def recorded(data, prefix):
    """Return recorded tensors of a state, under our keys."""
    state = {key[len(prefix) :]: data[key] for key in data if key.startswith(prefix)}
    found = translate_weights(state, NAME)
    assert not found.derived
    assert len(found.arrays) == len(state)
    return {key: torch.from_numpy(array) for key, array in found.arrays.items()}


def test_the_recorded_exemptions_from_decay():
    exempt = {key: torch.zeros(1).numpy() for key in RUN["values"]["own_regularizer"]}
    keys = {key.removeprefix("backbone.") for key in translate_weights(exempt, NAME).arrays}
    rules = collect_rules(empty(NAME))
    assert {key for key, rule in rules.items() if rule.weight_decay == 0.0} == keys
    assert len(keys) == 54


def assert_within(found, expected, limit, what):
    distance = (found.detach() - torch.as_tensor(expected)).abs().max()
    assert distance / (abs(torch.as_tensor(expected)).max() + 1e-3) <= limit, what


def assert_outputs(output, data, prefix, limit):
    for name in ("backbone", "neck", "features", "logits"):
        assert_within(output[name], data[f"{prefix}.{name}"], limit, f"{prefix}.{name}")


def test_a_recorded_training_run_step_for_step():
    """Weights, outputs, gradients, losses, running statistics and end of the reference's run."""
    data, limits = arrays(RUN), RUN["tolerance"]
    model = build("model", RUN["params"]["Arch"], image_shape=SHAPE)
    report = load_state(model, recorded(data, "init."), source="golden")
    assert not report.missing
    assert len(report.loaded) == 147
    evaluation = torch.from_numpy(data["in.eval_image"])
    assert_outputs(model.eval()(evaluation), data, "out.eval0", limits["out.eval0"])
    loss = build("loss", RUN["params"]["Loss"]["Train"])
    groups = parameter_groups([model], weight_decay=1e-5)
    keep = ("params", "weight_decay")
    groups = [{key: group[key] for key in keep} for group in groups]
    optimizer = torch.optim.SGD(groups, lr=1.0, momentum=0.9)
    model.train()
    for step, lr in enumerate(data["lr"][:, 0]):
        labels = torch.from_numpy(data["in.label"][step]).flatten()
        output = model(torch.from_numpy(data["in.image"][step]).float(), labels)
        value = loss(output, labels)["loss"]
        assert value.item() == pytest.approx(data["loss.loss"][step], rel=limits["loss"])
        optimizer.zero_grad()
        value.backward()
        if step == 0:
            assert_outputs(output, data, "out.train0", limits["out.train0"])
            gradients = dict(model.named_parameters())
            for key, gradient in recorded(data, "grad0.").items():
                assert_within(gradients[key].grad, gradient, limits["grad0"], key)
        for group in optimizer.param_groups:
            group["lr"] = float(lr)
        optimizer.step()
    final = model.state_dict()
    for key, value in recorded(data, "final.").items():
        # the limit is wide enough to hide PyTorch's update of the variance
        limit = 1e-3 if key.endswith("running_var") else limits["final"]
        assert_within(final[key], value, limit, key)
    assert_outputs(model.eval()(evaluation), data, "out.eval1", limits["out.eval1"])
