"""Reading pickles that others wrote, without running them.

A pickle is a program. :class:`Machine` runs it with the interpreter's pickle machine in Python
(the one in C allocates as many places as a file names), with these restrictions:

- A name leads to a stand-in that the caller gives, or is refused. No stand-in is called with
  anything but what the file holds.
- A key of a mapping, or a member of a set, is a text or a number of at most 64 bits. This is
  checked before Python hashes it: the hash of nested tuples takes exponential time or overflows
  the stack of C, and large integers can all have one hash.
- Every operation and every array counts as memory, and the sum is limited.
"""

from __future__ import annotations

import mmap
import pickle
import sys
from collections.abc import Callable, Mapping
from struct import unpack
from typing import Any, BinaryIO, ClassVar

from lookalike.errors import cut

MAX_NODES = 1_000_000
MAX_DEPTH = 100
# what a file may become: a pickle can name a large thing many times, and each time a copy is made
MAX_RATIO = 8
SPARED_BYTES = 64_000_000
_KEY_BITS = 64
_NUMBER_BITS = 8 * 255
# an operation makes an empty list or a place on the stack at most
_OPERATION_BYTES = 64

Allowed = Mapping[tuple[str, str], Any]


class Refused(pickle.UnpicklingError):
    """The file asks for something that weights do not need."""


class StandIn:
    """Stands for an object of the file; only such objects can be given a state.

    Attributes:
        count: Counts bytes; set by the machine.
    """

    count: Callable[[int], None]

    def __setstate__(self, state: Any) -> None:
        """Refuse a state; overridden where the file may give one."""
        raise Refused("it gives a state to an object that has none")

    def num_bytes(self) -> int:
        """Return the bytes of what the object holds."""
        return 0


class StandInDict(dict[Any, Any], StandIn):
    """Stands for ``collections.OrderedDict``, which may have attributes."""

    def __setstate__(self, state: Any) -> None:
        """Check attributes and forget them."""
        if type(state) is not dict or not all(type(key) is str for key in state):
            raise Refused("it gives a mapping something else than attributes")


def ordered_dict(items: Any = ()) -> StandInDict:
    """Stand for ``collections.OrderedDict``; old files give it a list of keys and values."""
    made = StandInDict()
    pairs = items.items() if isinstance(items, dict) else items
    if not isinstance(items, dict | list | tuple):
        raise Refused("it makes a mapping of something else than keys and values")
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise Refused("it makes a mapping of something else than keys and values")
        made[checked_key(pair[0])] = pair[1]
    return made


def checked_key(key: Any) -> str | int:
    """Return a key that can be hashed in short time.

    Raises:
        Refused: If it is neither a text nor an integer of at most 64 bits.

    Example:
        >>> checked_key("head.weight"), checked_key(7)
        ('head.weight', 7)
    """
    if type(key) is str or (type(key) in (int, bool) and key.bit_length() <= _KEY_BITS):
        return key  # type: ignore[no-any-return]
    raise Refused("it has a key that is neither a name nor a number")


def check_nesting(value: Any) -> None:
    """Refuse containers that have more than 1,000,000 values or 100 levels when they are walked.

    Values that are shared count each time, since whoever walks the containers meets them each time.

    Raises:
        Refused: If they have more.
    """
    left, level = MAX_NODES, [value]
    for _ in range(MAX_DEPTH + 1):
        below: list[Any] = []
        for one in level:
            inside = one.values() if isinstance(one, dict) else one
            if isinstance(one, dict | list | tuple):
                left -= len(one)
                if left < 0:
                    break
                below.extend(inside)
        if left < 0:
            break
        if not below:
            return
        level = below
    raise Refused(f"it unfolds to more than {MAX_NODES:,} values or {MAX_DEPTH} levels")


class Name:
    """A name in the file, with its stand-in."""

    __slots__ = ("stand_in",)

    def __init__(self, stand_in: Any) -> None:
        self.stand_in = stand_in


Operation = Callable[[Any], None]


