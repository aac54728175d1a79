"""What a YAML says of one component, in the ways it can be written."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError


def _not_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise PydanticCustomError("whole", "a whole number")
    return value


Whole = Annotated[int, BeforeValidator(_not_bool), Field(ge=-(2**63), lt=2**63)]
PositiveInt = Annotated[Whole, Field(gt=0)]
NonNegativeInt = Annotated[Whole, Field(ge=0)]


def _limit(value: float) -> float:
    if value > 1.0 and value != int(value):
        raise PydanticCustomError("limit", "a share below 1, or a whole number of images")
    return value


Limit = Annotated[float, Field(ge=0.0, allow_inf_nan=False), AfterValidator(_limit)]
"""A share below 1, or from 1 on a number."""


class Frame(BaseModel):
    """A section that knows all its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RegularizerSpec(Frame):
    """Decay of the weights: ``{name: L2, coeff: 5e-4}``."""

    name: Literal["L1", "L2", "L1Decay", "L2Decay"]
    coeff: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 0.0

    @property
    def kind(self) -> str:
        """``L1`` or ``L2``."""
        return self.name.removesuffix("Decay")


class ComponentSpec(BaseModel):
    """A component by name with its arguments; ``{name: X, **args}`` or ``{X: {**args}}``.

    Example:
        >>> ComponentSpec.model_validate({"CELoss": {"weight": 1.0}})
        ComponentSpec(name='CELoss', args={'weight': 1.0}, named=False)
    """

    model_config = ConfigDict(frozen=True)

    name: str
    args: dict[str, Any] = {}
    named: bool = True

    @classmethod
    def of(cls, name: str, args: dict[str, Any] | None = None) -> ComponentSpec:
        """Make a spec from a name and its arguments."""
        return cls.model_construct(name=name, args=dict(args or {}), named=True)

    @model_validator(mode="before")
    @classmethod
    def _both_spellings(cls, value: Any) -> Any:
        if isinstance(value, ComponentSpec):
            return value
        if not isinstance(value, dict) or not value:
            raise PydanticCustomError(
                "component", "write a component as 'name: X' with its arguments, or as 'X: {...}'"
            )
        if isinstance(value.get("name"), str):
            return {"name": value["name"], "args": {k: v for k, v in value.items() if k != "name"}}
        if len(value) != 1:
            raise PydanticCustomError(
                "component",
                "exactly one component name expected here, found {keys}; or write 'name: X'",
                {"keys": ", ".join(map(str, value))},
            )
        ((name, args),) = value.items()
        if args is not None and not isinstance(args, dict):
            raise PydanticCustomError(
                "component", "the arguments of {name} must be a mapping", {"name": name}
            )
        return {"name": name, "args": dict(args or {}), "named": False}


class SamplerSpec(BaseModel):
    """A sampler; without a name the batches are plain consecutive (or shuffled) slices."""

    model_config = ConfigDict(frozen=True)

    name: str = "BatchSampler"
    args: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _open(cls, value: Any) -> Any:
        if isinstance(value, SamplerSpec):
            return value
        if not isinstance(value, dict):
            raise PydanticCustomError("sampler", "a mapping with name and batch_size expected")
        args = {key: item for key, item in value.items() if key != "name"}
        return {"name": value.get("name", "BatchSampler"), "args": args}


class OptimizerSpec(Frame):
    """One optimiser with its schedule."""

    name: str
    args: dict[str, Any] = {}
    scope: str = "all"
    lr: dict[str, Any] | float
    regularizer: RegularizerSpec | None = None

    @model_validator(mode="before")
    @classmethod
    def _both_spellings(cls, value: Any) -> Any:
        if isinstance(value, OptimizerSpec):
            return value
        if isinstance(value, dict) and "name" not in value and len(value) == 1:
            ((name, args),) = value.items()
            value = {"name": name, **args} if isinstance(args, dict) else None
        if not isinstance(value, dict):
            raise PydanticCustomError("optimizer", "a mapping with name and lr expected")
        frame = {"name", "scope", "lr", "regularizer"}
        known = {key: item for key, item in value.items() if key in frame}
        args = {key: item for key, item in value.items() if key not in frame}
        return {**known, "args": args}
