"""The stream of batches: the same for any number of workers and from any start; errors arrive."""

import gc
import itertools
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lookalike.assembly import build
from lookalike.data import EndlessBatches, RandomIdentitySampler, SequenceSampler, make_loader
from lookalike.data.batch_memory import BatchMemory
from lookalike.data.datasets import veri_wild
from lookalike.data.randomness import mix, mix_each, seeded
from lookalike.data.reading import collate
from lookalike.data.transforms import Pipeline
from lookalike.errors import DataError
from lookalike.types import Sample

AUGMENT = [
    {"ResizeImage": {"size": 16}},
    {"RandFlipImage": {"flip_code": 1}},
    {"AugMix": {"prob": 0.9}},
    {"RandomErasing": {"EPSILON": 0.9}},
]


class Draws:
    """A transform that asks all three global generators."""

    def __call__(self, image):
        import random

        one, two, three = random.random(), np.random.rand(), float(torch.rand(()))  # noqa: NPY002
        return np.full((2, 2, 3), 255.0 * (one + two + three) / 3.0, dtype=np.float32)


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    lines = []
    for index in range(20):
        pixels = rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{index:02d}.png")
        lines.append(f"{index:02d}.png {index // 4} {index % 4}\n")
    (tmp_path / "list.txt").write_text("".join(lines))
    return tmp_path


def read(folder, transforms=None):
    chain = build("transform", AUGMENT) if transforms is None else transforms
    return veri_wild(str(folder), str(folder / "list.txt"), transforms=chain)


def identity(dataset, seed=5):
    return RandomIdentitySampler(dataset.labels, batch_size=6, images_per_label=2, seed=seed)


def take(stream, number):
    batches = list(itertools.islice(stream, number))
    del stream
    return batches


def same(one, two):
    return all(
        torch.equal(getattr(a, field), getattr(b, field))
        for a, b in zip(one, two, strict=True)
        for field in ("images", "labels", "cameras", "indices")
    )


@pytest.fixture
def reference(folder):
    dataset = read(folder)
    return take(EndlessBatches(dataset, identity(dataset), seed=7).start(), 9)


@pytest.mark.parametrize("num_workers", [1, 2])
def test_workers_do_not_change_the_stream(folder, reference, num_workers):
    dataset = read(folder)
    batches = EndlessBatches(dataset, identity(dataset), seed=7, num_workers=num_workers)
    assert same(take(batches.start(), 9), reference)


class Counting:
    """A sampler that tells which epochs it was asked to plan."""

    def __init__(self, sampler):
        self.sampler, self.planned = sampler, []

    def __len__(self):
        return len(self.sampler)

    def plan(self, epoch):
        self.planned.append(epoch)
        return self.sampler.plan(epoch)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_plan_that_is_remembered_saves_those_before(folder, num_workers):
    dataset = read(folder)
    straight = EndlessBatches(dataset, identity(dataset), seed=7, num_workers=num_workers)
    whole, plans, stream = [], [straight.plan_of(0)], straight.start()
    for number in range(1, 15):
        whole.append(next(stream))
        plans.append(straight.plan_of(number))
    assert plans[-1][0] >= 3
    for start, plan in enumerate(plans):
        sampler = Counting(identity(dataset))
        again = EndlessBatches(dataset, sampler, seed=7)
        assert same(take(again.start(start, plan), 14 - start), whole[start:])
        assert min(sampler.planned, default=plan[0]) == plan[0]


@given(st.lists(st.integers(0, 2**63), max_size=3), st.integers(0, 50))
def test_seeds_of_a_batch_are_those_of_its_places(numbers, count):
    assert mix_each(*numbers, count=count) == [mix(*numbers, place) for place in range(count)]


@pytest.mark.parametrize("start", [0, 1, 3, 4, 7])
def test_starting_later_gives_the_tail(folder, reference, start):
    dataset = read(folder)
    # whatever was drawn before must not matter
    torch.rand(start + 1)
    batches = EndlessBatches(dataset, identity(dataset), seed=7)
    assert same(take(batches.start(start), 9 - start), reference[start:])


