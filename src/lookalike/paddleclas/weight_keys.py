"""Weights of the reference under our keys and in our layout. Arrays in, arrays out; no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lookalike.errors import CheckpointError, cut
from lookalike.paddleclas.backbone_paths import family, module_path

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.generic]

_LEAVES = {
    "_mean": "running_mean",
    "_variance": "running_var",
    "_weight": "weight",
    "scale": "weight",
}
# by family: keys whose values follow from others or are constant
_DERIVED = {
    # the merged branches, recomputed by fuse_branches
    "PPLCNetV2": r"stage(s\.[23]|[34])\.\d+\.dw_conv\.(weight|bias)",
    # older releases store ones and zeros for a batch norm without scale and offset
    "AdaFace_IR": r"output_layer\.4\.(weight|bias)",
}
# two-dimensional, yet stored as we do
_AS_STORED = ("centers",)


@dataclass(frozen=True)
class TranslatedWeights:
    """Weights in our names and layout.

    Attributes:
        arrays: Our key to the array; linear layers and margin heads are transposed views.
        derived: Keys of the reference that need no place here.
        theirs: Our key to the reference's.
    """

    arrays: dict[str, Any]
    derived: list[str]
    theirs: dict[str, str]


def translate_weights(state: Mapping[str, Array], backbone: str) -> TranslatedWeights:
    """Translate a state of the reference, of a whole recognition model or of a backbone alone.

    Args:
        state: Array by key. A whole model's keys begin with ``backbone.``, ``neck.`` and
            ``head.``; any other key beside these belongs to a loss and keeps its name.
        backbone: The reference's name of the backbone.

    Raises:
        CheckpointError: If two keys mean the same tensor.

    Example:
        >>> import numpy as np
        >>> state = {"backbone.fc.weight": np.zeros((1280, 10)), "head.weight": np.zeros((8, 5))}
        >>> found = translate_weights(state, "PPLCNet_x1_0").arrays
        >>> {key: array.shape for key, array in found.items()}
        {'backbone.classifier.weight': (10, 1280), 'head.weight': (5, 8)}
    """
    whole = any(key.startswith("backbone.") for key in state)
    arrays: dict[str, Any] = {}
    derived: list[str] = []
    theirs: dict[str, str] = {}
    for key, array in state.items():
        own = key.removeprefix("backbone.")
        inside = not whole or own != key
        if inside and re.fullmatch(_DERIVED.get(family(backbone), r"(?!)"), own):
            derived.append(key)
            continue
        ours = backbone_key(own, backbone) if inside else gear_key(key)
        ours = f"backbone.{ours}" if own != key else ours
        if ours in arrays:
            raise CheckpointError(
                f"{cut(theirs[ours])} and {cut(key)} are two tensors for {cut(ours)}."
            )
        arrays[ours], theirs[ours] = to_our_layout(key, array), key
    return TranslatedWeights(arrays, derived, theirs)


def backbone_key(key: str, backbone: str) -> str:
    """Translate one key of a backbone.

    Example:
        >>> backbone_key("stem.0.bn._mean", "ResNet50")
        'bn1.running_mean'
    """
    path, _, leaf = key.rpartition(".")
    if not path:
        # parameters of the model itself; the projection of CLIP is a layer here
        return f"{module_path(backbone, key)}.weight" if key == "proj" else key
    if leaf == "gate":
        return module_path(backbone, key)
    if not family(backbone):
        return f"{path}.{_LEAVES.get(leaf, leaf)}"
    return f"{module_path(backbone, path)}.{_LEAVES.get(leaf, leaf)}"


def gear_key(key: str) -> str:
    """Translate a key of a neck, a head or a loss: only the statistics are called differently.

    Example:
        >>> gear_key("neck.feat_bn._variance"), gear_key("head.fc.weight")
        ('neck.feat_bn.running_var', 'head.fc.weight')
    """
    path, dot, leaf = key.rpartition(".")
    return f"{path}{dot}{_LEAVES.get(leaf, leaf)}"


def to_our_layout(key: str, array: Array) -> Array:
    """Turn ``[in, out]`` of linear layers and ``[D, C]`` of margin heads around.

    Example:
        >>> import numpy as np
        >>> weight, centers = np.zeros((512, 10)), np.zeros((10, 512))
        >>> to_our_layout("fc.weight", weight).shape, to_our_layout("centers", centers).shape
        ((10, 512), (10, 512))
    """
    kept = key.rpartition(".")[2] in _AS_STORED
    return array if array.ndim != 2 or kept else array.T
