"""Identity samplers draw what the reference draws, in distribution."""

import numpy as np
import pytest
from golden_cases import arrays, cases, yaml_args

from lookalike import build
from lookalike.errors import ConfigError


def is_single_rank(case):
    return "_nranks" not in case.values[0]["params"]


SINGLE = [case for case in cases("sampler") if is_single_rank(case)]
FEW = [case for case in SINGLE if "too_few" in case.id]


@pytest.mark.parametrize("case", [case for case in SINGLE if "too_few" not in case.id])
def test_sampler_draws_like_the_reference(case):
    labels = arrays(case)["in.labels"].tolist()
    sampler = build("sampler", {"name": case["component"], **yaml_args(case)}, labels=labels)
    recorded = case["values"]
    assert len(sampler) == recorded["len"]
    num_batches, coverage, frequency = [], [], []
    size = recorded["group_sizes"][0]
    for epoch in range(recorded["epochs"]):
        batches = list(sampler.plan(epoch))
        num_batches.append(len(batches))
        images = [image for batch in batches for image in batch]
        coverage.append(len(set(images)) / len(labels))
        groups = [batch[i : i + size] for batch in batches for i in range(0, len(batch), size)]
        assert all(len({labels[image] for image in group}) == 1 for group in groups)
        for batch in batches:
            ids = [labels[image] for image in batch[::size]]
            assert len(set(ids)) == len(ids)
        frequency.append(
            [sum(labels[g[0]] == label for g in groups) for label in sorted(set(labels))]
        )
    data = arrays(case)
    assert min(num_batches) >= recorded["batches_min"]
    assert max(num_batches) <= recorded["batches_max"]
    assert_same_mean(num_batches, data["stat.n_batches"])
    assert_same_mean(coverage, data["stat.coverage"])
    # the recorded frequency is a mean over the epochs; ours has a standard error
    found = np.array(frequency)
    error = np.maximum(found.std(axis=0) / np.sqrt(len(found)), 0.02)
    assert (np.abs(found.mean(axis=0) - data["stat.id_frequency"]) < 6 * error).all()


def assert_same_mean(found, recorded):
    found, recorded = np.asarray(found, float), np.asarray(recorded, float)
    error = np.sqrt(found.var() / len(found) + recorded.var() / len(recorded))
    assert abs(found.mean() - recorded.mean()) <= max(4 * error, 1e-6)


@pytest.mark.parametrize("case", FEW)
def test_too_few_labels_are_an_error_and_not_an_empty_epoch(case):
    labels = arrays(case)["in.labels"].tolist()
    with pytest.raises(ConfigError, match="make batch_size at most"):
        build("sampler", {"name": case["component"], **yaml_args(case)}, labels=labels)


def test_domains_share_a_batch_evenly():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 40, 600).tolist()
    cameras = rng.integers(0, 3, 600).tolist()
    spec = {"name": "DomainShuffleBatchSampler", "batch_size": 24, "num_instances": 4}
    sampler = build("sampler", {**spec, "drop_last": False}, labels=labels, cameras=cameras)
    for batch in sampler:
        counts = np.bincount([cameras[i] for i in batch])
        assert counts.tolist() == [8, 8, 8]


def test_no_image_is_left_out_by_the_naive_sampler():
    labels = [label for label in range(12) for _ in range(5)]
    spec = {"name": "NaiveIdentityBatchSampler", "batch_size": 8, "num_instances": 4}
    sampler = build("sampler", spec, labels=labels)
    batches = list(sampler)
    assert {image for batch in batches for image in batch} == set(range(60))
    assert all(len(batch) == 8 for batch in batches)
