"""Memory and open files stay flat over a run; the long version is make soak."""

import mmap
import sys

import pytest
from soak.flat import decode, train

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
# few steps, so pages that pools take now and then weigh more; a kept batch is 98,304
BOUND = 30_000


def test_memory_and_open_files_stay_flat(tmp_path):
    found = train(tmp_path, steps=100, every=4, bound=BOUND)
    assert found["flat"], found


def test_a_batch_that_is_kept_and_a_file_that_stays_open_show(tmp_path):
    """A test of the test."""
    kept = []

    def keep(batch):
        # memory of its own: what other tests have freed would be taken first
        pages = mmap.mmap(-1, 98_304)
        pages.write(bytes(98_304))
        kept.append((pages, open(tmp_path / "run.yaml")))  # noqa: SIM115

    found = train(tmp_path, steps=60, every=2, bound=BOUND, hook=keep)
    for _, file in kept:
        file.close()
    assert not found["flat"]
    assert found["bytes_per_step"] > 2 * BOUND, found
    assert found["files_per_1000_steps"] == pytest.approx(1000, rel=0.01)


def test_broken_images_leave_nothing_behind():
    found = decode(1500)
    assert found["flat"], found
    assert found["refused"] > 1000
