"""Losses over pairs against brute force in float64, their symmetries and their degenerate cases.

The oracles are the definitions, one pair at a time in plain Python; they share no code with the
losses.
"""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lookalike import build

NUM_CLASSES = 5


def dot(a, b):
    return sum(p * q for p, q in zip(a, b, strict=True))


def unit(rows):
    return [[v / math.sqrt(dot(row, row)) for v in row] for row in rows]


def squared(a, b):
    return sum((p - q) ** 2 for p, q in zip(a, b, strict=True))


def distance(a, b):
    return math.sqrt(max(squared(a, b), 1e-12))


def mean(values):
    return sum(values) / len(values) if values else 0.0


def split(labels, i, with_self=False):
    """Return the indices of the positives and of the negatives of an anchor."""
    positives = [j for j, y in enumerate(labels) if y == labels[i] and (with_self or j != i)]
    return positives, [j for j, y in enumerate(labels) if y != labels[i]]


def triplet(x, labels, margin):
    terms = []
    for i in range(len(x)):
        positives, negatives = split(labels, i, with_self=True)
        if negatives:
            far = max(distance(x[i], x[j]) if j != i else 1e-6 for j in positives)
            terms.append(max(0.0, far - min(distance(x[i], x[j]) for j in negatives) + margin))
    return mean(terms)


def angular(x, labels, add_absolute=False, reduction="mean", with_self=True):
    x, hinges, absolute = unit(x), [], []
    for i in range(len(x)):
        positives, negatives = split(labels, i, with_self)
        if not positives or not negatives:
            continue
        near = min(dot(x[i], x[j]) for j in positives)
        far = max(dot(x[i], x[j]) for j in negatives)
        hinges.append(max(0.0, far - near + 0.5))
        absolute.append(max(0.0, 0.8 - near) + (far - 0.4 if far > 0.4 else 1.0))
    reduced = sum(hinges) if reduction == "sum" else mean(hinges)
    return reduced + (0.1 * mean(absolute) if add_absolute else 0.0)


def contrastive(x, labels):
    x, total = unit(x), 0.0
    for i in range(len(x)):
        positives, negatives = split(labels, i)
        total += sum(1 - s for j in positives if (s := dot(x[i], x[j])) < 1 - 1e-5)
        total += sum(s for j in negatives if (s := dot(x[i], x[j])) > 0.3)
    return total / len(x)


def cosface(x, labels):
    x, terms = unit(x), []
    for i in range(len(x)):
        positives, negatives = split(labels, i)
        total = sum(
            math.exp(16 * (dot(x[i], x[n]) - dot(x[i], x[p]) + 0.25))
            for n in negatives
            for p in positives
        )
        terms.append(math.log(1 + total))
    return mean(terms)


def tri_hard(x, labels):
    x, terms = unit(x), []
    for i in range(len(x)):
        positives, negatives = split(labels, i)
        if positives and negatives:
            far = max(squared(x[i], x[j]) for j in positives)
            terms.append(max(0.0, far + 0.1 - min(squared(x[i], x[j]) for j in negatives)))
    return mean(terms)


def msm(x, labels):
    x, ids = unit(x), range(len(x))
    positives = [squared(x[i], x[j]) for i in ids for j in split(labels, i)[0]]
    negatives = [squared(x[i], x[j]) for i in ids for j in split(labels, i)[1]]
    return max(0.0, max(positives) + 0.1 - min(negatives)) if positives and negatives else 0.0


def eml(x, labels):
    terms = []
    for i in range(len(x)):
        positives, negatives = split(labels, i)
        if positives and negatives:
            near = mean([math.exp(-squared(x[i], x[j])) for j in negatives])
            far = mean([math.exp(squared(x[i], x[j])) for j in positives])
            terms.append(math.log(1 + 1e5 * near * far) / math.log(1 + 1e5))
    return mean(terms)


def npairs(x, labels):
    open_, pairs = {}, []
    for i, y in enumerate(labels):
        if y in open_:
            pairs.append((open_.pop(y), i))
        else:
            open_[y] = i
    terms, lengths = [], []
    for a, p in pairs:
        others = [q for b, q in pairs if labels[b] != labels[a]]
        total = math.exp(dot(x[a], x[p])) + sum(math.exp(dot(x[a], x[q])) for q in others)
        terms.append(math.log(total) - dot(x[a], x[p]))
        lengths += [dot(x[a], x[a]), dot(x[p], x[p])]
    return mean(terms) + 0.1 / 2 * mean(lengths)


def dshsd(x, labels):
    terms = []
    for a, y in zip(x, labels, strict=True):
        for b, z in zip(x, labels, strict=True):
            d = squared(a, b)
            terms.append(d / 2 if y == z else max(0.0, 2 * len(a) - d) / 2)
    return math.log(NUM_CLASSES) + 0.5 * mean(terms)


