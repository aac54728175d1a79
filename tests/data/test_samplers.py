"""What every plan of a sampler holds to, for any labels."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lookalike import build
from lookalike.data.samplers import RandomIdentitySampler, SequenceSampler, label_draws
from lookalike.data.samplers.label_groups import LabelGroups, uniforms_of

labels_lists = st.lists(st.integers(0, 12), min_size=1, max_size=80)


def identity(labels, num_labels, per_label, **options):
    assume(len(set(labels)) >= num_labels)
    return RandomIdentitySampler(
        labels, batch_size=num_labels * per_label, images_per_label=per_label, **options
    )


@given(
    labels_lists,
    st.integers(1, 4),
    st.integers(1, 5),
    st.sampled_from([None, 1, 3, 9]),
    st.integers(0, 2**31),
    st.integers(0, 5),
)
@settings(max_examples=200, deadline=None)
def test_identity_batches(labels, num_labels, per_label, max_iters, seed, epoch):
    sampler = identity(labels, num_labels, per_label, max_iters=max_iters, seed=seed)
    plan = list(sampler.plan(epoch))
    assert plan, "an epoch without a batch"
    if max_iters is not None:
        assert len(plan) == len(sampler) == max_iters
    for batch in plan:
        assert len(batch) == num_labels * per_label
        assert all(isinstance(index, int) and 0 <= index < len(labels) for index in batch)
        groups = [batch[at : at + per_label] for at in range(0, len(batch), per_label)]
        chosen = []
        for group in groups:
            assert len({labels[index] for index in group}) == 1, "a group of mixed labels"
            chosen.append(labels[group[0]])
        assert len(set(chosen)) == num_labels, "a label twice in a batch"


@given(labels_lists, st.integers(1, 4), st.integers(1, 5), st.integers(0, 2**31))
@settings(max_examples=200, deadline=None)
def test_no_image_twice_in_an_epoch_unless_its_label_is_small(labels, num_labels, per_label, seed):
    sampler = identity(labels, num_labels, per_label, seed=seed)
    sizes = Counter(labels)
    used = Counter(itertools.chain.from_iterable(sampler.plan(0)))
    for index, count in used.items():
        size = sizes[labels[index]]
        assert count == 1 or size < per_label
    groups = Counter()
    for batch in sampler.plan(0):
        groups.update({labels[index] for index in batch[::per_label]})
    for label, count in groups.items():
        assert count <= max(sizes[label] // per_label, 1)
    # it ends only where a further batch could not be filled
    left = [label for label in sizes if groups[label] < max(sizes[label] // per_label, 1)]
    assert len(left) < num_labels


@given(labels_lists, st.integers(1, 4), st.integers(1, 4), st.integers(0, 9), st.integers(0, 9))
@settings(max_examples=100, deadline=None)
def test_plan_depends_on_seed_and_epoch_only(labels, num_labels, per_label, seed, epoch):
    one = identity(labels, num_labels, per_label, seed=seed)
    two = identity(labels, num_labels, per_label, seed=seed)
    list(one.plan(epoch + 1))
    next(iter(one))
    assert list(one.plan(epoch)) == list(two.plan(epoch))


def test_seeds_and_epochs_give_other_plans():
    labels = [label for label in range(12) for _ in range(8)]
    plans = set()
    for seed in range(4):
        sampler = RandomIdentitySampler(labels, batch_size=8, images_per_label=4, seed=seed)
        plans |= {str(list(sampler.plan(epoch))) for epoch in range(4)}
    assert len(plans) == 16


def test_iterating_walks_through_the_epochs():
    labels = [label for label in range(6) for _ in range(4)]
    sampler = RandomIdentitySampler(labels, batch_size=4, images_per_label=2)
    assert [list(sampler) for _ in range(3)] == [list(sampler.plan(epoch)) for epoch in range(3)]


def test_two_epochs_use_the_remainders_of_large_labels():
    labels = [0] * 7 + [1] * 7
    sampler = RandomIdentitySampler(labels, batch_size=8, images_per_label=4)
    seen = {index for epoch in range(30) for batch in sampler.plan(epoch) for index in batch}
    assert seen == set(range(14))


def test_every_label_is_drawn_alike():
    labels = [0] * 200 + [1] * 4 + [2] * 4 + [3] * 4
    first = Counter()
    for epoch in range(400):
        sampler = RandomIdentitySampler(labels, batch_size=4, images_per_label=4, seed=1)
        first[labels[next(sampler.plan(epoch))[0]]] += 1
    assert all(60 <= first[label] <= 145 for label in range(4)), first
    # with max_iters in proportion to the groups: 50 of 53
    first = Counter()
    for epoch in range(400):
        sampler = RandomIdentitySampler(labels, batch_size=4, images_per_label=4, max_iters=1)
        first[labels[next(sampler.plan(epoch))[0]]] += 1
    assert first[0] > 350, first


CHANCES = [5, 3, 1, 1]


@pytest.mark.parametrize("kind", ["groups", "weights", "patience is over"])
def test_labels_are_drawn_in_proportion_without_replacement(kind, monkeypatch):
    """The chance of each pair in a row, counted over many draws, against the product rule."""
    if kind == "patience is over":
        monkeypatch.setattr(label_draws, "_PATIENCE", 0)
    uniforms, pairs, rounds = uniforms_of(np.random.default_rng(0)), Counter(), 20_000
    weights = label_draws.WeightedLabels(np.array(CHANCES, dtype=np.float64))
    owner = np.repeat(np.arange(4), CHANCES)
    for _ in range(rounds):
        if kind == "weights":
            pairs[tuple(weights.draw(uniforms, 2))] += 1
        else:
            groups = label_draws.OpenGroups(np.array(CHANCES)).draw(uniforms, 2)
            pairs[tuple(owner[groups].tolist())] += 1
    for one, two in itertools.permutations(range(4), 2):
        chance = CHANCES[one] / 10 * CHANCES[two] / (10 - CHANCES[one])
        error = (chance * (1 - chance) / rounds) ** 0.5
        assert abs(pairs[one, two] / rounds - chance) < 5 * error, (one, two)


@pytest.mark.parametrize("kind", [label_draws.OpenLabels, label_draws.OpenGroups])
def test_every_group_is_dealt_once(kind):
    num_groups = np.array([1, 7, 2, 1, 30])
    labels, uniforms = kind(num_groups), uniforms_of(np.random.default_rng(1))
    dealt = []
    while (groups := labels.draw(uniforms, 2)) is not None:
        dealt += groups
    assert len(set(dealt)) == len(dealt)
    owner = np.repeat(np.arange(5), num_groups)
    left = num_groups - np.bincount(owner[dealt], minlength=5)
    assert (left >= 0).all()
    assert np.count_nonzero(left) < 2


def test_images_of_a_label_are_drawn_alike():
    groups = LabelGroups([0] * 5 + [1] * 2)
    uniforms, seen = uniforms_of(np.random.default_rng(0)), Counter()
    for _ in range(6000):
        drawn = groups.draw_images(uniforms, [0, 1], 3)
        assert len(set(drawn[:3])) == 3
        assert set(drawn[3:]) <= {5, 6}
        seen[tuple(sorted(drawn[:3]))] += 1
    assert len(seen) == 10
    assert all(480 < count < 720 for count in seen.values())


def test_a_label_with_one_image_repeats_it():
    sampler = RandomIdentitySampler([0, 1], batch_size=8, images_per_label=4)
    (batch,) = sampler.plan(0)
    assert sorted(batch) == [0] * 4 + [1] * 4


def test_labels_may_have_gaps_and_any_order():
    labels = [900, 5, 900, 5, 77, 77]
    sampler = RandomIdentitySampler(labels, batch_size=6, images_per_label=2)
    (batch,) = sampler.plan(3)
    assert sorted(batch) == [0, 1, 2, 3, 4, 5]


def test_of_overlapping_ranges_the_first_counts():
    spec = {"name": "PKSampler", "sample_per_id": 1, "id_list": [0, 2, 1, 4], "ratio": [3.0, 0.2],
            "sample_method": "id_avg_prob", "total_epochs": 5}  # fmt: skip
    sampler = build("sampler", {**spec, "batch_size": 2}, labels=[7, 3, 5, 1, 9, 8])
    assert sampler.weights.tolist() == [0.2, 3.0, 3.0, 3.0, 1.0, 0.2]


@pytest.mark.parametrize("drop_last", [False, True])
def test_drop_last_rounds_only_the_length(drop_last):
    labels = [label for label in range(5) for _ in range(2)]
    sampler = RandomIdentitySampler(
        labels, batch_size=4, images_per_label=2, drop_last=drop_last, seed=3
    )
    assert len(sampler) == (2 if drop_last else 3)
    assert list(sampler.plan(0)) == list(
        RandomIdentitySampler(labels, batch_size=4, images_per_label=2, seed=3).plan(0)
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 6, "images_per_label": 4}, "multiple"),
        ({"batch_size": 0, "images_per_label": 4}, "batch_size"),
        ({"batch_size": -4, "images_per_label": 4}, "batch_size"),
        ({"batch_size": 4, "images_per_label": 0}, "images per label"),
        ({"batch_size": 4, "images_per_label": -2}, "images per label"),
        ({"batch_size": 16, "images_per_label": 4}, "needs 4 different labels.*has 3.*at most 12"),
        ({"batch_size": 4, "images_per_label": 2, "max_iters": 0}, "max_iters"),
        ({"batch_size": 4, "images_per_label": 2, "max_iters": -1}, "max_iters"),
    ],
)
def test_impossible_settings_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        RandomIdentitySampler([0, 0, 1, 1, 2, 2], **options)


def test_no_images_are_refused():
    with pytest.raises(ValueError, match="label"):
        RandomIdentitySampler([], batch_size=4, images_per_label=2)


def test_many_images_are_planned_quickly():
    labels = [index // 20 for index in range(200_000)]
    sampler = RandomIdentitySampler(labels, batch_size=64, images_per_label=4)
    assert sum(1 for _ in itertools.islice(sampler.plan(0), 100)) == 100


@given(
    st.integers(0, 60),
    st.integers(1, 20),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**31),
    st.integers(0, 3),
)
@settings(max_examples=200, deadline=None)
def test_sequence_holds_every_image_once(number, batch_size, shuffle, drop_last, seed, epoch):
    sampler = SequenceSampler(
        [0] * number, batch_size=batch_size, shuffle=shuffle, drop_last=drop_last, seed=seed
    )
    plan = list(sampler.plan(epoch))
    assert len(plan) == len(sampler)
    flat = [index for batch in plan for index in batch]
    assert len(set(flat)) == len(flat)
    assert len(flat) == (number - number % batch_size if drop_last else number)
    assert all(len(batch) == batch_size for batch in plan[:-1])
    assert all(len(batch) > 0 for batch in plan)
    if not shuffle:
        assert flat == list(range(len(flat)))
    assert plan == list(sampler.plan(epoch))


def test_sequence_shuffles_anew_for_each_epoch_and_seed():
    plans = {
        str(list(SequenceSampler([0] * 50, batch_size=8, shuffle=True, seed=seed).plan(epoch)))
        for seed in range(3)
        for epoch in range(3)
    }
    assert len(plans) == 9


@pytest.mark.parametrize("batch_size", [0, -3])
def test_sequence_refuses_an_empty_batch(batch_size):
    with pytest.raises(ValueError, match="batch_size"):
        SequenceSampler([0, 1], batch_size=batch_size)
