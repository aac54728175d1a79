"""Necks and heads against recorded numbers, closed formulas and numeric gradients."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden_cases import arrays, assert_near, cases, copy_parameters, yaml_args

from lookalike import build
from lookalike.errors import ConfigError

NECKS = ("FC", "VehicleNeck", "BNNeck", "FRFNNeck", "MetaBNNeck", "Tanh")
HEADS = ("FC", "ArcMargin", "CosMargin", "CircleMargin", "AdaMargin")
BEYOND = ("SubCenterArcMargin", "CurricularMargin", "MagMargin", "ElasticMargin")


@pytest.mark.parametrize("case", cases("neck", components=NECKS))
def test_neck_matches_reference(case):
    data = arrays(case)
    neck = build("neck", {"name": case["component"], **yaml_args(case)}).train()
    copy_parameters(neck, data)
    copy_statistics(neck, data, "state.before.")
    neck.mode = case["params"].get("_setup_opt", {}).get("bn_mode", "general")
    x = torch.from_numpy(data["in.x"]).requires_grad_()
    output = neck(x)
    assert_near(output, data["out.train"], case["tolerance"]["forward"])
    output.backward(torch.from_numpy(data["in.cotangent"]))
    assert_near(x.grad, data["grad.x"], case["tolerance"]["grad"])
    for name, parameter in neck.named_parameters():
        recorded = data[f"grad.{name}"]
        recorded = recorded.T if recorded.ndim == 2 else recorded
        assert_near(parameter.grad, recorded, case["tolerance"]["grad"], name)
    for name, buffer in statistics_of(neck).items():
        assert_near(buffer, data[f"state.after.{name}"], case["tolerance"]["forward"], name)
    if "out.eval" in data:
        assert_near(neck.eval()(x), data["out.eval"], case["tolerance"]["forward"], "eval")


def statistics_of(module):
    """Running statistics under the reference's names."""
    words = {"running_mean": "_mean", "running_var": "_variance"}
    return {
        f"{name.rpartition('.')[0]}.{words[name.rpartition('.')[2]]}": buffer
        for name, buffer in module.named_buffers()
        if name.rpartition(".")[2] in words
    }


def copy_statistics(module, data, prefix):
    for name, buffer in statistics_of(module).items():
        buffer.copy_(torch.from_numpy(data[prefix + name]))


@pytest.mark.parametrize("case", cases("head", "head_boundary", components=HEADS))
def test_head_matches_reference(case):
    data = arrays(case)
    head = build("head", {"name": case["component"], **yaml_args(case)}).train()
    copy_parameters(head, data)
    x = torch.from_numpy(data["in.x"]).requires_grad_()
    labels = torch.from_numpy(data["in.label"])
    output = head(x, labels)
    assert_near(output, data["out.train"], case["tolerance"]["forward"])
    if "grad.x" in data:
        output.backward(torch.from_numpy(data["in.cotangent"]))
        assert_near(x.grad, data["grad.x"], case["tolerance"]["grad"])
    head.eval()
    for given, key in ((None, "out.eval_nolabel"), (labels, "out.eval_label")):
        if key in data:
            assert_near(head(x, given), data[key], case["tolerance"]["forward"], key)


@pytest.mark.parametrize("case", cases("init_distribution", components=(*NECKS, *HEADS)))
def test_initial_weights_are_drawn_like_the_reference(case):
    kind = "neck" if case["component"].endswith("Neck") else "head"
    spec = {"name": case["component"], **yaml_args(case)}
    builds = [dict(build(kind, spec).named_parameters()) for _ in range(6)]
    # buffers are counted by the golden cases that record their values
    case["values"] = {k: v for k, v in case["values"].items() if k in builds[0]}
    assert case["values"]
    for name, recorded in case["values"].items():
        drawn = torch.cat([b[name].detach().flatten() for b in builds]).double()
        assert len(drawn) == recorded["n"]
        assert drawn.std().item() == pytest.approx(recorded["std"], rel=0.05, abs=1e-9)
        assert abs(drawn.mean() - recorded["mean"]) <= 0.08 * recorded["std"] + 1e-9
        if recorded["kurtosis"] is not None:
            centred = drawn - drawn.mean()
            kurtosis = centred.pow(4).mean() / centred.square().mean().square()
            assert kurtosis.item() == pytest.approx(recorded["kurtosis"], abs=0.3)


