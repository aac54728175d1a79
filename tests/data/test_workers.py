"""A data worker that dies, crashes or hangs ends the run with its image named; nothing waits."""

import itertools
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest
import torch
from conftest import make_images, write_list

from lookalike.data import EndlessBatches, SequenceSampler, make_loader
from lookalike.data import batch_memory as batch_memory_module
from lookalike.data.datasets import veri_wild
from lookalike.data.transforms import Pipeline
from lookalike.errors import DataError, SetupError
from lookalike.types import Sample

ILL = 5


class Faulty:
    """Images as they are, but for one at which something happens to its worker."""

    def __init__(self, dataset, fault):
        self.dataset, self.fault = dataset, fault
        self.labels, self.cameras, self.paths = dataset.labels, dataset.cameras, dataset.paths
        self.files = dataset.files

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        if index == ILL:
            self.fault()
        return Sample(torch.zeros(3, 8, 8), self.labels[index], -1, index)


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


def crashed():
    os.kill(os.getpid(), signal.SIGBUS)


def left():
    os._exit(3)


def asleep():
    time.sleep(1000)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    rows = make_images(root, num_labels=3)
    return veri_wild(str(root / "images"), str(write_list(root / "list.txt", rows)))


def training(dataset, **options):
    sampler = SequenceSampler(dataset.labels, batch_size=2)
    return EndlessBatches(dataset, sampler, num_workers=2, **options).start()


def evaluation(dataset, **options):
    return make_loader(
        dataset, SequenceSampler(dataset.labels, batch_size=2), num_workers=2, **options
    )


def fails(batches):
    with pytest.raises(SetupError) as caught:
        list(itertools.islice(batches, 12))
    assert not multiprocessing.active_children(), "all workers are gone"
    return str(caught.value)


@pytest.mark.parametrize(
    ("read", "fault", "how", "advice"),
    [
        (training, killed, "was killed by SIGKILL", "memory runs out"),
        (evaluation, killed, "was killed by SIGKILL", "memory runs out"),
        (training, crashed, "was killed by SIGBUS", "/dev/shm is full"),
        (evaluation, left, "ended with exit code 3", "num_workers: 0"),
    ],
)
def test_a_dead_worker_is_named_with_its_image(images, read, fault, how, advice):
    text = fails(read(Faulty(images, fault)))
    assert how in text
    assert "data worker 0" in text or "data worker 1" in text
    assert f"while reading {images.files.name(ILL)}. " in text
    assert advice in text


@pytest.mark.parametrize("read", [training, evaluation])
def test_a_worker_that_hangs_is_ended_with_its_image_named(images, read):
    text = fails(read(Faulty(images, asleep), timeout=1))
    assert f"has been reading {images.files.name(ILL)} for " in text
    assert "Global.data_timeout allows 1" in text


def test_a_slow_image_is_waited_for(images):
    """Beyond the moment after which the wait is looked into."""
    slow = Faulty(images, lambda: time.sleep(1.5))
    for timeout in (0, 30):
        batches = evaluation(slow, timeout=timeout)
        assert [b.indices.tolist() for b in batches] == [[i, i + 1] for i in range(0, 12, 2)]


def test_a_worker_killed_between_two_images_shows_at_the_next_batch(images):
    batches = training(Faulty(images, lambda: None))
    next(batches)
    before = signal.getsignal(signal.SIGCHLD)
    victim = multiprocessing.active_children()[0]
    victim.kill()
    # torch's own handler would raise here, wherever the run is just then
    victim.join()
    assert signal.getsignal(signal.SIGCHLD) == before == signal.SIG_DFL
    text = fails(batches)
    assert "was killed by SIGKILL while it was reading no image. " in text or ".jpg. " in text


def test_workers_that_never_begin_are_not_waited_for(images, monkeypatch):
    stream = training(images, timeout=1)
    monkeypatch.setattr("lookalike.data.reading.Seeded.__getitems__", lambda *_: asleep())
    assert "no data worker has read anything for " in fails(stream)


@pytest.mark.parametrize("skip_bad", [False, True])
def test_no_shared_memory_left_says_so(images, monkeypatch, skip_bad):
    class Full:
        """Stands for torch's storage where /dev/shm is full."""

        @staticmethod
        def _new_shared(size):
            raise RuntimeError("unable to allocate shared memory(shm) for file </torch_1_2_3>: 28")

    monkeypatch.setattr(batch_memory_module.torch, "UntypedStorage", Full)
    text = fails(training(Faulty(images, lambda: None), skip_bad=skip_bad))
    assert "no shared memory is left to pass a batch" in text
    assert "--shm-size" in text
    assert "Traceback" not in text


def small_shm(code):
    """Run code where /dev/shm has room for little; needs the right to mount."""
    import subprocess
    import sys

    mounted = "mount -t tmpfs -o size=1m tmpfs /dev/shm"
    if subprocess.run(["unshare", "-m", "sh", "-c", mounted], capture_output=True).returncode:
        pytest.skip("may not mount")
    return subprocess.run(
        ["unshare", "-m", "sh", "-c", f'{mounted} && exec "$0" -c "$1"', sys.executable, code],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(__file__).parent.parent,
    )


def test_a_dev_shm_of_one_megabyte():
    done = small_shm(
        "import torch\n"
        "from lookalike.data import EndlessBatches, SequenceSampler\n"
        "from lookalike.types import Sample\n"
        "class Images:\n"
        "    labels, cameras, paths = [0, 1] * 4, None, list('abcdefgh')\n"
        "    def __len__(self): return 8\n"
        "    def __getitem__(self, index): return Sample(torch.ones(3, 150, 150), 0, -1, index)\n"
        "sampler = SequenceSampler(Images.labels, batch_size=2)\n"
        "stream, kept = EndlessBatches(Images(), sampler, num_workers=1).start(), []\n"
        "try:\n"
        "    while len(kept) < 9: kept.append(next(stream))\n"
        "except Exception as error: print(len(kept), type(error).__name__, error)\n"
    )
    assert done.stdout.startswith("1 SetupError no shared memory is left"), done
    assert "/dev/shm has 0.4 of 1.0 MB free" in done.stdout


def test_errors_of_the_data_stay_errors_of_the_data(images):
    def bad():
        raise DataError("not a picture")

    with pytest.raises(DataError, match="not a picture"):
        list(evaluation(Faulty(images, bad)))
    assert list(evaluation(images.with_transforms(Pipeline([]))))
