"""Losses between two models: definitions, names in the log, and what they refuse."""

import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from lookalike import build
from lookalike.errors import ConfigError

PAIRS = {"model_name_pairs": [["Student", "Teacher"]]}
PLAIN = {
    "DMLLoss": {},
    "DistanceLoss": {"mode": "smooth_l1"},
    "KLDivLoss": {"temperature": 2},
    "RkdDistance": {},
    "RKdAngle": {},
    "DKDLoss": {"temperature": 2.0, "beta": 8.0},
    "SKDLoss": {"temperature": 2.0},
    "DISTLoss": {},
    "WSLLoss": {},
    "PEFDLoss": {"student_channel": 4, "teacher_channel": 4},
}
WITH_LABELS = ("DKDLoss", "SKDLoss", "WSLLoss")


def two(seed=0, shape=(5, 4)):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, *shape, generator=generator, dtype=torch.float64).unbind()


def both(seed=0):
    student, teacher = two(seed)
    return {
        "Student": {"logits": student, "features": student[:, :3]},
        "Teacher": {"logits": teacher, "features": teacher},
    }


# the weights of WSLLoss have no gradient, by definition
@pytest.mark.parametrize("name", [name for name in PLAIN if name != "WSLLoss"])
def test_gradient_in_double(name):
    loss, (student, teacher) = build("loss", {name: PLAIN[name]}).double(), two()
    more = (torch.tensor([0, 3, 1, 1, 2]),) if name in WITH_LABELS else ()
    assert loss(student, teacher, *more).dtype == torch.float64
    student.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(x, teacher, *more), student)


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("fill", [0.0, 0.7, 1e4])
def test_degenerate_outputs_stay_finite(name, fill):
    loss = build("loss", {name: PLAIN[name]})
    student = torch.full((3, 4), fill, requires_grad=True)
    more = (torch.tensor([0, 3, 1]),) if name in WITH_LABELS else ()
    value = loss(student, torch.zeros(3, 4), *more)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(student.grad).all()


def test_relational_losses_are_their_definitions():
    student, teacher = two(shape=(6, 5))[0], two(1, (6, 7))[0]

    def angles(x):
        found = torch.zeros(6, 6, 6, dtype=x.dtype)
        for i in range(6):
            for j in range(6):
                for k in range(6):
                    a, b = x[j] - x[i], x[k] - x[i]
                    if i not in (j, k):
                        found[i, j, k] = a @ b / (a.norm() * b.norm())
        return found

    def distances(x):
        found = torch.stack([(x - row).norm(dim=1).clamp_min(1e-6) for row in x])
        return found / found.mean()

    for name, relations in (("RKdAngle", angles), ("RkdDistance", distances)):
        expected = F.smooth_l1_loss(relations(student), relations(teacher))
        torch.testing.assert_close(build("loss", {name: {}})(student, teacher), expected)


def test_epsilon_divides_and_bounds_no_distance():
    student, teacher = two(shape=(6, 5))

    def relations(x):
        found = torch.stack([(x - row).norm(dim=1).clamp_min(1e-6) for row in x])
        return found / (found.mean() + 0.5)

    found = build("loss", {"RkdDistance": {"eps": 0.5}})(student, teacher)
    torch.testing.assert_close(found, F.smooth_l1_loss(relations(student), relations(teacher)))


@pytest.mark.parametrize("name", ["RKdAngle", "RkdDistance"])
def test_maps_are_pooled_to_a_height_and_width(name):
    student, teacher = two(shape=(4, 3, 4, 6))
    found = build("loss", {name: {"target_size": [2, 1]}})(student, teacher)
    pooled = [F.adaptive_avg_pool2d(maps, (2, 1)).flatten(1) for maps in (student, teacher)]
    torch.testing.assert_close(found, build("loss", {name: {}})(*pooled))


@pytest.mark.parametrize("mode", ["flatten", "gap"])
def test_projected_maps(mode):
    student, teacher = two(shape=(4, 3, 2, 2))
    width = 12 if mode == "flatten" else 3
    spec = {"student_channel": width, "teacher_channel": width, "mode": mode}
    loss = build("loss", {"PEFDLoss": spec}).double()
    ours, theirs = (
        x.flatten(1) if mode == "flatten" else x.mean(dim=(2, 3)) for x in (student, teacher)
    )
    projected = sum(F.relu(one.conv(ours)) for one in loss.projectors) / 3
    expected = 1 - F.cosine_similarity(projected, theirs).mean()
    torch.testing.assert_close(loss(student, teacher), expected)
    with pytest.raises(ValueError, match="width is C \\* H \\* W"):
        loss(torch.zeros(2, 5), torch.zeros(2, 5))


