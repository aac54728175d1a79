"""The same model in every process, kept the same by averaging gradients."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.nn.parallel import DistributedDataParallel

from lookalike import processes
from lookalike.models.sharded import sharded_parameters


class Replicas:
    """Run a computation whose backward pass averages the gradients over the processes.

    Alone it only runs it. The average is PyTorch's ``DistributedDataParallel``, over everything
    that learns in model and loss; parameters that are sharded are left to their module. Buffers,
    such as the running statistics of batch norms, are those of the first process.

    Args:
        modules: Whose parameters learn.
    """

    def __init__(self, *modules: nn.Module) -> None:
        self.parts = _Parts(modules)
        self._parallel: DistributedDataParallel | None = None

    def __call__(self, compute: Callable[[], Any]) -> Any:
        """Return what the computation does; a backward pass must follow before the next one."""
        if processes.count() == 1 or not any(p.requires_grad for p in self.parts.parameters()):
            return compute()
        if self._parallel is None:
            self._parallel = self._connected()
        return self._parallel(compute)

    @contextmanager
    def apart(self, gathering: bool) -> Iterator[None]:
        """Leave gradients as they are: others will be added before they are averaged.

        Args:
            gathering: False does average.
        """
        if not gathering or processes.count() == 1:
            yield
            return
        if self._parallel is None:
            self._parallel = self._connected()
        with self._parallel.no_sync():
            yield

    def _connected(self) -> DistributedDataParallel:
        # a weight of 1 x 1 has two ways to be channels-last; PyTorch warns of the one it has not
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
        own = list(sharded_parameters(self.parts))
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(  # type: ignore[no-untyped-call]
            self.parts, own
        )
        # heads that sample, and losses without a pair, leave parameters out of some steps
        return DistributedDataParallel(
            self.parts, find_unused_parameters=True, gradient_as_bucket_view=True
        )


class _Parts(nn.Module):
    """Modules under one roof, and a forward pass that is told from outside what to compute."""

    def __init__(self, modules: tuple[nn.Module, ...]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(modules)

    def forward(self, compute: Callable[[], Any]) -> Any:
        return compute()
