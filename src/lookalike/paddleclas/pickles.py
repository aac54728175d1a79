"""Reading the reference's pickles (``.pdparams``, ``.pdopt``, ``.pdema``) without trusting them.

:mod:`lookalike.pickles` runs the pickle. Here are the stand-ins: a file can build numbers, texts,
lists, tuples, dictionaries and plain arrays. Arrays are made by our own code from the bytes in the
file, and sizes are compared with the file before anything is allocated.
"""

from __future__ import annotations

import codecs
import math
import mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lookalike.errors import CheckpointError, cut
from lookalike.pickles import (
    MAX_RATIO,
    SPARED_BYTES,
    Allowed,
    Machine,
    Refused,
    StandIn,
    check_nesting,
    ordered_dict,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.generic]

_KINDS = "biuf"
# numpy's own limit; the product of a long list of large numbers takes for ever
_MOST_SIDES = 64
_MOST_BITS = 64
_ORDERS = ("<", ">", "|", "=")
# the keys under which the reference describes its own file
NAMES_KEY = "StructuredToParameterName@@"
SLICES_KEY = "UnpackBigParamInfor@@"


def read_pickle(path: str | Path) -> Any:
    """Return what a file of the reference holds: containers of numbers, texts and arrays.

    Raises:
        CheckpointError: If the file is missing, damaged, or asks for anything else.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            raise CheckpointError(f"{path}: not a regular file.")
        with path.open("rb") as file:
            size = path.stat().st_size
            if size == 0:
                raise CheckpointError(f"{path}: the file is empty.")
            limit = MAX_RATIO * size + SPARED_BYTES
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
                found = Machine(view, _ALLOWED, limit).load()
                check_nesting(found)
                return joined(_Plain(limit).of(found))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such file.") from error
    except Refused as error:
        raise CheckpointError(f"{path}: {error}; nothing of it was run.") from error
    except CheckpointError:
        raise
    except Exception as error:  # noqa: BLE001 - a damaged file fails in every way
        raise CheckpointError(
            f"{path}: not a file of the reference, or damaged ({type(error).__name__}: "
            f"{str(error)[:120]})."
        ) from error


def joined(value: Any) -> Any:
    """Put arrays together that were cut into slices because they were too large for one pickle.

    Example:
        >>> import numpy as np
        >>> about = {"w": {"OriginShape": (2, 2), "slices": ["w@@.0", "w@@.1"]}}
        >>> state = {"w@@.0": np.arange(2), "w@@.1": np.arange(2, 4), SLICES_KEY: about}
        >>> joined(state)["w"].tolist()
        [[0, 1], [2, 3]]
    """
    if not isinstance(value, dict) or SLICES_KEY not in value:
        return value
    import numpy as np

    whole = {key: item for key, item in value.items() if key != SLICES_KEY}
    for name, about in value[SLICES_KEY].items():
        pieces = [np.ravel(whole.pop(piece)) for piece in about["slices"]]
        whole[name] = np.concatenate(pieces).reshape(about["OriginShape"])
    return whole


def _text(value: Any) -> str:
    # of anything else str() may be as long as what it holds, over and over
    if not isinstance(value, str):
        raise Refused("it holds something else where a word belongs")
    return value


class _DType(StandIn):
    """Stands for ``numpy.dtype`` while the file is read."""

    def __init__(self, code: str = "", align: Any = False, copy: Any = False) -> None:
        self.code, self.order = _text(code), "="

    def __setstate__(self, state: Any) -> None:
        self.order = _text(state[1])

    def real(self) -> Any:
        import numpy as np

        if self.code[:1] not in _KINDS or self.order not in _ORDERS:
            raise Refused(f"it holds an array of {cut(self.code)}, not of numbers")
        order: Any = "=" if self.order == "|" else self.order
        dtype = np.dtype(self.code).newbyteorder(order)
        if dtype.itemsize > 8:
            raise Refused(f"it holds numbers of {dtype.itemsize} bytes")
        return dtype


class _Array(StandIn):
    """Stands for ``numpy.ndarray`` while the file is read."""

    array: Any = None

    def num_bytes(self) -> int:
        """Return the bytes of the array, if it was made at once."""
        return 0 if self.array is None else int(self.array.nbytes)

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        self.array = _from_bytes(shape, dtype, bool(fortran), data)
        self.count(self.array.nbytes)


def _from_bytes(shape: Any, dtype: Any, fortran: bool, data: Any) -> Array:
    import numpy as np

    if not isinstance(dtype, _DType) or not isinstance(data, bytes | bytearray):
        raise Refused("it holds an array that is not made of bytes")
    real = dtype.real()
    sizes = [int(size) for size in shape[:_MOST_SIDES]]
    if len(shape) > len(sizes):
        raise Refused(f"it holds an array of {len(shape)} dimensions")
    if min(sizes, default=1) < 0 or math.prod(sizes) * real.itemsize != len(data):
        raise Refused(f"it holds an array of shape {sizes} in {len(data)} bytes")
    flat = np.frombuffer(data, dtype=real)
    return np.asarray(flat.reshape(sizes, order="F" if fortran else "C")).astype(
        real.newbyteorder("="), copy=False
    )


def _frombuffer(data: Any, dtype: Any, shape: Any, order: Any = "C") -> _Array:
    """Stand for the way pickles of protocol 5 write an array."""
    made = _Array()
    made.array = _from_bytes(shape, dtype, order == "F", data)
    return made


def _scalar(dtype: Any, data: Any) -> Any:
    return _from_bytes((), dtype, False, data).item()


def _encoded(text: Any, encoding: Any = "latin1") -> bytes:
    """Stand for ``codecs.encode``, by which old pickles write bytes."""
    if _text(encoding) not in ("latin1", "latin-1"):
        raise Refused(f"it asks for the encoding {encoding[:40]!r}")
    return codecs.encode(_text(text), "latin1")


def _reconstruct(*args: Any) -> _Array:
    return _Array()


def _no_array(*args: Any) -> None:
    """Stand for ``numpy.ndarray``, which is named beside an array and never called."""
    raise Refused("it makes an array in no known way")


def _pair(items: Any = ()) -> tuple[Any, ...]:
    """Stand for ``tuple``, by which the reference writes a tensor: its name and its array."""
    if not isinstance(items, tuple | list):
        raise Refused("it builds a tuple of something else than a list")
    return tuple(items)


_ALLOWED: Allowed = {
    **{
        (f"{module}.multiarray", name): stand_in
        for module in ("numpy.core", "numpy._core")
        for name, stand_in in (("_reconstruct", _reconstruct), ("scalar", _scalar))
    },
    **{
        (f"{module}.numeric", "_frombuffer"): _frombuffer
        for module in ("numpy.core", "numpy._core")
    },
    ("numpy", "ndarray"): _no_array,
    ("numpy", "dtype"): _DType,
    ("_codecs", "encode"): _encoded,
    ("builtins", "tuple"): _pair,
    ("__builtin__", "tuple"): _pair,
    ("collections", "OrderedDict"): ordered_dict,
}


class _Plain:
    """Turns stand-ins into what they stand for, and bounds the bytes of arrays that are shared."""

    def __init__(self, limit: int) -> None:
        self.limit, self.bytes_left = limit, limit

    def of(self, value: Any) -> Any:
        if isinstance(value, _Array):
            if value.array is None:
                raise Refused("it holds an array without content")
            self.bytes_left -= value.array.nbytes
            if self.bytes_left < 0:
                raise Refused(f"it unfolds to more than {self.limit:,} bytes")
            return value.array
        if isinstance(value, dict):
            return {key: self.of(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            items = [self.of(item) for item in value]
            return items if isinstance(value, list) else tuple(items)
        if isinstance(value, int) and value.bit_length() > _MOST_BITS:
            raise Refused("it holds a number of more than 64 bits")
        if value is None or isinstance(value, bool | int | float | str | bytes):
            return value
        raise Refused(f"it holds a {type(value).__name__.strip('_')}, which weights do not")