class Machine(pickle._Unpickler):
    """Run a pickle with stand-ins.

    Args:
        file: Holds the pickle; read up to its end only.
        allowed: (module, name) to the function that is called in its place. A text instead refuses
            the call; it says what the entry is, and follows the entry's name in the message. Names
            that are not called may have anything else.
        limit: Bytes that the file may become.
        encoding: Of texts that Python 2 wrote.
        persistent: Called with references to something outside the pickle; None refuses them.
    """

    dispatch: ClassVar[dict[int, Operation]] = {}
    # of the interpreter's machine
    stack: list[Any]
    read: Callable[[int], bytes]
    pop_mark: Callable[[], list[Any]]

    def __init__(
        self,
        file: BinaryIO | mmap.mmap,
        allowed: Allowed,
        limit: int,
        *,
        encoding: str = "latin1",
        persistent: Callable[[Any], Any] | None = None,
    ) -> None:
        super().__init__(file, encoding=encoding)
        self.allowed, self.limit, self.left = allowed, limit, limit
        self.persistent = persistent

    def count(self, size: int) -> None:
        """Refuse to make more than the file may become."""
        self.left -= size
        if self.left < 0:
            raise Refused(f"it unfolds to more than {self.limit:,} bytes")

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a name, or refuse it."""
        try:
            return Name(self.allowed[module, name])
        except KeyError:
            shown = cut(f"{module}.{name}")[1:-1]
            raise Refused(
                f"it asks for {shown}, which weights do not need and which could run code"
            ) from None

    def persistent_load(self, pid: Any) -> Any:
        """Return what stands for something outside the pickle."""
        if self.persistent is None:
            raise Refused("it refers to something outside the file")
        return self.persistent(pid)

    def _made(self, name: Any, args: Any) -> Any:
        if type(name) is not Name or type(args) is not tuple:
            raise Refused("it calls something that is not a name")
        if isinstance(name.stand_in, str):
            raise Refused(f"{self._entry()} {name.stand_in}")
        if not callable(name.stand_in):
            raise Refused("it calls something that is not a function")
        made = name.stand_in(*args)
        self.count(sys.getsizeof(made))
        if isinstance(made, StandIn):
            made.count = self.count
            self.count(made.num_bytes())
        return made

    def _entry(self) -> str:
        """Return the name of the entry that is being made: it lies below on the stack."""
        below = self.stack[-2] if len(self.stack) > 1 else None
        return cut(below) if type(below) is str else "one of its tensors"

    def _reduce(self) -> None:
        args = self.stack.pop()
        self.stack[-1] = self._made(self.stack[-1], args)

    def _build(self) -> None:
        state = self.stack.pop()
        if not isinstance(self.stack[-1], StandIn):
            raise Refused("it gives a state to an object that has none")
        self.stack[-1].__setstate__(state)

    def _set(self, items: list[Any]) -> None:
        mapping = self.stack[-1]
        if not isinstance(mapping, dict):
            raise Refused("it puts a key into something that is not a mapping")
        for key, value in zip(items[::2], items[1::2], strict=True):
            mapping[checked_key(key)] = value

    def _set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set([key, value])

    def _set_items(self) -> None:
        self._set(self.pop_mark())

    def _dict(self) -> None:
        items = self.pop_mark()
        self.stack.append({})
        self._set(items)

    def _bytearray(self) -> None:
        # pickle allocates the claimed size before it reads
        (size,) = unpack("<Q", self.read(8))
        self.stack.append(bytearray(self.read(size)))

    def _refuse(self) -> None:
        raise Refused("it holds sets or objects, which weights do not need")


def _bounded(operation: Operation) -> Operation:
    """Return an operation that makes no number of more than 255 bytes."""

    def run(machine: Any) -> None:
        operation(machine)
        if machine.stack[-1].bit_length() > _NUMBER_BITS:
            raise Refused(f"it holds a number of more than {_NUMBER_BITS} bits")

    return run


def _counted(operation: Operation) -> Operation:
    def run(machine: Any) -> None:
        machine.count(_OPERATION_BYTES)
        operation(machine)

    return run


def _operations() -> dict[int, Operation]:
    found: dict[bytes, Operation] = {bytes([k]): v for k, v in pickle._Unpickler.dispatch.items()}
    own: dict[bytes, Operation] = {
        pickle.REDUCE: Machine._reduce,
        pickle.NEWOBJ: Machine._reduce,
        pickle.BUILD: Machine._build,
        pickle.SETITEM: Machine._set_item,
        pickle.SETITEMS: Machine._set_items,
        pickle.DICT: Machine._dict,
        pickle.BYTEARRAY8: Machine._bytearray,
    }
    numbers = (pickle.INT, pickle.LONG, pickle.LONG1, pickle.LONG4)
    own |= {code: _bounded(found[code]) for code in numbers}
    refused = (pickle.PERSID, pickle.INST, pickle.OBJ, pickle.NEWOBJ_EX, pickle.EMPTY_SET,
               pickle.ADDITEMS, pickle.FROZENSET, pickle.EXT1, pickle.EXT2, pickle.EXT4,
               pickle.NEXT_BUFFER, pickle.READONLY_BUFFER)  # fmt: skip
    own |= dict.fromkeys(refused, Machine._refuse)
    return {code[0]: _counted(operation) for code, operation in {**found, **own}.items()}


Machine.dispatch.update(_operations())
