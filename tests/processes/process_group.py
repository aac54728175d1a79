"""A function run in several processes, started as torchrun would start them."""

import os
import socket
import tempfile
from pathlib import Path

import timm  # noqa: F401 - here, so that no process loads it again
import torch
import torch._dynamo
import torch.distributed.fsdp
import torch.multiprocessing as mp

from lookalike import processes
from lookalike.data.transforms.kernels import compiled


def run(function, number, *arguments, timeout=60.0, joined=True):
    """Return what the function returns in each process, by rank.

    With ``joined`` False it finds the others itself, as the command does.
    """
    compiled()
    with tempfile.TemporaryDirectory() as folder:
        places = (function, number, _free_port(), folder, timeout if joined else None, arguments)
        mp.start_processes(_run, places, nprocs=number, start_method="fork")
        return [torch.load(Path(folder) / f"{rank}.pt") for rank in range(number)]


def _run(rank, function, number, port, folder, timeout, arguments):
    torch.set_num_threads(1)
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(number),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    if timeout is None:
        found = function(*arguments)
    else:
        with processes.joined(torch.device("cpu"), timeout):
            found = function(*arguments)
            processes.meet()
    torch.save(found, Path(folder) / f"{rank}.pt")


def _free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