def test_smooth_distance_by_hand():
    student, teacher = torch.tensor([0.0, 0.0]), torch.tensor([1.0, 5.0])
    for delta, expected in ((2.0, [0.5, 8.0]), (0.5, [0.375, 2.375])):
        args = {"mode": "smooth_l1", "delta": delta, "reduction": "none"}
        found = build("loss", {"DistanceLoss": args})(student, teacher)
        torch.testing.assert_close(found, torch.tensor(expected))
        args = {**PAIRS, "mode": "smooth_l1", "delta": delta}
        output = {"Student": {"logits": student}, "Teacher": {"logits": teacher}}
        terms = build("loss", {"DistillationDistanceLoss": args})(output, torch.tensor([0]))
        assert list(terms.values())[0].item() == pytest.approx(sum(expected) / 2)


def test_decoupled_distillation_is_its_definition():
    student, teacher = two()
    labels, t = torch.tensor([0, 3, 1, 1, 2]), 2.0
    p, q = (student / t).softmax(1), (teacher / t).softmax(1)
    against = within = 0.0
    for i, y in enumerate(labels.tolist()):
        for a, b in ((q[i, y], p[i, y]), (1 - q[i, y], 1 - p[i, y])):
            against += a * (a / b).log()
        for c in set(range(4)) - {y}:
            a, b = q[i, c] / (1 - q[i, y]), p[i, c] / (1 - p[i, y])
            within += a * (a / b).log()
    loss = build("loss", {"DKDLoss": {"temperature": 2.0, "alpha": 0.5, "beta": 8.0}})
    expected = t * t * (0.5 * against + 8 * within) / 5
    torch.testing.assert_close(loss(student, teacher, labels), expected)


def test_weighted_soft_labels_are_their_definition():
    student, teacher = two()
    labels, t = torch.tensor([0, 3, 1, 1, 2]), 2.0
    ratio = F.cross_entropy(student, labels, reduction="none")
    ratio = ratio / F.cross_entropy(teacher, labels, reduction="none")
    soft = -((teacher / t).softmax(1) * (student / t).log_softmax(1)).sum(1)
    expected = t * t * ((1 - (-ratio).exp()) * soft).mean()
    found = build("loss", {"WSLLoss": {"temperature": t}})(student, teacher, labels)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)


def test_the_teachers_choice_can_stand_for_the_label():
    student, teacher = two()
    chosen = teacher.argmax(dim=1)
    for name in WITH_LABELS:
        loss = build("loss", {name: PLAIN[name]})
        guess = build("loss", {name: PLAIN[name] | {"use_target_as_gt": True}})
        wrong = (chosen + 1) % 4
        torch.testing.assert_close(guess(student, teacher, wrong), loss(student, teacher, chosen))


def test_mutual_learning_weighs_classes_by_their_ratio():
    student, teacher = two()
    targets, ratios = torch.tensor([1.0, 0.0, 1.0, -1.0]), torch.tensor([0.1, 0.2, 0.5, 0.5])
    labels = torch.stack([targets, ratios]).expand(5, 2, 4)
    spec = {"DistillationDMLLoss": {**PAIRS, "act": "sigmoid", "weight_ratio": True}}
    output = {"Student": {"logits": student}, "Teacher": {"logits": teacher}}
    found = build("loss", spec)(output, labels)["DMLLoss_Student_Teacher_0"]
    p, q = student.sigmoid(), teacher.sigmoid()
    weights = torch.tensor([math.exp(0.9), math.exp(0.2), math.exp(0.5), 0.0])
    expected = (weights * 4 * ((p - q) * (p / q).log()) / 2).mean()
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)


def test_masking_drops_whole_channels():
    loss = build("loss", {"MGDLoss": {"student_channels": 8, "teacher_channels": 8}})
    loss.generation, loss.lambda_mgd = torch.nn.Identity(), 0.5
    torch.manual_seed(0)
    kept = loss(torch.ones(4, 8, 2, 2), torch.zeros(4, 8, 2, 2)).item() / loss.alpha_mgd
    assert 0.2 < kept < 0.8
    assert (kept * 32) == pytest.approx(round(kept * 32), abs=1e-4)
    with pytest.raises(ValueError, match="one height and width"):
        loss(torch.ones(4, 8, 2, 2), torch.zeros(4, 8, 3, 2))


def test_the_same_distillation_twice_keeps_all_terms():
    spec = {"DistillationKLDivLoss": PAIRS}
    labels = torch.zeros(5, dtype=torch.int64)
    one = build("loss", [spec])(both(), labels)
    terms = build("loss", [spec, spec])(both(), labels)
    assert list(terms) == [
        "loss_kldiv_Student_Teacher", "loss_kldiv_Student_Teacher_2", "loss",
    ]  # fmt: skip
    torch.testing.assert_close(terms["loss"], 2 * one["loss"])


