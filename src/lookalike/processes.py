"""The processes of one run: which of them this is, and what they do together.

``torchrun`` starts them and :func:`joined` brings them together; PyTorch's process group does the
rest, over gloo between CPUs and NCCL between GPUs. Alone, every function returns at once what it
was given, so whoever calls them need not know. Only equal calls in equal order meet each other:
each process must make the same ones.
"""

# Shape letters: N = processes, B = rows of this process

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lookalike.errors import LookalikeError
from lookalike.place import meeting
from lookalike.rounds import agreed_round

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store


def launched() -> bool:
    """Tell whether a launcher started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


@contextmanager
def joined(device: torch.device, timeout: float) -> Iterator[Store]:
    """Meet the other processes that the launcher started, until the block ends.

    Args:
        device: What this process computes on.
        timeout: Seconds after which a call that others do not answer is an error.

    Yields:
        The store through which they found each other, for what else they have to tell.
    """
    import torch.distributed as dist
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    wait = timedelta(seconds=timeout)
    store, own, number = next(rendezvous("env://", timeout=wait))
    store = PrefixStore(agreed_round(store, own, number, timeout), store)
    group = PrefixStore("group", store)
    dist.init_process_group(backend, store=group, rank=own, world_size=number, timeout=wait)
    try:
        yield PrefixStore("run", store.clone())
    finally:
        dist.destroy_process_group()


def count() -> int:
    """Return N, how many processes there are."""
    return torch.distributed.get_world_size() if _together() else 1


def rank() -> int:
    """Return the number of this process, from 0."""
    return torch.distributed.get_rank() if _together() else 0


def _together() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def gathered(rows: Tensor) -> Tensor:
    """Return the rows of all processes ``[N * B, ...]``, by rank; each must have as many.

    It is differentiable: the gradient of a row is the sum of what all processes say of it.

    Example:
        >>> gathered(torch.ones(2, 3)).shape
        torch.Size([2, 3])
    """
    if count() == 1:
        return rows
    found: Tensor = _Gathered.apply(rows)
    return found


def summed(values: Tensor) -> Tensor:
    """Return the sum over all processes; differentiable."""
    if count() == 1:
        return values
    found: Tensor = _Summed.apply(values)
    return found


@torch.no_grad()
def add_up(values: Tensor) -> Tensor:
    """Turn ``values`` into the sum over all processes, in place."""
    if count() > 1:
        with meeting():
            torch.distributed.all_reduce(values)
    return values


@torch.no_grad()
def take_largest(values: Tensor) -> Tensor:
    """Turn ``values`` into the largest of all processes, in place."""
    if count() > 1:
        with meeting():
            torch.distributed.all_reduce(values, op=torch.distributed.ReduceOp.MAX)
    return values


@torch.no_grad()
def rows_of_all(rows: Tensor) -> Tensor:
    """Return the rows of all processes, by rank; each may have another number of them."""
    if count() == 1:
        return rows
    sizes = each(len(rows))
    padded = rows.new_zeros(max(sizes), *rows.shape[1:])
    padded[: len(rows)] = rows
    parts = gathered(padded).chunk(count())
    return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])


def each(value: Any) -> list[Any]:
    """Return what every process gives, by rank; anything that can be pickled."""
    if count() == 1:
        return [value]
    found: list[Any] = [None] * count()
    with meeting():
        torch.distributed.all_gather_object(found, value)
    return found


def from_first(find: Callable[[], Any]) -> Any:
    """Return what the first process finds, in all of them; the others do not look.

    Raises:
        LookalikeError: In all of them, what the first one has raised.
    """
    if count() == 1:
        return find()
    found: list[Any] = [None, None]
    if rank() == 0:
        try:
            found[0] = find()
        except LookalikeError as error:
            found[1] = error
    with meeting():
        torch.distributed.broadcast_object_list(found, src=0)
    if found[1] is not None:
        raise found[1]
    return found[0]


@torch.no_grad()
def take_from_first(tensors: Iterable[Tensor]) -> None:
    """Give the tensors of all processes the values they have in the first one."""
    if count() > 1:
        with meeting():
            for tensor in tensors:
                torch.distributed.broadcast(tensor, src=0)


def meet() -> None:
    """Wait until all processes are here."""
    if count() > 1:
        with meeting():
            torch.distributed.barrier()


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        whole = rows.new_empty(len(rows) * count(), *rows.shape[1:])
        with meeting():
            torch.distributed.all_gather(list(whole.chunk(count())), rows.contiguous())
        return whole

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        whole = gradients[0].contiguous()
        parts = list(whole.chunk(count()))
        own = torch.empty_like(parts[0])
        with meeting():
            torch.distributed.reduce_scatter(own, parts)
        return own


class _Summed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return add_up(values.clone())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return add_up(gradients[0].clone())
