"""Mixed batches draw anew each time, and an evaluation reads each image exactly once."""

from collections import Counter
from types import SimpleNamespace

import pytest
import torch

from lookalike.data import EndlessBatches, SequenceSampler, make_loader
from lookalike.data.loader import PairedBatches
from lookalike.data.randomness import mix, seeded
from lookalike.errors import DataError
from lookalike.types import Sample


class Numbers:
    """A data set whose images are their own numbers."""

    name = source = "numbers"
    cameras = None

    def __init__(self, number):
        self.labels = [n % 3 for n in range(number)]
        self.paths = [f"{n}.jpg" for n in range(number)]

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return Sample(torch.full((3, 2, 2), float(index)), self.labels[index], -1, index)


def drawing(images, labels):
    """Mix by a number that is drawn for the batch, and tell it."""
    share = torch.rand(())
    return images * share, share.expand(len(labels), 3)


def shares(stream, number):
    return [float(next(stream).labels[0, 0]) for _ in range(number)]


def mixed(seed=3, rank=0, count=1, **start):
    data = Numbers(8)
    batches = EndlessBatches(
        data,
        SequenceSampler(data.labels, batch_size=4),
        seed=seed,
        mixture=drawing,
        share=(rank, count),
    )
    return batches.start(**start)


def test_every_batch_is_mixed_with_numbers_of_its_own():
    found = shares(mixed(), 6)
    assert len(set(found)) == 6
    assert found == shares(mixed(), 6), "the same run draws the same"
    assert found[2:] == shares(mixed(batch=2), 4), "a resumed run goes on with them"
    assert not set(found) & set(shares(mixed(seed=4), 6))
    with seeded(mix(3, 5)):
        assert found[5] == float(torch.rand(()))
    torch.manual_seed(0)
    before = torch.rand(2)
    torch.manual_seed(0)
    next(mixed())
    assert torch.equal(torch.rand(2), before), "the caller's generator is left alone"


def test_every_process_mixes_with_numbers_of_its_own():
    first, second, third = (shares(mixed(rank=rank, count=4), 3) for rank in range(3))
    assert first == shares(mixed(), 3), "the first as one process alone"
    assert len({*first, *second, *third}) == 9


def test_an_odd_batch_with_images_left_out_is_mixed_without_the_first():
    """Some mixtures go by pairs; an empty batch is passed on as it is."""
    batches = EndlessBatches(Numbers(8), SequenceSampler([0] * 8, batch_size=4), mixture=drawing)
    whole = next(EndlessBatches(Numbers(8), SequenceSampler([0] * 8, batch_size=3)).start())
    bad = SimpleNamespace(index=7, message="gone")
    odd = type(whole)(whole.images, whole.labels, whole.cameras, whole.indices, bad=(bad,))
    empty = odd.rows(torch.zeros(3, dtype=torch.bool))
    found = list(batches._mixed(iter([whole, odd, empty]), 0))
    assert [one.indices.tolist() for one in found] == [[0, 1, 2], [1, 2], []]
    assert found[1].bad == (bad,)


@pytest.mark.parametrize("number", [1, 7, 8])
@pytest.mark.parametrize("batch_size", [1, 3, 8, 20])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_each_image_is_read_exactly_once(number, batch_size, count):
    data = Numbers(number)
    seen, batches = Counter(), 0
    for rank in range(count):
        sampler = SequenceSampler(data.labels, batch_size=batch_size)
        loader = make_loader(data, sampler, share=(rank, count))
        for batch in loader:
            assert batch.images[:, 0, 0, 0].tolist() == batch.indices.tolist()
            seen.update(batch.indices.tolist())
            batches += 1
        assert len(loader) == len(list(loader)) == len(loader.plan)
    assert seen == Counter(range(number))
    assert batches == -(-number // batch_size)


@pytest.mark.parametrize("num_workers", [0, 1, 2])
def test_workers_read_each_image_exactly_once(num_workers):
    data = Numbers(7)
    loader = make_loader(data, SequenceSampler([0] * 7, batch_size=2), num_workers=num_workers)
    assert [batch.indices.tolist() for batch in loader] == [[0, 1], [2, 3], [4, 5], [6]]


@pytest.mark.parametrize(
    "plan",
    [
        [[0, 1], [2, 3], [4, 4]],  # one twice, another never
        [[0, 1], [2, 3], [4, 5], [5]],
        [[0, 1], [2, 3], [4]],
        [],
    ],
)
def test_a_plan_that_lacks_or_doubles_an_image_is_refused(plan):
    planned = sum(map(len, plan))
    with pytest.raises(DataError, match=f"plans {planned} of 6 images.*must be read once"):
        make_loader(Numbers(6), SimpleNamespace(plan=lambda epoch: plan))


def test_two_streams_go_side_by_side():
    first, second = Numbers(8), Numbers(6)
    streams = [
        EndlessBatches(data, SequenceSampler(data.labels, batch_size=2), seed=seed)
        for seed, data in enumerate((first, second))
    ]
    both = PairedBatches(*streams)
    assert len(both) == 4
    stream = both.start(1)
    pair = next(stream)
    assert (pair.indices.tolist(), pair.meta.indices.tolist()) == ([2, 3], [2, 3])
    next(stream), next(stream)
    pair = next(stream)
    assert (pair.indices.tolist(), pair.meta.indices.tolist()) == ([0, 1], [2, 3])
    assert both.plan_of(4) == (streams[0].plan_of(4), streams[1].plan_of(4))