def test_a_single_loss_counts_all_its_terms():
    names = ["Student", "Teacher"]
    spec = [{"DistillationGTCELoss": {"model_names": names, "weight": 0.5}}]
    terms = build("loss", spec)(both(), torch.tensor([0, 3, 1, 1, 2]))
    torch.testing.assert_close(
        terms["loss"], terms["CELoss_Student"] + terms["CELoss_Teacher"]
    )  # fmt: skip


def test_the_log_name_can_be_chosen():
    for name, expected in (
        ("DistillationDKDLoss", "x_Student_Teacher"),
        ("DistillationDistanceLoss", "xl2_loss_l2_0"),
    ):
        loss = build("loss", {name: {**PAIRS, "name": "x"}})
        assert list(loss(both(), torch.zeros(5, dtype=torch.int64))) == [expected]
        assert loss.reads == ("Student", "Teacher")


def test_a_model_learns_several_labels():
    labels = torch.tensor([[0, 1, 1, 0]] * 5)
    args = {"model_names": ["Student"], "epsilon": 0.1, "name": "x"}
    terms = build("loss", {"DistillationMultiLabelLoss": args})(both(), labels)
    expected = build("loss", {"MultiLabelLoss": {"epsilon": 0.1}})(both()["Student"], labels)
    assert list(terms) == ["MultiLabelLoss_Student"]
    torch.testing.assert_close(terms["MultiLabelLoss_Student"], expected)


def test_weighted_soft_labels_of_two_models():
    labels, args = torch.tensor([0, 3, 1, 1, 2]), {**PAIRS, "temperature": 3.0}
    terms = build("loss", {"DistillationWSLLoss": args})(both(), labels)
    student, teacher = two()
    expected = build("loss", {"WSLLoss": {"temperature": 3.0}})(student, teacher, labels)
    torch.testing.assert_close(terms["wsl_loss_Student_Teacher"], expected)


def test_any_loss_on_any_two_layers():
    labels, (student, teacher) = torch.zeros(5, dtype=torch.int64), two()
    args = {**PAIRS, "base_loss_name": "DISTLoss", "beta": 2.0, "name": "loss_dist"}
    terms = build("loss", {"DistillationPairLoss": args})(both(), labels)
    expected = build("loss", {"DISTLoss": {"beta": 2.0}})(student, teacher)
    torch.testing.assert_close(terms["loss_dist_0_Student_Teacher"], expected)
    args = {"base_loss_name": "RkdDistance", **PAIRS}
    keys = {"s_key": ["logits", "features"], "t_key": ["features", "logits"]}
    terms = build("loss", {"DistillationPairLoss": {**args, **keys}})(both(), labels)
    assert list(terms) == ["loss_0_Student_Teacher", "loss_1_Student_Teacher"]
    args = {**args, "base_loss_name": "PEFDLoss", "student_channel": 4, "teacher_channel": 4}
    layers = build("loss", {"DistillationPairLoss": args})
    assert len(list(layers.parameters())) == 6
    for wrong, message in (({"s_key": ["a", "b"]}, "go in pairs"), ({"beta": 1.0}, "beta")):
        with pytest.raises(ConfigError, match=message):
            build("loss", {"DistillationPairLoss": {**args, **wrong}})


def test_mistakes_are_named():
    labels = torch.zeros(5, dtype=torch.int64)
    loss = build("loss", {"DistillationKLDivLoss": {"model_name_pairs": [["Student", "Big"]]}})
    with pytest.raises(ValueError, match="reads the model 'Big'; the output has Student, Teacher"):
        loss(both(), labels)
    loss = build("loss", {"DistillationKLDivLoss": {**PAIRS, "key": "neck"}})
    with pytest.raises(ValueError, match="reads 'neck' of Student, which has logits, features"):
        loss(both(), labels)
    with pytest.raises(ValueError, match="compares two tensors.*Distillation"):
        build("loss", {"KLDivLoss": {}})(both(), labels)
    with pytest.raises(ValueError, match="outputs of one shape"):
        build("loss", {"DistanceLoss": {}})(torch.zeros(1, 2), torch.zeros(1, 3))
    for name, args, message in (
        ("DistillationKLDivLoss", {"model_name_pairs": []}, "needs model_name_pairs"),
        ("DistillationKLDivLoss", {"model_name_pairs": [["Student"]]}, "model_name_pairs"),
        ("DistillationGTCELoss", {"model_names": []}, "needs model_names"),
        ("DistillationRKDLoss", {"student_keepkeys": [], "teacher_keepkeys": []}, "go in pairs"),
        ("DistanceLoss", {"mode": "l3"}, "mode"),
        ("PEFDLoss", {"student_channel": 1, "teacher_channel": 1, "num_projectors": 0}, "at least"),
    ):
        with pytest.raises(ConfigError, match=message):
            build("loss", {name: args})