def lcdsh(x, labels):
    def sigmoid(v):
        return 1 / (1 + math.exp(-v))

    first, second = [], []
    for a, y in zip(x, labels, strict=True):
        for b, z in zip(x, labels, strict=True):
            p = max(-50.0, min(50.0, dot(a, b) / 2))
            first.append(math.log(1 + math.exp(-p if y == z else p)))
            signs = sum(
                math.copysign(1, u) * math.copysign(1, v) for u, v in zip(a, b, strict=True)
            )
            second.append((sigmoid(p) - sigmoid(signs / 2)) ** 2)
    return mean(first) + 3 * mean(second)


def dch(x, labels):
    gamma, width, ids = 20.0, len(x[0]), range(len(x))

    def far(a, b):
        cosine = dot(a, b) / math.sqrt(dot(a, a) * dot(b, b))
        return (1 - min(cosine, 0.99)) * width / 2

    same = sum(labels[i] == labels[j] for i in ids for j in ids)
    pairs = len(x) ** 2
    terms = []
    for i in ids:
        for j in ids:
            d, s = far(x[i], x[j]), labels[i] == labels[j]
            weight = pairs / same if s else pairs / (pairs - same)
            terms.append(weight * (s * math.log(d / gamma) + math.log(1 + gamma / d)))
    codes = [math.log(1 + far([abs(v) for v in a], [1.0] * width) / gamma) for a in x]
    return mean(terms) + 0.1 * mean(codes)


def multi_similarity(x, labels, epsilon=0.1):
    x, total = unit(x), 0.0
    for i in range(len(x)):
        positives, negatives = split(labels, i)
        pos, neg = ([dot(x[i], x[j]) for j in js] for js in (positives, negatives))
        most, least = max(neg, default=-math.inf), min(pos, default=math.inf)
        kept = [s for s in pos if epsilon is None or s < most + epsilon]
        pushed = [s for s in neg if epsilon is None or s > least - epsilon]
        total += math.log(1 + sum(math.exp(-2 * (s - 0.5)) for s in kept)) / 2
        total += math.log(1 + sum(math.exp(50 * (s - 0.5)) for s in pushed)) / 50
    return total / len(x)


def circle(x, labels):
    x, terms, m, gamma = unit(x), [], 0.4, 80.0
    for i in range(len(x)):
        positives, negatives = split(labels, i)
        if not positives or not negatives:
            continue
        pos, neg = ([dot(x[i], x[j]) for j in js] for js in (positives, negatives))
        push = sum(math.exp(gamma * max(0.0, s + m) * (s - m)) for s in neg)
        pull = sum(math.exp(-gamma * max(0.0, 1 + m - s) * (s - (1 - m))) for s in pos)
        terms.append(math.log(1 + push * pull))
    return mean(terms)


def domains(count):
    return [i % 3 == 0 for i in range(count)]


def scatter(x, labels):
    x, means = unit(x), []
    for domain in set(domains(len(x))):
        members = [row for row, other in zip(x, domains(len(x)), strict=True) if other == domain]
        center = [mean(column) for column in zip(*members, strict=True)]
        means.append(mean([dot(unit([center])[0], row) for row in members]))
    return mean(means)


def shuffle(x, labels):
    x, domain, terms, ids = unit(x), domains(len(x)), [], range(len(x))
    for i in ids:
        near = [distance(x[i], x[j]) for j in ids if domain[j] != domain[i]]
        far = [
            distance(x[i], x[j]) for j in ids if domain[j] == domain[i] and labels[j] != labels[i]
        ]
        if near and far:
            terms.append(math.log(1 + math.exp(max(near) - min(far))))
    return mean(terms)