def test_starting_later_in_workers_gives_the_tail(folder, reference):
    dataset = read(folder)
    batches = EndlessBatches(dataset, identity(dataset), seed=7, num_workers=2)
    assert same(take(batches.start(5), 4), reference[5:])


def test_the_stream_follows_the_sampler_into_the_next_epochs(folder, reference):
    sampler = identity(read(folder))
    planned = itertools.chain.from_iterable(sampler.plan(epoch) for epoch in itertools.count())
    assert [batch.indices.tolist() for batch in reference] == list(itertools.islice(planned, 9))


def test_seed_and_place_decide_the_augmentation(folder):
    dataset = read(folder, Pipeline([Draws()]))
    sampler = SequenceSampler(dataset.labels, batch_size=20)

    def values(seed, number):
        stream = EndlessBatches(dataset, sampler, seed=seed).start()
        return torch.cat([batch.images[:, 0, 0, 0] for batch in take(stream, number)])

    one = values(1, 2)
    assert len(one.unique()) == 40, "an image in its second epoch is augmented as in its first"
    assert torch.equal(one, values(1, 2))
    assert not torch.isin(values(2, 2), one).any()


def test_the_callers_random_stream_is_left_alone(folder):
    dataset = read(folder)
    batches = EndlessBatches(dataset, identity(dataset), seed=7)
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    expected = torch.rand(3), np.random.rand(3)  # noqa: NPY002
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    take(batches.start(), 4)
    assert torch.equal(torch.rand(3), expected[0])
    assert (np.random.rand(3) == expected[1]).all()  # noqa: NPY002


def test_labels_and_cameras_belong_to_their_images(folder, reference):
    dataset = read(folder)
    for batch in reference:
        for row, index in enumerate(batch.indices.tolist()):
            assert batch.labels[row] == dataset.labels[index]
            assert batch.cameras[row] == dataset.cameras[index]
        assert batch.labels.dtype == batch.indices.dtype == batch.cameras.dtype == torch.int64


@pytest.mark.parametrize("num_workers", [0, 2])
def test_evaluation_reads_each_image_once_in_order(folder, num_workers):
    dataset = read(folder, Pipeline([]))
    loader = make_loader(
        dataset, SequenceSampler(dataset.labels, batch_size=7), num_workers=num_workers
    )
    batches = list(loader)
    assert torch.cat([batch.indices for batch in batches]).tolist() == list(range(20))
    assert same(batches, list(loader))


