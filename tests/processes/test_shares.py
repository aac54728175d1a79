"""Parts of batches: what each process draws, and where it goes on."""

from collections import Counter
from itertools import islice
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lookalike.data.draws import Draws
from lookalike.data.samplers import (
    MixSampler,
    NaiveIdentitySampler,
    PKSampler,
    RandomIdentitySampler,
    SequenceSampler,
)
from lookalike.training.run_state import _place

MANY = st.integers(1, 5)


def identity(kind, labels, many, each, seed):
    return kind(labels, batch_size=many * each, images_per_label=2, seed=seed)


@st.composite
def planned(draw):
    """Return a sampler for a number of processes, and that number."""
    many, seed = draw(MANY), draw(st.integers(0, 99))
    labels = [label for label in range(24) for _ in range(draw(st.integers(1, 5)))]
    kind = draw(st.sampled_from([RandomIdentitySampler, NaiveIdentitySampler, PKSampler, "seq"]))
    if kind != "seq":
        return identity(kind, labels, many, draw(st.sampled_from([2, 4])), seed), many
    size, drop = many * draw(st.integers(1, 6)), draw(st.booleans()) and len(labels) >= many * 6
    return SequenceSampler(labels, batch_size=size, shuffle=True, drop_last=drop, seed=seed), many


@settings(max_examples=40, deadline=None)
@given(planned(), st.integers(0, 3))
def test_shares_are_disjoint_and_make_the_whole_batch(case, start):
    sampler, many = case
    number = 2 * len(list(sampler.plan(0)))
    alone = list(islice(Draws(sampler, 7, start), number))
    parts = [
        list(islice(Draws(sampler, 7, start, share=(process, many)), number))
        for process in range(many)
    ]
    for whole, own in zip(alone, zip(*parts, strict=True), strict=True):
        assert len({len(part) for part in own}) == 1
        together = [draw for part in own for draw in part]
        # in the order of the batch, seeds of the augmentations included
        assert together[: len(whole)] == whole
        # what does not divide is filled with the first images again, fewer than processes
        assert len(together) - len(whole) < many
        again = [image for image, _ in together[len(whole) :]]
        assert again == [whole[i % len(whole)][0] for i in range(len(again))]


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 4), st.integers(0, 9))
def test_shares_of_mixed_data_hold_their_part_of_each(many, seed):
    shares, sizes = [2 * many, 4 * many], [16, 40]
    samplers = [
        SequenceSampler([0] * size, batch_size=share, shuffle=True, drop_last=True, seed=seed)
        for size, share in zip(sizes, shares, strict=True)
    ]
    sampler = MixSampler(samplers, sizes, shares, batch_size=sum(shares), iter_per_epoch=4)
    alone = [Counter(i for i, _ in batch) for batch in islice(Draws(sampler), 8)]
    parts = [islice(Draws(sampler, share=(process, many)), 8) for process in range(many)]
    for whole, own in zip(alone, zip(*parts, strict=True), strict=True):
        assert sum((Counter(i for i, _ in part) for part in own), Counter()) == whole
        for part in own:
            assert [sum(i < 16 for i, _ in part), sum(i >= 16 for i, _ in part)] == [2, 4]


def place(monkeypatch, before, state, accumulate=1, many=2):
    """Return where a run of ``many`` processes with batches of 8 goes on, 10 to an epoch."""
    monkeypatch.setattr("lookalike.training.run_state.processes.count", lambda: many)
    trainer = SimpleNamespace(
        iterations_per_epoch=10,
        batches=SimpleNamespace(sampler=SimpleNamespace(batch_size=8)),
        update=SimpleNamespace(accumulate=accumulate),
    )
    state = {"iterations_per_epoch": before, "processes": 4, "batch_size": 16, **state}
    return _place(trainer, state)


@pytest.mark.parametrize(
    ("iteration", "begun", "at", "skipped"),
    [(0, (0, 0), 0, 0), (8, (1, 5), 16, 6), (9, (1, 5), 18, 8), (10, (2, 10), 20, 0)],
)
def test_a_run_goes_on_after_the_images_it_has_seen(monkeypatch, iteration, begun, at, skipped):
    """Batches of 16, five to an epoch, become batches of 8."""
    found, plan = place(monkeypatch, 5, {"iteration": iteration, "plan": begun})
    assert (found, plan[0]) == (at, begun[0])
    assert found - plan[1] == skipped == (iteration - begun[1]) * 16 // 8


def test_a_run_goes_on_with_a_whole_step(monkeypatch):
    found, _ = place(monkeypatch, 9, {"iteration": 3, "plan": (0, 0)}, accumulate=2)
    assert found == 2


def test_a_checkpoint_from_before_there_were_processes(monkeypatch):
    state = {"iteration": 7, "plan": (0, 0), "iterations_per_epoch": 20}
    monkeypatch.setattr("lookalike.training.run_state.processes.count", lambda: 2)
    trainer = SimpleNamespace(
        iterations_per_epoch=10,
        batches=SimpleNamespace(sampler=SimpleNamespace(batch_size=8)),
        update=SimpleNamespace(accumulate=1),
    )
    assert _place(trainer, state) == (3, (0, 0))
