"""Whether the numbers of a file can take the place of a model's: their type, and their values.

Floats of 16, 32 and 64 bits may take each other's place, and integers the place of integers, if no
value is too large. Everything else is refused, since a copy would mean something else: integers and
booleans in the place of floats are cut or scaled weights, of complex numbers the imaginary part
would be dropped, and an 8-bit float needs a scale that is stored elsewhere.
"""

from __future__ import annotations

import torch
from torch import Tensor

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_INTEGERS = (torch.uint8, torch.int8, torch.uint16, torch.int16, torch.uint32, torch.int32,
             torch.int64)  # fmt: skip
_VARIANCE = "running_var"


def other_kind(tensor: Tensor, own: Tensor) -> str:
    """Say why a tensor is of a kind that cannot take another one's place.

    Returns:
        Such as ``is int32, the model's is float32``; empty if it can.

    Example:
        >>> other_kind(torch.zeros(1, dtype=torch.int32), torch.zeros(1))
        "is int32, the model's is float32"
        >>> other_kind(torch.zeros(1, dtype=torch.float16), torch.zeros(1))
        ''
    """
    if tensor.is_nested or tensor.layout != torch.strided:
        return f"is {'nested' if tensor.is_nested else 'sparse'}, the model's is dense"
    if tensor.is_meta and not own.is_meta:
        return "is a meta tensor, without numbers"
    alike = any(tensor.dtype in kinds and own.dtype in kinds for kinds in (_FLOATS, _INTEGERS))
    if alike or tensor.dtype == own.dtype:
        return ""
    found, wanted = (str(one.dtype).removeprefix("torch.") for one in (tensor, own))
    return f"is {found}, the model's is {wanted}"


def bad_numbers(key: str, tensor: Tensor, own: Tensor) -> str:
    """Say which numbers of a tensor cannot take the place of another one's.

    One pass over the tensor, without a copy. Where the model itself has infinite numbers (a mask),
    anything is accepted.

    Args:
        key: Of both. A running variance must not be negative.
        tensor: From a file.
        own: The model's, of the same kind (see :func:`other_kind`).

    Returns:
        Such as ``holds 3 NaN (of 512 numbers)``; empty if all can be used.

    Example:
        >>> bad_numbers("w", torch.tensor([1.0, float("nan")]), torch.zeros(2))
        'holds 1 NaN (of 2 numbers)'
        >>> bad_numbers("w", torch.tensor([1e300], dtype=torch.float64), torch.zeros(1))
        'holds 1 too large for float32 (of 1 numbers)'
    """
    tensor, own = _local(tensor), _local(own)
    if tensor.numel() == 0 or tensor.is_meta:
        return ""
    if own.dtype in _INTEGERS:
        return _beyond(tensor, own.dtype) if tensor.dtype != own.dtype else ""
    if own.dtype not in _FLOATS:
        return ""
    low, high = (float(end) for end in torch.aminmax(tensor.detach()))
    most = torch.finfo(own.dtype).max
    # false as well where they are NaN
    if -most <= low and high <= most:
        negative = key.endswith(_VARIANCE) and low < 0
        return _of(tensor, {"negative": tensor < 0}) if negative else ""
    if not bool(own.isfinite().all()):
        return ""
    nan, infinite = tensor.isnan(), tensor.isinf()
    large = (tensor.abs() > most) & ~infinite
    name = str(own.dtype).removeprefix("torch.")
    return _of(tensor, {"NaN": nan, "infinite": infinite, f"too large for {name}": large})


def has_nan(tensor: Tensor) -> bool:
    """Tell whether any number of a tensor of floats is NaN; takes no memory.

    Example:
        >>> has_nan(torch.tensor([1.0, float("nan")])), has_nan(torch.zeros(0))
        (True, False)
    """
    tensor = _local(tensor)
    return tensor.numel() > 0 and bool(torch.aminmax(tensor.detach()).min.isnan())


def _beyond(tensor: Tensor, kind: torch.dtype) -> str:
    limits, wide = torch.iinfo(kind), tensor.to(torch.int64)
    outside = (wide < limits.min) | (wide > limits.max)
    name = str(kind).removeprefix("torch.")
    return _of(tensor, {f"too large for {name}": outside}) if bool(outside.any()) else ""


def _of(tensor: Tensor, found: dict[str, Tensor]) -> str:
    counts = {what: int(where.sum()) for what, where in found.items()}
    shown = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
    return f"holds {shown} (of {tensor.numel():,} numbers)"


def _local(tensor: Tensor) -> Tensor:
    """Return what this process has of a tensor whose rows lie with several."""
    to_local = getattr(tensor, "to_local", None)
    return tensor if to_local is None else to_local()
