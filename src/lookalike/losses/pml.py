"""Losses and miners of pytorch-metric-learning, by name: ``pml.MultiSimilarityLoss``.

The package is optional. ``lookalike.losses.pml.AnyLossOfTheirs`` is a class that reads the model's
output and takes their arguments; it is made when it is asked for.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from lookalike.errors import SetupError
from lookalike.losses.read import read
from lookalike.types import ModelOutput

_PACKAGE = "pytorch_metric_learning"
# arguments that are components of the package themselves, and where these stand
_PARTS = {
    "miner": "miners",
    "distance": "distances",
    "reducer": "reducers",
    "embedding_regularizer": "regularizers",
    "weight_regularizer": "regularizers",
}
_OWN = ("miner", "feature_from")


class TheirLoss(nn.Module):
    """One loss of pytorch-metric-learning, with a miner if one is given."""

    reads: tuple[str, ...] = ("features",)
    their_class: Any = None

    def __init__(self, miner: Any = None, feature_from: str = "features", **args: Any) -> None:
        super().__init__()
        made = {name: _part(name, value) for name, value in args.items()}
        self.loss: nn.Module = self.their_class(**made)
        self.miner = _part("miner", miner)
        self.feature_from, self.reads = feature_from, (feature_from,)

    def forward(self, output: ModelOutput | Tensor, labels: Tensor) -> Tensor:
        features = read(output, self.feature_from, f"pml.{type(self.loss).__name__}")
        labels = labels.reshape(-1)
        pairs = None if self.miner is None else self.miner(features, labels)
        value: Tensor = self.loss(features, labels, pairs)
        return value


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
    """Make a miner, distance, reducer or regulariser from ``{name: X, **args}`` or its name."""
    if argument not in _PARTS or not isinstance(value, str | Mapping):
        return value
    args = {"name": value} if isinstance(value, str) else dict(value)
    name = args.pop("name", None)
    room = importlib.import_module(f"{_PACKAGE}.{_PARTS[argument]}")
    theirs = getattr(room, str(name), None)
    if not isinstance(theirs, type):
        known = ", ".join(sorted(n for n in dir(room) if n[:1].isupper() and "Base" not in n))
        raise ValueError(f"{argument}: pytorch-metric-learning has no '{name}'; known: {known}.")
    return theirs(**{key: _part(key, inner) for key, inner in args.items()})
