"""Losses and miners of pytorch-metric-learning, by name: ``pml.MultiSimilarityLoss``.

The package is optional. ``lookalike.losses.pml.AnyLossOfTheirs`` is a class that reads the model's
output and takes their arguments; it is made when it is asked for. Arguments that are components of
the package are written as in the rest of a YAML: ``X``, ``{name: X, ...}`` or ``{X: {...}}``.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from lookalike.errors import SetupError, nearest
from lookalike.losses.batch_loss import BatchLoss
from lookalike.losses.read import read
from lookalike.types import ModelOutput

_PACKAGE = "pytorch_metric_learning"
# arguments that are components of the package themselves, and where these stand
_PARTS = {
    "loss": "losses",
    "miner": "miners",
    "distance": "distances",
    "reducer": "reducers",
    "default_reducer": "reducers",
    "embedding_regularizer": "regularizers",
    "weight_regularizer": "regularizers",
}
# arguments that are a list or a mapping of components
_SEVERAL = {"losses": "losses", "miners": "miners", "reducers": "reducers"}
_OWN = ("miner", "feature_from")


class TheirLoss(BatchLoss):
    """One loss of pytorch-metric-learning, with a miner if one is given.

    Attributes:
        remembers: It holds a CrossBatchMemory, whose place in the ring is saved with the buffers.
    """

    reads: tuple[str, ...] = ("features",)
    their_class: Any = None
    positions: Tensor

    def __init__(self, miner: Any = None, feature_from: str = "features", **args: Any) -> None:
        super().__init__()
        theirs = self.their_class
        if "labels" not in inspect.signature(theirs.forward).parameters:
            raise ValueError(
                f"{theirs.__name__} compares two views of each image and takes no labels; training "
                "gives it one view with labels."
            )
        if miner is not None and "miner" in _arguments(theirs):
            args["miner"], miner = miner, None
        self.loss: nn.Module = _made(theirs, args)
        self.miner = _part("miner", miner)
        self.feature_from, self.reads = feature_from, (feature_from,)
        memories = _memories(self)
        self.remembers = bool(memories)
        if memories:
            self.register_buffer("positions", torch.zeros(len(memories), 2, dtype=torch.int64))
            self.register_state_dict_pre_hook(_note_positions)  # type: ignore[no-untyped-call]
            self.register_load_state_dict_post_hook(_take_positions)  # type: ignore[no-untyped-call]

    def forward(self, output: ModelOutput | Tensor, labels: Tensor) -> Tensor:
        name = f"pml.{type(self.loss).__name__}"
        features = read(output, self.feature_from, name)
        labels = labels.reshape(-1)
        if len(features) == 0:
            return features.sum()
        for memory in _memories(self):
            _check_memory(memory, features, self.feature_from)
        pairs = None if self.miner is None else self.miner(features, labels)
        try:
            with _unchanged(self) if self.remembers and not self.training else nullcontext():
                value: Tensor = self.loss(features, labels, pairs)
        except (AssertionError, NotImplementedError) as error:
            raise ValueError(f"{name}: {error}") from error
        return value


def _memories(loss: nn.Module) -> list[Any]:
    return [module for module in loss.modules() if hasattr(module, "queue_idx")]


def _check_memory(memory: Any, features: Tensor, feature_from: str) -> None:
    size, width = memory.embedding_memory.shape
    if features.shape[1] != width:
        raise ValueError(
            f"'{feature_from}' has {features.shape[1]} numbers, the memory was made for {width}; "
            f"set embedding_size to {features.shape[1]}."
        )
    if len(features) > size:
        raise ValueError(
            f"a batch of {len(features)} does not fit into the memory of {size}; set memory_size "
            f"to at least {len(features)}."
        )


@contextmanager
def _unchanged(loss: TheirLoss) -> Iterator[None]:
    """Leave memories as they are; theirs remember in evaluation, too."""
    saved = {key: value.clone() for key, value in loss.state_dict().items()}
    try:
        yield
    finally:
        loss.load_state_dict(saved)


def _note_positions(loss: TheirLoss, prefix: str, keep_vars: bool) -> None:
    """Write into a buffer where the memories go on, which they hold as plain numbers."""
    places = [[one.queue_idx, int(one.has_been_filled)] for one in _memories(loss)]
    loss.positions.copy_(torch.tensor(places))


def _take_positions(loss: TheirLoss, incompatible: Any) -> None:
    for one, (place, filled) in zip(_memories(loss), loss.positions.tolist(), strict=True):
        one.queue_idx, one.has_been_filled = place, bool(filled)


class NotInstalled(nn.Module):
    """Stands for every loss of the package where that is missing."""

    def __init__(self, **args: Any) -> None:
        raise SetupError(
            "losses under 'pml.' need the package pytorch-metric-learning, which is not installed. "
            "Install it: python -m pip install 'pytorch-metric-learning>=2.8'"
        )


def __getattr__(name: str) -> type[nn.Module]:
    if not name[:1].isupper():
        raise AttributeError(name)
    try:
        losses = importlib.import_module(f"{_PACKAGE}.losses")
    except ModuleNotFoundError:
        return NotInstalled
    theirs = getattr(losses, name, None)
    if not (isinstance(theirs, type) and issubclass(theirs, nn.Module)):
        raise AttributeError(f"pytorch-metric-learning has no loss '{name}'.")
    made = type(name, (TheirLoss,), {"__doc__": theirs.__doc__, "their_class": theirs})
    made.__init__ = _constructor(theirs)  # type: ignore[misc]
    return made


def _constructor(theirs: type) -> Any:
    """Return a constructor whose signature names all arguments of their class."""

    def __init__(self: TheirLoss, **args: Any) -> None:  # noqa: N807
        TheirLoss.__init__(self, **args)

    own = inspect.signature(TheirLoss.__init__).parameters
    named = {"self": own["self"], **_arguments(theirs)}
    named |= {name: own[name].replace(kind=inspect.Parameter.KEYWORD_ONLY) for name in _OWN}
    __init__.__signature__ = inspect.Signature(list(named.values()))  # type: ignore[attr-defined]
    __init__.__annotations__ = {}
    return __init__


def _arguments(theirs: type) -> dict[str, inspect.Parameter]:
    """Gather named arguments along the inheritance, as long as the rest is passed upwards.

    What a parent requires may be given by the child, so only the class's own are required.
    """
    found: dict[str, inspect.Parameter] = {}
    keyword = inspect.Parameter.KEYWORD_ONLY
    for level in theirs.__mro__:
        if "__init__" not in vars(level) or level is nn.Module:
            continue
        parameters = inspect.signature(level.__init__).parameters.values()  # type: ignore[misc]
        for one in parameters:
            if one.name == "self" or one.kind not in (keyword, one.POSITIONAL_OR_KEYWORD):
                continue
            default = one.default
            if level is not theirs and default is one.empty:
                default = None
            found.setdefault(one.name, inspect.Parameter(one.name, keyword, default=default))
        if all(one.kind is not one.VAR_KEYWORD for one in parameters):
            break
    return found


def _part(argument: str, value: Any) -> Any:
    """Make what an argument says, if it is a component of the package or several of them."""
    if argument in _PARTS:
        return _component(argument, _PARTS[argument], value)
    room = _SEVERAL.get(argument)
    if room is not None and isinstance(value, list):
        return [_component(argument, room, one) for one in value]
    if room is not None and isinstance(value, Mapping):
        return {key: _component(argument, room, one) for key, one in value.items()}
    return value


def _component(argument: str, room: str, value: Any) -> Any:
    """Make a component from its name, ``{name: X, **args}`` or ``{X: args}``."""
    if not isinstance(value, str | Mapping):
        return value
    name, args = _spelled(argument, value)
    module = importlib.import_module(f"{_PACKAGE}.{room}")
    theirs = getattr(module, name, None)
    if not isinstance(theirs, type):
        names = sorted(n for n in dir(module) if n[:1].isupper() and "Base" not in n)
        raise ValueError(
            f"{argument}: pytorch-metric-learning has no '{name}'; known: {', '.join(names)}."
            f"{nearest(name, names)}"
        )
    if room == "reducers":  # their weights of classes
        args = {k: torch.tensor(v) if isinstance(v, list) else v for k, v in args.items()}
    return _made(theirs, args)


def _spelled(argument: str, value: str | Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    if isinstance(value, str):
        value = {"name": value}
    if "name" in value:
        name, args = value["name"], {key: own for key, own in value.items() if key != "name"}
    elif len(value) == 1:
        ((name, args),) = value.items()
        args = {} if args is None else args
    else:
        name, args = None, None
    if not isinstance(name, str) or not isinstance(args, Mapping):
        raise ValueError(
            f"{argument}: write 'X', '{{name: X, ...}}' or '{{X: {{...}}}}'; got {dict(value)!r}."
        )
    return name.removeprefix("pml."), dict(args)


def _made(theirs: Any, args: Mapping[str, Any]) -> Any:
    """Call their class; whatever it raises becomes a ValueError that names it."""
    known = _arguments(theirs)
    for key in args:
        if key not in known:
            takes = ", ".join(sorted(known)) or "none"
            raise ValueError(
                f"{theirs.__name__}: unknown argument '{key}'.{nearest(key, known)} It takes: "
                f"{takes}."
            )
    made = {key: _part(key, value) for key, value in args.items()}
    try:
        return theirs(**made)
    except Exception as error:  # theirs raise plain Exceptions, too
        raise ValueError(f"{theirs.__name__}: {error}") from error
