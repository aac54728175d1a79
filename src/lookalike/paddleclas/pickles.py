"""Reading the reference's pickles (``.pdparams``, ``.pdopt``, ``.pdema``) without trusting them.

A pickle is a program. Here it can only build numbers, texts, lists, tuples, dictionaries and plain
arrays: every other name it asks for is refused before anything is called, arrays are made by our
own code from the bytes in the file, and sizes are compared with the file before anything is
allocated.
"""

from __future__ import annotations

import codecs
import math
import mmap
import pickle
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from lookalike.errors import CheckpointError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.generic]

MAX_NODES = 1_000_000
MAX_DEPTH = 100
# what a file may become: a pickle can name a large thing many times, and each time a copy is made
MAX_RATIO = 8
SPARED_BYTES = 64_000_000
_KINDS = "biuf"
# numpy's own limit; the product of a long list of large numbers takes for ever
_MOST_SIDES = 64
_MOST_BITS = 64
_ORDERS = ("<", ">", "|", "=")
# the keys under which the reference describes its own file
NAMES_KEY = "StructuredToParameterName@@"
SLICES_KEY = "UnpackBigParamInfor@@"


class Refused(pickle.UnpicklingError):
    """The file asks for something that weights do not need."""


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
                return joined(_Plain(limit).of(_Unpickler(view, limit).load()))
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


class _DType:
    """Stands for ``numpy.dtype`` while the file is read."""

    def __init__(self, code: str = "", align: Any = False, copy: Any = False) -> None:
        self.code, self.order = _text(code), "="

    def __setstate__(self, state: Any) -> None:
        self.order = _text(state[1])

    def real(self) -> Any:
        import numpy as np

        if self.code[:1] not in _KINDS or self.order not in _ORDERS:
            raise Refused(f"it holds an array of '{self.code}', not of numbers")
        order: Any = "=" if self.order == "|" else self.order
        dtype = np.dtype(self.code).newbyteorder(order)
        if dtype.itemsize > 8:
            raise Refused(f"it holds numbers of {dtype.itemsize} bytes")
        return dtype


class _Array:
    """Stands for ``numpy.ndarray`` while the file is read."""

    array: Any = None
    count: Callable[[int], None]

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


_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
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
    ("collections", "OrderedDict"): dict,
}


class _Unpickler(pickle._Unpickler):
    """The interpreter's pickle machine in Python, whose memory cannot be made to grow by a number.

    (The one in C allocates as many places as the file names, before it looks at them.)
    """

    def __init__(self, file: BinaryIO | mmap.mmap, limit: int) -> None:
        super().__init__(file, encoding="latin1")
        self.limit, self.left = limit, limit

    def count(self, size: int) -> None:
        """Refuse to make more than the file can stand for."""
        self.left -= size
        if self.left < 0:
            raise Refused(f"it unfolds to more than {self.limit:,} bytes")

    def _call(self, stand_in: Callable[..., Any], *args: Any) -> Any:
        made = stand_in(*args)
        self.count(sys.getsizeof(made))
        if isinstance(made, _Array):
            made.count = self.count
            self.count(0 if made.array is None else made.array.nbytes)
        return made

    def find_class(self, module: str, name: str) -> Any:
        """Return our stand-in for a name, or refuse it."""
        try:
            stand_in = _ALLOWED[module, name]
        except KeyError:
            raise Refused(
                f"it asks for {module}.{name}, which weights do not need and which could run code"
            ) from None
        return stand_in if stand_in in (_DType, _no_array) else partial(self._call, stand_in)

    def persistent_load(self, pid: Any) -> Any:
        """Refuse references to things outside the file."""
        raise Refused("it refers to something outside the file")


class _Plain:
    """Turns stand-ins into what they stand for, and bounds what a small file can unfold to."""

    def __init__(self, limit: int) -> None:
        self.left = MAX_NODES
        self.limit, self.bytes_left = limit, limit

    def of(self, value: Any, depth: int = 0) -> Any:
        self.left -= 1
        if self.left < 0 or depth > MAX_DEPTH:
            raise Refused(f"it unfolds to more than {MAX_NODES:,} values or {MAX_DEPTH} levels")
        if isinstance(value, _Array):
            if value.array is None:
                raise Refused("it holds an array without content")
            self.bytes_left -= value.array.nbytes
            if self.bytes_left < 0:
                raise Refused(f"it unfolds to more than {self.limit:,} bytes")
            return value.array
        if isinstance(value, dict):
            return {self._key(key): self.of(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple):
            items = [self.of(item, depth + 1) for item in value]
            return items if isinstance(value, list) else tuple(items)
        if isinstance(value, int) and value.bit_length() > _MOST_BITS:
            raise Refused("it holds a number of more than 64 bits")
        if value is None or isinstance(value, bool | int | float | str | bytes):
            return value
        raise Refused(f"it holds a {type(value).__name__.strip('_')}, which weights do not")

    @staticmethod
    def _key(key: Any) -> str | int:
        if isinstance(key, str) or (isinstance(key, int) and key.bit_length() <= _MOST_BITS):
            return key
        raise Refused("it has a key that is neither a name nor a number")
