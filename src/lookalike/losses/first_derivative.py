"""Gradients written out by hand, which have no gradient of their own."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch


def first_derivative_only(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse a graph of the backward pass, whose second derivatives would lack these in silence.

    Raises:
        RuntimeError: In the backward pass, if it is asked for with ``create_graph``.
    """

    @wraps(backward)
    def checked(ctx: Any, *gradients: Any) -> Any:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "this loss can be differentiated once, not twice; leave out create_graph=True."
            )
        return backward(ctx, *gradients)

    return checked