@pytest.mark.parametrize("easy_margin", [False, True])
def test_arc_margin_is_the_arccos_formula(easy_margin):
    torch.manual_seed(0)
    head = build(
        "head",
        {"ArcMargin": {"embedding_size": 6, "class_num": 5, "margin": 0.3, "scale": 64.0,
                       "easy_margin": easy_margin}},
    ).double()  # fmt: skip
    x, labels = torch.randn(64, 6, dtype=torch.float64), torch.randint(5, (64,))
    cosine = F.linear(F.normalize(x), F.normalize(head.weight))
    theta = cosine.acos()
    target = (theta + 0.3).cos()
    if easy_margin:
        target = torch.where(cosine > 0, target, cosine)
    else:
        target = torch.where(theta < math.pi - 0.3, target, cosine - 0.3 * math.sin(0.3))
    expected = 64 * torch.where(F.one_hot(labels, 5).bool(), target, cosine)
    # the documented 1e-6 under the root, and float32 inside
    torch.testing.assert_close(head(x, labels).double(), expected, rtol=0, atol=2e-3)


@pytest.mark.parametrize("kind", ["parallel", "opposite", "zero"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", [*HEADS, *BEYOND])
def test_heads_are_finite_where_the_angle_is_extreme(name, kind, dtype):
    extra = {"margin": 0.35, "scale": 64.0} if name == "CircleMargin" else {}
    head = build("head", {name: {"embedding_size": 8, "class_num": 4, **extra}})
    weight = next(p for p in head.parameters() if p.ndim == 2)
    x = {"parallel": weight[:1] * 3, "opposite": -weight[:1], "zero": torch.zeros(1, 8)}
    x = x[kind].detach().to(dtype).requires_grad_()
    with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
        logits = head(x, torch.tensor([0]))
    loss = F.cross_entropy(logits.float(), torch.tensor([0]))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(x.grad).all()
    assert torch.isfinite(weight.grad).all()
    assert weight.dtype == torch.float32


@pytest.mark.parametrize("name", BEYOND)
def test_margin_heads_only_lower_the_true_class(name):
    torch.manual_seed(0)
    head = build("head", {name: {"embedding_size": 6, "class_num": 5}})
    x, labels = torch.randn(20, 6) * 20, torch.randint(5, (20,))
    with_margin = head(x, labels)
    plain = head(x, None) * head.scale
    own = F.one_hot(labels, 5).bool()
    assert (with_margin[own] < plain[own]).all()
    if name != "CurricularMargin":  # which raises hard negatives on purpose
        torch.testing.assert_close(with_margin[~own], plain[~own])
    torch.testing.assert_close(head.eval()(x, labels), head(x, None))


def test_sub_centers_count_the_nearest():
    head = build("head", {"SubCenterArcMargin": {"embedding_size": 3, "class_num": 2,
                                                 "num_centers": 2}})  # fmt: skip
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, -1]]))
    cosine = head(torch.tensor([[0.0, 5.0, 0.0]]), None)
    torch.testing.assert_close(cosine, torch.tensor([[1.0, 0.0]]))


def test_larger_norms_get_larger_margins():
    head = build("head", {"MagMargin": {"embedding_size": 4, "class_num": 3}})
    x = torch.randn(1, 4)
    x = x / x.norm()
    labels = torch.tensor([0])
    drop = [(head(x * n, None) * 64 - head(x * n, labels))[0, 0].item() for n in (10, 60, 110)]
    assert drop[0] < drop[1] < drop[2]


