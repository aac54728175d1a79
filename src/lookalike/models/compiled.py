"""A backbone's training pass as one compiled program, where this machine can compile it."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class CompiledForward:
    """A module's forward pass, compiled when it first trains; without a word of it in its names.

    Compilation is tried once, forward and backward, on the first batch; random numbers and running
    statistics are as if it had not been tried. If it fails, that is said, and the module runs as it
    is. Evaluation is not compiled: it would take a program of its own, and one more for the last
    batch. Copies of the module (an average of the weights) compile for themselves.

    Args:
        module: Whose forward pass it is.
        say: Is told why compilation failed.
    """

    def __init__(self, module: nn.Module, say: Callable[[str], None]) -> None:
        self.module, self.say = module, say
        self.train: Callable[..., Any] | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> CompiledForward:
        return CompiledForward(copy.deepcopy(self.module, memo), self.say)

    def __call__(self, images: Tensor) -> Any:
        """Compute what the module does."""
        if not (self.module.training and torch.is_grad_enabled()):
            return self._plain(images)
        if self.train is None:
            self.train = self._compiled(images)
        return self.train(images)

    def _plain(self, images: Tensor) -> Any:
        return type(self.module).forward(self.module, images)

    def _compiled(self, images: Tensor) -> Callable[..., Any]:
        buffers = [(buffer, buffer.clone()) for buffer in self.module.buffers()]
        devices = [images.device] if images.device.type == "cuda" else []
        with warnings.catch_warnings(), torch.random.fork_rng(devices):
            warnings.simplefilter("ignore")  # the compiler's own, of no use to who trains
            try:
                compiled = torch.compile(self._plain)
                self._try(compiled, images)
            except Exception as error:  # noqa: BLE001 - a compiler may fail in any way
                reason = next(iter(str(error).strip().splitlines()), "")[:200]
                self.say(
                    "Global.compile: this backbone could not be compiled here "
                    f"({type(error).__name__}: {reason}); training goes on without it."
                )
                return self._plain
            finally:
                with torch.no_grad():
                    for buffer, before in buffers:
                        buffer.copy_(before)
        return compiled

    def _try(self, compiled: Callable[..., Any], images: Tensor) -> None:
        output: Tensor = compiled(images)
        learning = [p for p in self.module.parameters() if p.requires_grad]
        if output.requires_grad and learning:
            torch.autograd.grad(output.float().sum(), learning, allow_unused=True)


def compile_training(module: nn.Module, say: Callable[[str], None]) -> None:
    """Let a module's training pass be compiled when it first runs.

    Args:
        module: Changed in place; state and names stay.
        say: Is told why compilation failed, if it does.
    """
    module.forward = CompiledForward(module, say)