ANGULAR = {"add_absolute": True, "absolute_loss_weight": 0.1, "ap_value": 0.8, "an_value": 0.4}
XBM = {"xbm_size": 16, "xbm_weight": 1.0, "start_iter": 0}
PLAIN = {
    "TripletLoss": ({"margin": 0.3}, lambda x, y: triplet(x, y, 0.3)),
    "TripletLossV2": ({"margin": 0.5}, lambda x, y: triplet(unit(x), y, 0.5)),
    "TripletLossForMetaBIN": ({"margin": 0.3}, lambda x, y: triplet(x, y, 0.3)),
    "TripletAngularMarginLoss": ({}, angular),
    "TripletAngularMarginLoss_XBM": (
        {**XBM, "feat_dim": 4},
        lambda x, y: angular(x, y) + angular(x, y, with_self=False),
    ),
    "ContrastiveLoss": ({"margin": 0.3, "embedding_size": 4}, contrastive),
    "ContrastiveLoss_XBM": (
        {**XBM, "margin": 0.3, "embedding_size": 4},
        lambda x, y: 2 * contrastive(x, y),
    ),
    "PairwiseCosface": ({"margin": 0.25, "gamma": 16}, cosface),
    "TriHardLoss": ({"batch_size": 3, "samples_each_class": 2}, tri_hard),
    "MSMLoss": ({}, msm),
    "EmlLoss": ({}, eml),
    "NpairsLoss": ({"reg_lambda": 0.1}, npairs),
    "DSHSDLoss": ({"alpha": 0.5}, dshsd),
    "LCDSHLoss": ({"n_class": NUM_CLASSES, "_lambda": 3}, lcdsh),
    "DCHLoss": ({"gamma": 20.0, "_lambda": 0.1, "n_class": NUM_CLASSES}, dch),
    "MultiSimilarityLoss": ({}, multi_similarity),
    "CircleLoss": ({}, circle),
    "IntraDomainScatterLoss": ({"normalize_feature": True, "feature_from": "features"}, scatter),
    "InterDomainShuffleLoss": ({}, shuffle),
}
NEEDS_DOMAIN = ("IntraDomainScatterLoss", "InterDomainShuffleLoss")
NAMES = [*PLAIN, "CenterLoss", "SupConLoss"]
ARGUMENTS = {name: args for name, (args, _) in PLAIN.items()}
ARGUMENTS |= {"CenterLoss": {"num_classes": NUM_CLASSES, "feat_dim": 4}, "SupConLoss": {}}


def make(name):
    return build("loss", {name: ARGUMENTS[name]})


def value_of(name, loss, features, labels):
    output = {"features": features}
    if "logits" in loss.reads:
        output["logits"] = features.new_zeros(len(features), NUM_CLASSES)
    given = torch.as_tensor(labels)
    if name in NEEDS_DOMAIN:
        given = {"label": given, "domain": torch.tensor(domains(len(features))).long()}
    return loss(output, given)


def points(count, seed, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 4, generator=generator, dtype=torch.float64).to(dtype)


batches = st.lists(st.integers(0, NUM_CLASSES - 1), min_size=2, max_size=9)


@pytest.mark.parametrize("name", PLAIN)
@settings(max_examples=25, deadline=None)
@given(labels=batches, seed=st.integers(0, 10_000))
def test_it_is_its_definition_for_any_batch(name, labels, seed):
    features = points(len(labels), seed)
    found = value_of(name, make(name), features, labels)
    assert found.dtype == torch.float64
    expected = PLAIN[name][1](features.tolist(), labels)
    # the memory holds float32
    tolerance = 1e-5 if name.endswith("_XBM") else 1e-8
    assert found.item() == pytest.approx(expected, rel=tolerance, abs=tolerance)


@settings(max_examples=25, deadline=None)
@given(labels=batches, seed=st.integers(0, 10_000))
def test_other_settings_are_their_definitions(labels, seed):
    features = points(len(labels), seed)
    rows = features.tolist()
    loss = build("loss", {"TripletAngularMarginLoss": ANGULAR})
    assert loss(features, torch.tensor(labels)).item() == pytest.approx(angular(rows, labels, True))
    loss = build("loss", {"MultiSimilarityLoss": {"epsilon": None}})
    expected = multi_similarity(rows, labels, None)
    assert loss(features, torch.tensor(labels)).item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("labels", "all_pairs", "mined"), [([0, 0, 1], 0.598277, 0.430583), ([0, 1, 2], 0.505009, 0.0)]
)
def test_multi_similarity_is_the_mean_over_all_anchors(labels, all_pairs, mined):
    """By equation 15 an anchor without a positive pushes its negatives away."""
    features, labels = torch.tensor([[1.0, 0.0], [1.0, 0.1], [1.0, 0.2]]), torch.tensor(labels)
    args = {"alpha": 2.0, "beta": 50.0, "base": 0.5}
    for epsilon, expected in ((None, all_pairs), (0.1, mined)):
        loss = build("loss", {"MultiSimilarityLoss": {**args, "epsilon": epsilon}})
        assert loss(features, labels).item() == pytest.approx(expected, abs=5e-7)


# the circle loss's paces have no gradient, by definition
@pytest.mark.parametrize("name", [name for name in NAMES if name != "CircleLoss"])
def test_gradient_in_double(name):
    loss, labels = make(name), [0, 0, 1, 1, 2, 0]
    if name.endswith("_XBM"):
        loss.memory.push(points(5, 7), torch.tensor([0, 1, 2, 3, 1]))
        loss.eval()
    features = points(6, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: value_of(name, loss, x, labels), features)


