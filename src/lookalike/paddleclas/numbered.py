"""Weights of an exported model: running numbers of layers to the places of the same layers here.

An export knows no places, only that a tensor belongs to, say, the 13th convolution that was made.
Where the reference makes its layers in the order ours have, the n-th is the n-th; where it does
not, such a file cannot be read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lookalike.errors import CheckpointError, cut
from lookalike.paddleclas.backbone_paths import family

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.generic]

_NAME = re.compile(r"([a-z0-9_]+?)_([0-9]+)\.([wb])_([0-9]+)")
# the reference's classes of layers to ours
_KINDS = {
    "conv2d": "Conv2d",
    "linear": "Linear",
    "batch_norm": "BatchNorm2d",
    "batch_norm2d": "BatchNorm2d",
    "batch_norm1d": "BatchNorm1d",
}
_LEAVES = {
    "Conv2d": {"w_0": "weight", "b_0": "bias"},
    "Linear": {"w_0": "weight", "b_0": "bias"},
    **dict.fromkeys(
        ("BatchNorm2d", "BatchNorm1d"),
        {"w_0": "weight", "b_0": "bias", "w_1": "running_mean", "w_2": "running_var"},
    ),
}
_FAMILIES = ("ResNet", "PPLCNet_x", "MobileNetV1", "MobileNetV3_large", "VGG19")
_OTHER_ORDER = ("ResNet50_metabin",)
# convolutions that the reference makes a second time, after all others
_LATE = {"ResNet50_last_stage_stride1": (44, 46)}


def place_numbered(
    arrays: Mapping[str, Array], layers: Sequence[tuple[str, str]], backbone: str
) -> dict[str, Array]:
    """Return the arrays of an exported model under the keys of ours, in our layout.

    Args:
        arrays: By name, such as ``conv2d_0.w_0``.
        layers: Class (``Conv2d``, ``Linear``, ``BatchNorm2d``, ``BatchNorm1d``) and key of the
            model's layers, in the order they were made.
        backbone: The reference's name of the backbone.

    Raises:
        CheckpointError: If the order is not known to be the same, or the layers are not as many.

    Example:
        >>> import numpy as np
        >>> found = {"linear_3.w_0": np.zeros((2, 5)), "linear_1.w_0": np.ones((4, 2))}
        >>> layers = [("Linear", "a"), ("Linear", "b")]
        >>> {k: v.shape for k, v in place_numbered(found, layers, "ResNet50").items()}
        {'a.weight': (2, 4), 'b.weight': (5, 2)}
    """
    if family(backbone) not in _FAMILIES or backbone in _OTHER_ORDER:
        raise CheckpointError(
            f"an exported model of {backbone} does not tell which tensor belongs to which layer; "
            "use its .pdparams file."
        )
    placed: dict[str, Array] = {}
    for kind, numbered in _by_kind(arrays).items():
        own = [key for name, key in layers if name == kind]
        late = _LATE.get(backbone, ()) if kind == "Conv2d" else ()
        own = [key for n, key in enumerate(own) if n not in late] + [own[n] for n in late]
        if len(own) != len(numbered):
            raise CheckpointError(
                f"the exported model has {len(numbered)} layers of the kind {kind}, this one "
                f"{len(own)}; they are different models, or Arch has a part that was not exported "
                "(leave Arch.Head out)."
            )
        for key, number in zip(own, sorted(numbered), strict=True):
            for leaf, array in numbered[number].items():
                placed[f"{key}.{leaf}"] = array.T if kind == "Linear" and array.ndim == 2 else array
    return placed


def _by_kind(arrays: Mapping[str, Array]) -> dict[str, dict[tuple[str, int], dict[str, Any]]]:
    """Sort the arrays by class of layer and number."""
    found: dict[str, dict[tuple[str, int], dict[str, Any]]] = {}
    for name, array in arrays.items():
        match = _NAME.fullmatch(name)
        kind = _KINDS.get(match[1]) if match else None
        leaf = _LEAVES[kind].get(f"{match[3]}_{match[4]}") if match and kind else None
        if match is None or kind is None or leaf is None:
            raise CheckpointError(
                f"the exported model's tensor {cut(name)} is of no kind known here."
            )
        layers = found.setdefault(kind, {})
        layers.setdefault((match[1], int(match[2])), {})[leaf] = array
    return found
