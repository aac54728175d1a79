"""Files of ``torch.save``, examined before ``torch.load`` reads them.

``torch.load(weights_only=True)`` calls nothing but constructors of tensors and containers. It still
hashes whatever a file uses as a key, believes what a file says about sizes, and builds sparse,
nested and quantised tensors. So the pickle is run first by :mod:`lookalike.pickles`, with stand-ins
for everything, and what it says of storages is compared with the file.
"""

from __future__ import annotations

import math
import mmap
import warnings
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from lookalike.archives import check_unpacked_size
from lookalike.errors import cut
from lookalike.pickles import (
    MAX_RATIO,
    SPARED_BYTES,
    Allowed,
    Machine,
    Name,
    Refused,
    StandIn,
    check_nesting,
    checked_key,
    ordered_dict,
)

_ZIP = b"PK\x03\x04"
# of files before PyTorch 1.6
_MAGIC = 0x1950A86A20F9469CFC6C
_MOST = 2**63 - 1
# the product of a long list of large numbers takes too long
_MOST_SIDES = 64
# bytes of an element, by the name of the storage without its end
_ITEMS = {"Double": 8, "Float": 4, "Half": 2, "BFloat16": 2, "Long": 8, "Int": 4, "Short": 2,
          "Char": 1, "Byte": 1, "Bool": 1, "ComplexDouble": 16, "ComplexFloat": 8, "QInt8": 1,
          "QUInt8": 1, "QInt32": 4, "Untyped": 1}  # fmt: skip


def read_torch_file(path: str | Path, *, mapped: bool = False, walked: bool = False) -> Any:
    """Return what a file of ``torch.save`` holds: containers, numbers, texts and dense tensors.

    Args:
        path: The file, of any version of PyTorch since 0.1.
        mapped: Leave tensors on the disk until they are used.
        walked: All containers will be walked, so refuse more than 1,000,000 values or 100 levels.

    Raises:
        Refused: If the file asks for anything else, or for more than it can hold.
        Exception: Of any kind, if the file is damaged.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.pt"
        >>> torch.save({"weight": torch.ones(2)}, path)
        >>> read_torch_file(path)
        {'weight': tensor([1., 1.])}
    """
    check_unpacked_size(path)
    with open(path, "rb") as file:
        zipped = file.read(len(_ZIP)) == _ZIP
        found = _examined_zip(file, Path(path)) if zipped else _examined_stream(file)
    if walked:
        check_nesting(found)
    with warnings.catch_warnings():
        # of pickle protocols and storages; the file was examined
        warnings.simplefilter("ignore")
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)


def _examined_zip(file: Any, path: Path) -> Any:
    """Run the pickle of a zip file with stand-ins; return what came of it."""
    with zipfile.ZipFile(path) as archive:
        members = [(one.filename.partition("/")[2], one.file_size) for one in archive.infolist()]
    sizes = dict(members)
    file.seek(0)
    # the reader that torch.load will use: another one may find another file in a forged archive
    reader = torch._C.PyTorchFileReader(file)
    if len(sizes) != len(members) or set(reader.get_all_records()) != set(sizes):
        raise Refused("its directory of files is ambiguous")
    content = reader.get_record("data.pkl")
    return _Examined(sum(sizes.values()), sizes).run(BytesIO(content))


