"""Batches that join the batches of several samplers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike import build
from lookalike.errors import ConfigError


def mixed(labels, sizes, **changed):
    spec = {
        "name": "MixSampler",
        "batch_size": 8,
        "iter_per_epoch": 5,
        "sample_configs": [
            {"name": "DistributedRandomIdentitySampler", "ratio": 0.5, "num_instances": 2},
            {"name": "DistributedBatchSampler", "ratio": 0.5, "shuffle": True},
        ],
        **changed,
    }
    return build("sampler", spec, labels=labels, sizes=sizes, seed=3)


LABELS = [i // 4 for i in range(24)] + [100] * 10


def test_each_part_fills_its_share_with_its_own_rule():
    sampler = mixed(LABELS, [24, 10])
    assert len(sampler) == 5
    for batch in sampler.plan(0):
        first, second = batch[:4], batch[4:]
        assert max(first) < 24 <= min(second)
        assert [LABELS[i] for i in first[::2]] == [LABELS[i] for i in first[1::2]]
        assert len({LABELS[i] for i in first}) == 2


def test_an_epoch_continues_where_the_last_one_stopped():
    sampler = mixed(LABELS, [24, 10])
    second = [batch[4:] for epoch in range(4) for batch in sampler.plan(epoch)]
    # ten images give two full batches of four a pass
    for one, other in zip(second[::2], second[1::2], strict=True):
        assert len({*one, *other}) == 8
    assert second[:2] != second[2:4]


@given(epoch=st.integers(0, 6))
def test_any_epoch_can_be_planned_alone(epoch):
    once, again = mixed(LABELS, [24, 10]), mixed(LABELS, [24, 10])
    for earlier in range(epoch):
        list(once.plan(earlier))
    assert list(once.plan(epoch)) == list(again.plan(epoch))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match="needs the data set MixDataset"):
        build(
            "sampler",
            {"name": "MixSampler", "batch_size": 8, "iter_per_epoch": 5, "sample_configs": []},
            labels=LABELS,
        )
    with pytest.raises(ConfigError, match="too few for its share of 4"):
        mixed(LABELS[:27], [24, 3])
    with pytest.raises(ConfigError, match=r"sample_configs.0.sample_per_i: .*sample_per_id"):
        mixed(LABELS, [24, 10], sample_configs=[{"name": "PKSampler", "sample_per_i": 2}])