@pytest.mark.parametrize(
    ("damage", "num_workers"),
    [
        ("text", 0),
        ("empty", 0),
        ("truncated", 0),
        ("gone", 0),
        ("folder", 0),
        ("text", 1),
        ("gone", 2),
    ],
)
def test_a_broken_image_is_a_short_data_error_that_names_it(folder, damage, num_workers):
    dataset = read(folder)
    broken = folder / "07.png"
    content = broken.read_bytes()
    broken.unlink()
    if damage == "folder":
        broken.mkdir()
    elif damage != "gone":
        kept = {"text": b"hello", "empty": b"", "truncated": content[: len(content) // 2]}
        broken.write_bytes(kept[damage])
    sampler = SequenceSampler(dataset.labels, batch_size=5)
    stream = EndlessBatches(dataset, sampler, num_workers=num_workers).start()
    assert next(stream).indices.tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(DataError) as caught:
        next(stream)
    message = str(caught.value)
    assert str(broken) in message
    assert "Traceback" not in message
    assert len(message.splitlines()) == 1
    with pytest.raises(DataError, match=r"07\.png"):
        list(make_loader(dataset, sampler, num_workers=num_workers))


def test_workers_are_gone_soon_after_an_error(folder):
    """Torch waits five seconds for each worker in which something was raised."""
    dataset = read(folder)
    (folder / "07.png").write_bytes(b"hello")
    sampler = SequenceSampler(dataset.labels, batch_size=5)
    start = time.monotonic()
    with pytest.raises(DataError, match=r"07\.png"):
        take(EndlessBatches(dataset, sampler, num_workers=1).start(), 2)
    gc.collect()
    assert time.monotonic() - start < 4


@pytest.mark.parametrize("num_workers", [0, 1])
def test_images_of_different_sizes_are_told_with_both_sizes(folder, num_workers):
    Image.new("RGB", (11, 13)).save(folder / "03.png")
    dataset = read(folder, Pipeline([]))
    sampler = SequenceSampler(dataset.labels, batch_size=5)
    with pytest.raises(DataError) as caught:
        next(EndlessBatches(dataset, sampler, num_workers=num_workers).start())
    message = str(caught.value)
    assert "(3, 13, 11)" in message
    assert "(3, 20, 24)" in message
    assert "resize" in message
    assert "Traceback" not in message


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_failing_transform_names_the_image(folder, num_workers):
    dataset = read(folder, Pipeline([_fail]))
    sampler = SequenceSampler(dataset.labels, batch_size=5)
    with pytest.raises(DataError, match=r"00\.png: a transform failed") as caught:
        next(EndlessBatches(dataset, sampler, num_workers=num_workers).start())
    assert "Traceback" not in str(caught.value)


def _fail(image):
    raise ZeroDivisionError("by design")


def test_a_sampler_without_a_batch_is_an_error_not_a_loop(folder):
    dataset = read(folder)
    sampler = SequenceSampler(dataset.labels, batch_size=21, drop_last=True)
    with pytest.raises(DataError, match="drop_last: False"):
        next(EndlessBatches(dataset, sampler).start())


def test_collate_keeps_types():
    samples = [Sample(torch.zeros(3, 2, 2), label, -1, label) for label in range(3)]
    batch = collate(samples, 3)
    assert batch.images.shape == (3, 3, 2, 2)
    assert batch.labels.tolist() == batch.indices.tolist() == [0, 1, 2]
    assert batch.cameras.tolist() == [-1, -1, -1]


NORMED = [*AUGMENT[:3], {"NormalizeImage": {"order": ""}}, AUGMENT[3]]
TAILS = {
    "normalised": NORMED,
    "channels first": [*NORMED, {"ToCHWImage": None}],
    "half": [AUGMENT[0], {"NormalizeImage": {"order": "", "output_fp16": True}}],
    "normalised twice": [*NORMED, NORMED[3], AUGMENT[3]],
    "a border": [*NORMED, {"Pad": {"padding": 2}}],
    "bytes": AUGMENT,
}


@pytest.mark.parametrize("name", TAILS)
@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_image_in_a_batch_is_the_image_by_itself(folder, name, num_workers):
    """Whether it was written into the batch or copied there."""
    dataset = read(folder, build("transform", TAILS[name]))
    sampler = SequenceSampler(dataset.labels, batch_size=10)
    batches = take(EndlessBatches(dataset, sampler, seed=3, num_workers=num_workers).start(), 3)
    for number, batch in enumerate(batches):
        for place, index in enumerate(batch.indices.tolist()):
            with seeded(mix(3, number, place)):
                assert torch.equal(batch.images[place], dataset[index].image)


def test_a_batch_that_is_held_is_never_written_again(folder):
    dataset = read(folder, build("transform", NORMED))
    sampler = SequenceSampler(dataset.labels, batch_size=5)
    stream = EndlessBatches(dataset, sampler, seed=3).start()
    rows, copies, places = [], [], set()
    for number, batch in enumerate(itertools.islice(stream, 12)):
        places.add(batch.images.data_ptr())
        if number % 3 == 0:
            rows.append(batch.images[2])
            copies.append(batch.images[2].clone())
    assert all(torch.equal(row, copy) for row, copy in zip(rows, copies, strict=True))
    assert len(places) < 12, "the memory of batches that are gone is used again"


def test_memory_is_for_one_size_and_kept_for_few_batches():
    memory = BatchMemory()
    first = memory.room((2, 3, 4, 4), torch.float32)
    place = first.data_ptr()
    view = first[1:]
    del first
    assert memory.room((2, 3, 4, 4), torch.float32).data_ptr() != place
    del view
    assert memory.room((2, 3, 4, 4), torch.float32).data_ptr() == place
    assert memory.room((2, 3, 4, 5), torch.float32).data_ptr() != place
    held = [memory.room((1, 3, 8, 8), torch.float32) for _ in range(9)]
    assert len({room.data_ptr() for room in held}) == 9
    assert len(memory.held) == 3