@pytest.mark.parametrize("easy", [True, False])
def test_the_easy_margin_of_magface_is_its_authors(easy):
    """By one entry at a time: no margin from 90 degrees on, else a line behind pi - margin."""
    torch.manual_seed(0)
    spec = {"embedding_size": 4, "class_num": 3, "easy_margin": easy}
    head = build("head", {"MagMargin": spec}).double()
    x = torch.randn(40, 4, dtype=torch.float64) * torch.linspace(1, 70, 40)[:, None]
    x[0], x[1] = -30.0 * head.weight[0].detach(), -30.0 * head.weight[1].detach()
    labels = torch.arange(40) % 3
    found, kinds = head(x, labels).detach(), set()
    for i, label in enumerate(labels.tolist()):
        norm = min(max(float(x[i].norm()), 10.0), 110.0)
        margin = 0.45 + (0.8 - 0.45) / 100.0 * (norm - 10.0)
        cosine = F.cosine_similarity(x[i], head.weight[label].detach(), dim=0).item()
        kinds.add((cosine > 0.0, cosine > math.cos(math.pi - margin)))
        expected = math.cos(math.acos(max(min(cosine, 1.0), -1.0)) + margin)
        if easy and cosine <= 0.0:
            expected = cosine
        elif not easy and cosine <= math.cos(math.pi - margin):
            expected = cosine - margin * math.sin(margin)
        assert found[i, label].item() == pytest.approx(64.0 * expected, abs=1e-3)
    assert len(kinds) == 3


def test_straight_through_changes_the_value_but_not_the_slope():
    torch.manual_seed(0)
    spec = {"embedding_size": 6, "class_num": 4, "margin": 0.5, "scale": 10.0}
    exact = build("head", {"ArcMargin": spec})
    through = build("head", {"ArcMargin": {**spec, "gradient": "straight_through"}})
    through.load_state_dict(exact.state_dict())
    labels = torch.tensor([0, 1, 2])
    x = torch.randn(3, 6, requires_grad=True)
    torch.testing.assert_close(through(x, labels), exact(x, labels))
    (slope,) = torch.autograd.grad(through(x, labels).sum(), x)
    (plain,) = torch.autograd.grad(10.0 * through(x, None).sum(), x)
    torch.testing.assert_close(slope, plain)


def test_gem_pooling_lies_between_mean_and_maximum():
    x = torch.rand(2, 3, 4, 4)
    pooled = [build("neck", {"GeMPooling": {"in_channels": 3, "p": p}})(x) for p in (1, 3, 200)]
    torch.testing.assert_close(pooled[0], x.mean((2, 3)))
    torch.testing.assert_close(pooled[2], x.amax((2, 3)), rtol=0.05, atol=0)
    assert (pooled[0] <= pooled[1]).all()
    assert (pooled[1] <= pooled[2]).all()


# what a definition takes for constant would move under finite differences: CircleMargin's paces
# (see the test below), AdaMargin's norms, CurricularMargin's running mean
@pytest.mark.parametrize("name", sorted({*HEADS, *BEYOND} - {"CircleMargin"}))
def test_head_gradients_in_double(name):
    torch.manual_seed(1)
    more = {
        "FC": {},
        "AdaMargin": {"s": 2.0, "t_alpha": 0.0},
        "CurricularMargin": {"scale": 2.0, "momentum": 0.0},
    }.get(name, {"scale": 2.0})
    head = build("head", {name: {"embedding_size": 5, "class_num": 4, **more}}).double()
    parameter = next(p for p in head.parameters() if p.ndim == 2)
    labels = torch.tensor([0, 1, 2, 3, 1, 2])
    state = {key: value.clone() for key, value in head.state_dict().items()}

    def logits(x, weight):
        for key, buffer in head.named_buffers():  # running statistics move at every call
            buffer.copy_(state[key])
        torch.manual_seed(7)  # elastic margins are drawn
        return torch.func.functional_call(head, {names[id(parameter)]: weight}, (x, labels))

    names = {id(p): key for key, p in head.named_parameters()}
    x = torch.randn(6, 5, dtype=torch.float64, requires_grad=name != "AdaMargin")
    weight = parameter.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(logits, (x, weight))


