"""The same model in every process, kept the same by averaging gradients."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

from torch import Tensor, nn
from torch.autograd import Variable
from torch.nn.parallel import DistributedDataParallel

from lookalike import processes
from lookalike.losses import WeightedSum
from lookalike.models.sharded import sharded_parameters
from lookalike.place import waited_since

Computation = Callable[[], tuple[Any, Mapping[str, Tensor]]]


class Replicas:
    """Run a computation whose backward pass averages the gradients over the processes.

    Alone it only runs it. The average is PyTorch's ``DistributedDataParallel``, over everything
    that learns in model and loss; parameters of which each process has some rows are left out.
    Buffers, such as the running statistics of batch norms, are those of the first process.

    Args:
        modules: Whose parameters learn.
    """

    def __init__(self, *modules: nn.Module) -> None:
        self.parts = _Parts(modules)
        self._parallel: DistributedDataParallel | None = None
        self._ready: float | None = None

    def __call__(self, compute: Computation) -> tuple[Any, Mapping[str, Tensor]]:
        """Return what the computation does; a backward pass of the loss must follow.

        Args:
            compute: Returns any output, and terms by name of which ``loss`` is the one to learn
                from: what the output has besides need not take part.
        """
        averages = self._averages
        if averages is None:
            return compute()
        entered = time.perf_counter()

        def compute_own() -> tuple[Any, Mapping[str, Tensor]]:
            # the first process's buffers have come
            waited_since(entered)
            return compute()

        loss, found = averages(compute_own)
        loss.register_hook(self._begin_backward)
        return found.output, {**found.terms, "loss": loss}

    def _begin_backward(self, gradient: Tensor) -> None:
        # called after the last gradient, before PyTorch waits for those of the others
        Variable._execution_engine.queue_callback(self._end_backward)

    def _end_backward(self) -> None:
        self._ready = time.perf_counter()

    @contextmanager
    def apart(self, gathering: bool) -> Iterator[None]:
        """Leave gradients as they are: others will be added before they are averaged.

        Args:
            gathering: False does average.
        """
        averages = self._averages if gathering else None
        self._ready = None
        with nullcontext() if averages is None else averages.no_sync():
            yield
        if self._ready is not None:
            waited_since(self._ready)

    @property
    def _averages(self) -> DistributedDataParallel | None:
        """What averages, made when first used; None if there is nothing to average."""
        # asked in every step, so the modules are looked through only where there are others
        if self._parallel is not None or processes.count() == 1:
            return self._parallel
        dealt = sharded_parameters(self.parts)
        if any(p.requires_grad for n, p in self.parts.named_parameters() if n not in dealt):
            self._parallel = self._connected()
        return self._parallel

    def _connected(self) -> DistributedDataParallel:
        # a weight of 1 x 1 has two ways to be channels-last; PyTorch warns of the one it has not
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
        own = list(sharded_parameters(self.parts))
        # a memory of what all have embedded is the same everywhere, and large
        for name, part in self.parts.named_modules():
            if isinstance(part, WeightedSum):
                own += [f"{name}.losses.{key}" for key in part.gathered_buffers()]
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

    def forward(self, compute: Computation) -> tuple[Tensor, _Found]:
        found = _Found(*compute())
        return found.terms["loss"], found


class _Found:
    """What a computation returned, closed to PyTorch, which would wait for gradients of it all."""

    def __init__(self, output: Any, terms: Mapping[str, Tensor]) -> None:
        self.output, self.terms = output, terms