def _examined_stream(file: Any) -> Any:
    """Run the pickles of an old file with stand-ins; return what came of the main one."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        limit = MAX_RATIO * len(view) + SPARED_BYTES
        if Machine(view, {}, limit).load() != _MAGIC:
            raise Refused("it was not written by torch.save")
        for _ in range(2):  # version, and sizes of numbers on the machine that wrote it
            Machine(view, {}, limit, encoding="utf-8").load()
        found = _Examined(len(view)).run(view)
        keys = Machine(view, {}, limit, encoding="utf-8").load()
        if type(keys) is not list or not all(type(key) is str for key in keys):
            raise Refused("its list of storages holds something else than names")
    return found


class _Storage(StandIn):
    """Stands for numbers in the file."""

    def __init__(self, count: int, item_bytes: int) -> None:
        self.numel, self.item_bytes = count, item_bytes

    def num_bytes(self) -> int:
        """Return the bytes in the file."""
        return self.numel * self.item_bytes


class _Tensor(StandIn):
    """Stands for a dense tensor."""

    def __init__(self, size: int) -> None:
        self.size = size

    def num_bytes(self) -> int:
        """Return the bytes of all elements, also if they share memory."""
        return self.size


class _Parameter(_Tensor):
    """Stands for a parameter, to which PyTorch before 0.4 gave a state."""

    def __setstate__(self, state: Any) -> None:
        """Check the flags and hooks."""
        if type(state) is not tuple or [type(one) for one in state[:2]] != [bool, bool]:
            raise Refused("it gives a parameter something else than flags")
        if len(state) != 3 or state[2]:
            raise Refused("it gives a parameter hooks")


class _Examined:
    """The stand-ins for one file.

    Args:
        size: Bytes of the file when unpacked.
        records: Bytes of each file in an archive, by name; None for a file that is no archive.
    """

    def __init__(self, size: int, records: dict[str, int] | None = None) -> None:
        self.size, self.records = size, records

    def run(self, file: Any) -> Any:
        """Return what came of the pickle."""
        limit = MAX_RATIO * self.size + SPARED_BYTES
        self.machine = Machine(file, _ALLOWED, limit, encoding="utf-8", persistent=self._storage)
        self.storages: dict[str, _Storage] = {}
        return self.machine.load()

    def _storage(self, pid: Any) -> _Storage:
        """Check a reference to numbers in the file."""
        length = 6 if self.records is None else 5
        if type(pid) is not tuple or len(pid) != length or pid[0] != "storage":
            raise Refused("it refers to something outside the file")
        kind, key, place, number = pid[1:5]
        item_bytes: Any = kind.stand_in if type(kind) is Name else None
        known = type(item_bytes) is int and type(key) is str and type(place) is str
        if not known or type(number) is not int or not 0 <= number <= _MOST:
            raise Refused("it refers to something that is not a storage")
        if length == 6 and pid[5] is not None:
            raise Refused("it holds views of PyTorch before 0.4; save it again with a newer one")
        made = _Storage(number, item_bytes)
        size = made.num_bytes()
        most = self.size if self.records is None else self.records.get(f"data/{key}", -1)
        if size > most or (self.records is not None and size != most):
            has = f"{max(most, 0):,}"
            raise Refused(f"storage {cut(key)} claims {size:,} bytes, the file has {has}")
        if self.storages.setdefault(key, made) is made:
            self.machine.count(size)
        return made


def _dense(storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> _Tensor:
    """Check that a tensor lies within its storage."""
    numbers = (offset, *size, *stride)
    whole = all(type(number) is int and 0 <= number <= _MOST for number in numbers)
    if type(storage) is not _Storage or not whole or len(size) > _MOST_SIDES:
        raise Refused("it holds a tensor that is not made of numbers in the file")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if 0 not in size and last >= storage.numel:
        raise Refused(f"it holds a tensor of shape {cut(list(size))} in {storage.numel:,} numbers")
    return _Tensor(math.prod(size) * storage.item_bytes)


def _dense_of_bytes(storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> _Tensor:
    """Check a tensor whose type is given beside its storage of bytes."""
    item_bytes = rest[2].stand_in if len(rest) > 2 and type(rest[2]) is Name else None
    if type(storage) is not _Storage or type(item_bytes) is not int:
        raise Refused("it holds a tensor of no known type")
    numbers = _Storage(storage.num_bytes() // item_bytes, item_bytes)
    return _dense(numbers, offset, size, stride)


def _parameter(data: Any, *rest: Any) -> _Parameter:
    if not isinstance(data, _Tensor) or any(rest[1:]):
        raise Refused("it holds a parameter that is not a tensor, or has hooks")
    return _Parameter(data.size)


def _counter(items: Any = ()) -> dict[Any, Any]:
    """Stand for ``collections.Counter``, by which schedules keep their milestones."""
    return ordered_dict(items)


def _set(items: Any = ()) -> list[Any]:
    if type(items) is not list:
        raise Refused("it makes a set of something else than a list")
    return [checked_key(item) for item in items]


def _bytes(text: Any = "", encoding: Any = "latin1") -> bytes:
    """Stand for ``codecs.encode`` and ``bytearray``, by which pickles write bytes."""
    if type(text) is not str or encoding not in ("latin1", "latin-1"):
        raise Refused("it makes bytes of something else than a text")
    return text.encode("latin1")


def _nothing(*args: Any) -> None:
    """Stand for what has no content: a device, a layout, a shape."""


def _not_dense(what: str) -> str:
    return f"is {what}; weights are dense tensors"


_ALLOWED: Allowed = {
    ("collections", "OrderedDict"): ordered_dict,
    ("collections", "Counter"): _counter,
    ("__builtin__", "set"): _set,
    ("builtins", "set"): _set,
    ("_codecs", "encode"): _bytes,
    ("builtins", "bytearray"): _bytes,
    ("__builtin__", "bytearray"): _bytes,
    ("torch", "Size"): tuple,
    ("torch", "device"): _nothing,
    ("torch.serialization", "_get_layout"): _nothing,
    ("torch.nn.parameter", "Parameter"): _parameter,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch._utils", "_rebuild_tensor"): _dense,
    ("torch._utils", "_rebuild_tensor_v2"): _dense,
    ("torch._utils", "_rebuild_tensor_v3"): _dense_of_bytes,
    ("torch._utils", "_rebuild_sparse_tensor"): _not_dense("sparse"),
    ("torch._utils", "_rebuild_meta_tensor_no_storage"): _not_dense("meta, without numbers"),
    ("torch._utils", "_rebuild_qtensor"): _not_dense("quantised"),
    ("torch._utils", "_rebuild_nested_tensor"): _not_dense("nested"),
    ("torch._utils", "_rebuild_wrapper_subclass"): _not_dense("of a class of its own"),
    ("torch._tensor", "_rebuild_from_type_v2"): _not_dense("of a class of its own"),
    **{
        ("torch", name): None
        for name in (
            "per_tensor_affine",
            "per_tensor_symmetric",
            "per_channel_affine",
            "per_channel_symmetric",
            "per_channel_affine_float_qparams",
        )
    },
    **{("torch", f"{name}Storage"): size for name, size in _ITEMS.items()},
    ("torch.storage", "UntypedStorage"): 1,
    **{
        ("torch", name): kind.itemsize
        for name, kind in vars(torch).items()
        if isinstance(kind, torch.dtype)
    },
}