def test_circle_margin_gradient_takes_its_paces_for_constants():
    torch.manual_seed(1)
    spec = {"embedding_size": 5, "class_num": 4, "margin": 0.35, "scale": 2.0}
    head = build("head", {"CircleMargin": spec}).double()
    x = torch.randn(6, 5, dtype=torch.float64, requires_grad=True)
    own = F.one_hot(torch.tensor([0, 1, 2, 3, 1, 2]), 4).bool()
    cosine = F.normalize(x) @ F.normalize(next(head.parameters()).T, dim=0)
    pace = torch.where(own, (1.35 - cosine).relu(), (cosine + 0.35).relu()).detach()
    expected = 2.0 * pace * torch.where(own, cosine - 0.65, cosine - 0.35)
    found = head(x, own.int().argmax(dim=1))
    torch.testing.assert_close(found, expected)
    weights = torch.randn(6, 4, dtype=torch.float64)
    slopes = [
        torch.autograd.grad((logits * weights).sum(), x, retain_graph=True)[0]
        for logits in (found, expected)
    ]
    torch.testing.assert_close(*slopes)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"embedding_size": 4, "class_num": 2, "margin": 28.6}, "28.6 degrees is 0.499"),
        ({"embedding_size": 4, "class_num": 2, "scale": 0}, "scale must be positive"),
        ({"embedding_size": 4, "class_num": "x"}, "class_num"),
    ],
)
def test_arc_margin_refuses_what_makes_no_sense(spec, message):
    with pytest.raises(ValueError, match=message):
        build("head", {"ArcMargin": spec})


def test_param_attr_sets_values_rule_and_bias():
    neck = build(
        "neck",
        {
            "name": "FC",
            "embedding_size": 8,
            "class_num": 4,
            "weight_attr": {
                "initializer": {"name": "KaimingNormal", "fan_in": 128},
                "learning_rate": 0.1,
                "regularizer": {"name": "L2Decay", "coeff": 0.0},
            },
            "bias_attr": {"initializer": {"name": "Constant", "value": 0.5}},
        },
    )
    assert neck.fc.bias.tolist() == [0.5] * 4
    assert neck.fc.weight.std().item() == pytest.approx(math.sqrt(2 / 128), rel=0.5)
    rule = neck.param_rules["fc.weight"]
    assert (rule.lr_multiplier, rule.weight_decay) == (0.1, 0.0)
    head = build("head", {"FC": {"embedding_size": 8, "class_num": 4, "bias_attr": False}})
    assert head.fc.bias is None


@pytest.mark.parametrize("name", ["BNNeck", "MetaBNNeck"])
@pytest.mark.parametrize("left_out", ["weight", "bias"])
def test_a_norm_without_one_of_its_parameters(name, left_out):
    full = build("neck", {name: {"num_features": 4}})
    neck = build("neck", {name: {"num_features": 4, f"{left_out}_attr": False}})
    kept = {"weight": "bias", "bias": "weight"}[left_out]
    assert [key for key, _ in neck.named_parameters()] == [f"feat_bn.{kept}"]
    features = torch.randn(6, 4)
    with torch.no_grad():
        for one in (neck, full):
            getattr(one.feat_bn, kept).copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    torch.testing.assert_close(neck(features), full(features))
    (neck(features) * torch.randn(6, 4)).sum().backward()
    assert getattr(neck.feat_bn, kept).grad.abs().min() > 0
    full.load_state_dict(neck.state_dict(), strict=False)
    exported = torch.export.export(neck.eval(), (features,)).module()
    torch.testing.assert_close(exported(features), full.eval()(features))


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("neck", {"name": "FC", "embedding_size": 4, "class_num": 2}),
        ("neck", {"name": "VehicleNeck", "in_channels": 4, "out_channels": 2}),
        ("head", {"name": "ArcMargin", "embedding_size": 4, "class_num": 2}),
    ],
)
def test_the_weight_of_other_gears_cannot_be_left_out(kind, spec):
    with pytest.raises(ConfigError, match="cannot be built without its weight"):
        build(kind, {**spec, "weight_attr": False})


def filled(initializer, kind="neck", **spec):
    spec = spec or {"name": "FC", "embedding_size": 300, "class_num": 200}
    gear = build(kind, {**spec, "weight_attr": {"initializer": initializer}})
    return next(p for name, p in gear.named_parameters() if name.endswith("weight")).detach()