def test_gradient_of_the_circle_loss_takes_its_paces_for_constants():
    features, labels = points(6, 3), torch.tensor([0, 0, 1, 1, 2, 0])
    same, others = labels[:, None] == labels, ~torch.eye(6, dtype=torch.bool)
    known = torch.nn.functional.normalize(features) @ torch.nn.functional.normalize(features).T

    def frozen(x):
        x = torch.nn.functional.normalize(x)
        s, terms = x @ x.T, []
        for i in range(6):
            push = (80 * (known[i] + 0.4).relu() * (s[i] - 0.4)).exp()[~same[i]].sum()
            pull = (-80 * (1.4 - known[i]).relu() * (s[i] - 0.6)).exp()
            if (same[i] & others[i]).any():
                terms.append((1 + push * pull[same[i] & others[i]].sum()).log())
        return torch.stack(terms).mean()

    found, expected = features.clone().requires_grad_(), features.clone().requires_grad_()
    build("loss", {"CircleLoss": {}})(found, labels).backward()
    frozen(expected).backward()
    torch.testing.assert_close(found.grad, expected.grad)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "NpairsLoss"])
def test_the_order_of_the_batch_does_not_matter(name):
    features, labels = points(9, 1), torch.tensor([0, 1, 1, 2, 0, 3, 2, 2, 1])
    # the domain goes by position; keep it by moving within a domain
    order = torch.tensor([3, 2, 4, 6, 5, 1, 0, 8, 7])
    torch.manual_seed(0)
    expected = value_of(name, make(name), features, labels)
    torch.manual_seed(0)
    found = value_of(name, make(name), features[order], labels[order])
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("labels", [[2] * 6, [0], [0, 0], [0, 1], [0, 1, 2, 3, 4], [0, 0, 0, 1, 2]])
@pytest.mark.parametrize("kind", ["random", "zeros", "equal", "large", "one zero"])
def test_degenerate_batches_stay_finite(name, labels, kind):
    features = points(len(labels), 5, torch.float32)
    if kind in ("zeros", "equal"):
        features = torch.full_like(features, 0.0 if kind == "zeros" else 0.7)
    elif kind == "large":
        features = features * 1e4
    elif kind == "one zero":
        features[0] = 0.0
    features.requires_grad_()
    value = value_of(name, make(name), features, labels)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(features.grad).all()
    assert features.grad.abs().max() < 1e7


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_and_autocast_do_not_change_the_sums(name):
    features, labels = points(8, 2, torch.float32).bfloat16(), [0, 0, 1, 1, 2, 2, 3, 3]
    torch.manual_seed(0)
    expected = value_of(name, make(name), features.float(), labels)
    torch.manual_seed(0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = value_of(name, make(name), features, labels)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_feature_from_and_feature_maps():
    maps, labels = points(6, 0, torch.float32)[:, :, None, None], torch.tensor([0, 0, 1, 1, 2, 2])
    for name in ("TripletLossV2", "TripletAngularMarginLoss", "ContrastiveLoss", "CircleLoss"):
        spec = {name: {**ARGUMENTS[name], "feature_from": "backbone"}}
        loss = build("loss", spec)
        assert loss.reads == ("backbone",)
        expected = make(name)({"features": maps.flatten(1)}, labels)
        torch.testing.assert_close(loss({"backbone": maps}, labels), expected)


def test_reductions_of_the_angular_loss():
    features, labels = points(6, 0), torch.tensor([0, 0, 1, 1, 2, 2])
    each = build("loss", {"TripletAngularMarginLoss": {"reduction": "none"}})(features, labels)
    total = build("loss", {"TripletAngularMarginLoss": {"reduction": "sum"}})(features, labels)
    assert each.shape == (6,)
    torch.testing.assert_close(each.sum(), total)
    for reduction, as_if in (("sum", "sum"), ("mean", "mean"), ("none", "mean")):
        loss = build("loss", {"TripletAngularMarginLoss": {**ANGULAR, "reduction": reduction}})
        expected = angular(features.tolist(), labels.tolist(), True, as_if)
        assert loss(features, labels).item() == pytest.approx(expected)


def test_labels_with_several_classes_share_one_or_none():
    features = points(3, 0)
    several = torch.tensor([[1, 0, 1, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 1, 0]])
    loss = build("loss", {"LCDSHLoss": {"n_class": 5, "_lambda": 3}})
    torch.testing.assert_close(loss(features, several), loss(features, torch.tensor([0, 0, 1])))


def test_center_loss_names_the_label_it_has_no_center_for():
    loss = build("loss", {"CenterLoss": {"num_classes": 3, "feat_dim": 4}})
    assert loss.centers.shape == (3, 4)
    with pytest.raises(ValueError, match="labels 0 to 7.*num_classes to at least 8"):
        loss(points(2, 0), torch.tensor([0, 7]))
    with pytest.raises(ValueError, match="has 5 numbers.*have 4"):
        loss(torch.zeros(1, 5), torch.tensor([0]))


def test_domains_are_asked_for():
    with pytest.raises(ValueError, match="needs the domain"):
        build("loss", {"InterDomainShuffleLoss": {}})(points(2, 0), torch.tensor([0, 1]))
