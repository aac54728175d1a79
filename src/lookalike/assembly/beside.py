"""What a YAML says of a component beside its constructor's arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lookalike.assembly.signatures import check_arguments, signature_of

Problems = list[tuple[str, str]]


def _beside_backbone(
    pretrained: bool | str | None = None,
    use_ssld: bool = False,
    frozen_statistics: bool = False,
    freeze_befor: str | list[str] | None = None,
    freeze: bool = False,
) -> None: ...


def _beside_gear(weight_attr: Any = None, bias_attr: Any = None) -> None: ...


def _beside_dataset(allow_outside: bool = False) -> None: ...


def _beside_loss(weight: float = 1.0, gather: bool = False) -> None: ...


def _beside_optimizer(
    weight_decay: float | None = None,
    clip_norm: float | None = None,
    clip_global_norm: float | None = None,
    no_weight_decay_name: str | None = None,
    one_dim_param_no_weight_decay: bool = False,
) -> None: ...


# keys beside the constructor's own arguments, by kind
BESIDE = {
    "backbone": signature_of(_beside_backbone),
    "neck": signature_of(_beside_gear),
    "head": signature_of(_beside_gear),
    "dataset": signature_of(_beside_dataset),
    "loss": signature_of(_beside_loss),
    "optimizer": signature_of(_beside_optimizer),
}


def beside_of(kind: str, args: Mapping[str, Any]) -> tuple[dict[str, Any], Problems]:
    """Return the keys beside the constructor's arguments, converted, and what is wrong."""
    if kind not in BESIDE:
        return {}, []
    given = {key: value for key, value in args.items() if key in BESIDE[kind].types}
    return check_arguments(BESIDE[kind], given)