@pytest.mark.parametrize(
    ("initializer", "std"),
    [
        ({"name": "TruncatedNormal", "std": 0.02}, 0.02),
        ({"name": "TruncatedNormal", "a": -1.0, "b": 1.0}, 0.5396),
        ({"name": "XavierNormal", "fan_in": 10, "fan_out": 30}, math.sqrt(2 / 40)),
        ({"name": "XavierNormal", "gain": 2.0}, 2 * math.sqrt(2 / 500)),
        ({"name": "XavierUniform", "fan_in": 10}, math.sqrt(2 / 210)),
        ({"name": "KaimingNormal", "nonlinearity": "tanh"}, 5 / 3 / math.sqrt(300)),
        ({"name": "KaimingNormal", "mode": "fan_out"}, math.sqrt(2 / 200)),
        ({"name": "KaimingUniform", "nonlinearity": "linear"}, 1 / math.sqrt(300)),
        ({"name": "KaimingNormal", "nonlinearity": "leaky_relu", "negative_slope": 0.1},
         math.sqrt(2 / 1.01 / 300)),
    ],
)  # fmt: skip
def test_spread_of_the_initial_values(initializer, std):
    assert filled(initializer).std().item() == pytest.approx(std, rel=0.02)


def test_initial_values_that_are_no_draws():
    weight = filled({"name": "Orthogonal", "gain": 2.0})
    torch.testing.assert_close(weight @ weight.T, 4 * torch.eye(200), atol=1e-4, rtol=0)
    square = {"name": "FC", "embedding_size": 3, "class_num": 2}
    given = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]  # inputs x outputs
    weight = filled({"name": "Assign", "value": given}, **square)
    torch.testing.assert_close(weight, torch.tensor(given).T)
    conv = {"name": "VehicleNeck", "in_channels": 3, "out_channels": 3, "kernel_size": 3}
    gear = build("neck", {**conv, "padding": 1, "weight_attr": {"initializer": {"name": "Dirac"}}})
    maps = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(gear(maps), maps.flatten(1))
    for wrong, message in (
        ({"name": "Assign", "value": [[1.0]]}, "3, 2. numbers expected"),
        ({"name": "Dirac"}, "3, 4, or 5 dimensions"),
        ({"name": "KaimingNormal", "nonlinearity": "cosine"}, "nonlinearity"),
    ):
        with pytest.raises(ConfigError, match=message):
            filled(wrong, **square)


@pytest.mark.parametrize("stride", [1, 2, [2, 1]])
@pytest.mark.parametrize("size", [(7, 8), (5, 3)])
def test_same_padding_divides_the_size_by_the_stride(stride, size):
    spec = {"in_channels": 2, "out_channels": 3, "kernel_size": [3, 2], "stride": stride}
    neck = build("neck", {"VehicleNeck": {**spec, "padding": "SAME", "data_format": "NCHW"}})
    down, right = stride if isinstance(stride, list) else (stride, stride)
    height, width = math.ceil(size[0] / down), math.ceil(size[1] / right)
    maps = torch.randn(2, 2, *size)
    assert neck(maps).shape == (2, 3 * height * width)
    if stride == 1:
        bordered = F.pad(maps, (0, 1, 1, 1))  # of the one more column, behind
        expected = F.conv2d(bordered, neck.conv.weight, neck.conv.bias)
        torch.testing.assert_close(neck(maps), expected.flatten(1))
    valid = build("neck", {"VehicleNeck": {**spec, "padding": "VALID"}})
    plain = build("neck", {"VehicleNeck": {**spec, "padding": [0, 0]}})
    plain.load_state_dict(valid.state_dict())
    torch.testing.assert_close(valid(maps), plain(maps))
    with pytest.raises(ConfigError, match="same goes with"):
        build("neck", {"VehicleNeck": {**spec, "padding": "SAME", "dilation": 2}})


def test_vehicle_neck_takes_flat_features_too():
    neck = build("neck", {"VehicleNeck": {"in_channels": 8, "out_channels": 4}})
    x = torch.randn(3, 8)
    np.testing.assert_allclose(neck(x).detach(), neck(x[:, :, None, None]).detach())
