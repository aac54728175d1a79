"""Processes that are started again in a store that remembers those before them."""

import os
import threading

import pytest
import torch
from process_group import run
from torch.distributed import HashStore

from lookalike import processes
from lookalike.rounds import agreed_round


def start(store, number, only=None):
    """Return what each of some processes agrees on; ``only`` some of them come."""
    found = {}

    def come(rank):
        found[rank] = agreed_round(store, rank, number, timeout=20.0)

    threads = [
        threading.Thread(target=come, args=[rank], daemon=True) for rank in only or range(number)
    ]
    for thread in threads:
        thread.start()
    return found, threads


def end(found, threads):
    for thread in threads:
        thread.join(20.0)
    (name,) = set(found.values())
    assert len(found) == len(threads)
    return name


def test_each_start_has_a_name_of_its_own_whatever_was_left_before():
    store, names = HashStore(), []
    for number in (3, 3, 2, 4, 1, 3):
        names.append(end(*start(store, number)))
    assert len(set(names)) == 6


def test_those_that_greeted_and_went_are_not_waited_for():
    store = HashStore()
    # of a start in which the first one never came, and which its launcher ended
    for rank in range(1, 6):
        store.set(f"greeting/{rank}", "gone")
    end(*start(store, 4))


def test_one_that_does_not_come_is_an_error_with_its_number():
    store = HashStore()
    end(*start(store, 3))
    start(store, 3, only=[1])
    with pytest.raises(RuntimeError, match=r"timed out: processes \[2\] have not come"):
        agreed_round(store, 0, 3, timeout=0.3)


def counted():
    # a launcher counts the failures of its own host
    os.environ["TORCHELASTIC_RESTART_COUNT"] = os.environ["RANK"]
    with processes.joined(torch.device("cpu"), 30.0):
        return processes.each(processes.rank())


def test_hosts_that_have_counted_differently_meet():
    assert run(counted, 2, joined=False) == [[0, 1]] * 2
