"""Random numbers for weights that only have to be there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

_PERIOD = 65_521  # prime, so that the rows of a matrix differ


@contextmanager
def brief_draws() -> Iterator[None]:
    """Draw the first numbers of every large tensor and repeat them, while this lasts.

    For a model that is built to be looked at and not used: half of the time it takes to build a
    ResNet-50 goes into drawing its weights. Scale and sign stay as asked for, so that whatever a
    component does with its weights it can do with these. ``Tensor`` itself is changed for the
    time: a mode of ``torch.overrides`` never sees the draws inside ``nn.init``, and one of the
    dispatcher imports half of the compiler.

    Example:
        >>> from torch import nn
        >>> with brief_draws():
        ...     weight = nn.Linear(512, 1000).weight.flatten()
        >>> weight[:65_521].equal(weight[65_521 : 2 * 65_521])
        True
    """
    Tensor.normal_ = _brief(Tensor.normal_)  # type: ignore[method-assign]
    Tensor.uniform_ = _brief(Tensor.uniform_)  # type: ignore[method-assign]
    try:
        yield
    finally:
        # both were inherited
        del Tensor.normal_, Tensor.uniform_


def _brief(draw: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def drawn(tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if tensor.numel() <= _PERIOD or not tensor.is_contiguous():
            return draw(tensor, *args, **kwargs)
        flat, done = tensor.view(-1), _PERIOD
        draw(flat[:done], *args, **kwargs)
        while done < len(flat):
            more = min(done, len(flat) - done)
            flat[done : done + more] = flat[:more]
            done += more
        return tensor

    return drawn
