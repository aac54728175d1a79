"""What is compared with the reference, and the numbers it is filled with. Needs numpy only."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Spec = Mapping[str, Any]

# what a vector keeps of each output's row
KEPT = 256
# ranges of what has one number per channel, by the last word of its key
_RANGES = {
    "weight": (0.5, 1.5),
    "scale": (0.5, 1.5),
    "_weight": (0.1, 0.5),
    "_variance": (0.5, 1.5),
    "gate": (0.2, 0.8),
    "batch_mean": (15.0, 25.0),
    "batch_std": (5.0, 10.0),
}
_SMALL_RANGE = (-0.1, 0.1)
_PATCH = 16


@dataclass(frozen=True)
class Component:
    """One part of a model as the reference's YAML writes it.

    Attributes:
        id: Unique; the file's name.
        kind: ``backbone``, ``neck``, ``head`` or ``model``.
        spec: Name and arguments in the reference's words.
        shape: Of the input, with the batch.
        stop: The layer a second run is cut at, in the reference's words.
        gain: Variance of a layer's weights times its inputs. 2 keeps the size of what passes a
            ReLU; 1 is for residual nets, whose blocks add up.
        modes: What is run.
        damped: Pattern of keys made a fifth as large: the last scale of residual blocks, as in
            trained nets. Else rounding errors double with every few blocks in training.
        heavy: Too heavy for the test suite; only the script compares it.
    """

    id: str
    kind: str
    spec: Spec
    shape: tuple[int, ...]
    stop: str = ""
    gain: float = 2.0
    modes: tuple[str, ...] = ("eval", "train")
    damped: str = ""
    heavy: bool = False

    def fill(self, key: str, shape: tuple[int, ...]) -> Array:
        """Return the values of a parameter or buffer."""
        values = fill(key, shape, self.gain)
        return values * np.float32(0.2) if re.fullmatch(self.damped, key) else values

    @property
    def name(self) -> str:
        """The backbone the keys belong to; empty for necks and heads."""
        spec = self.spec["Backbone"] if self.kind == "model" else self.spec
        return str(spec["name"]) if self.kind in ("backbone", "model") else ""


_SMALL, _MEDIUM = (4, 3, 64, 64), (4, 3, 128, 128)
_FULL, _FACES = (2, 3, 224, 224), (4, 3, 112, 112)


def _backbone(
    name: str,
    stop: str = "flatten",
    shape: tuple[int, ...] = _SMALL,
    *,
    gain: float = 2.0,
    damped: str = "",
    id: str = "",
    heavy: bool = False,
    **args: Any,
) -> Component:
    spec = {"name": name, **args}
    return Component(id or name, "backbone", spec, shape, stop, gain, damped=damped, heavy=heavy)


_CLIP = {"return_embed": True, "return_mean_embed": True}
_STRIDE1 = "ResNet50_last_stage_stride1"
_DEEP = {"damped": r"blocks\.\d+\.conv2\.bn\.(batch_norm\.weight|instance_norm\.scale|weight)"}
_SHALLOW = {"damped": r"blocks\.\d+\.conv1\.bn\.weight"}
_BACKBONES = (
    # the reference cannot cut AdaFace and AlexNet
    _backbone("AdaFace_IR_18", "", _FACES, gain=1.0, input_size=[112, 112]),
    _backbone("AlexNet", "", _FULL, class_num=48),
    _backbone("CLIP_vit_base_patch16_224", "", _FULL, gain=1.0, **_CLIP),
    _backbone("CLIP_vit_large_patch14_224", "", _FULL, gain=1.0, heavy=True, **_CLIP),
    _backbone("MobileNetV1", "flatten", _MEDIUM),
    _backbone(
        "MobileNetV3_large_x1_0", damped=r"blocks\.\d+\.linear_conv\.bn\.weight", class_num=512
    ),
    _backbone("PPLCNetV2_base", "flatten", _MEDIUM),
    _backbone("PPLCNetV2_base_ShiTu", "flatten", _MEDIUM, class_expand=512),
    *(
        _backbone(f"PPLCNet_x{size}", gain=2.5)
        for size in ("0_25", "0_35", "0_5", "0_75", "1_0", "1_5", "2_0", "2_5")
    ),
    _backbone("PPLCNet_x2_5_Tanh", gain=2.5, class_num=512),
    *(_backbone(f"ResNet{depth}{kind}", **_SHALLOW) for depth in (18, 34) for kind in ("", "_vd")),
    *(
        _backbone(f"ResNet{depth}{kind}", **_DEEP)
        for depth in (50, 101, 152)
        for kind in ("", "_vd")
    ),
    _backbone("ResNet50_adaptive_max_pool2d", **_DEEP),
    _backbone(_STRIDE1, "avg_pool", **_DEEP),
    _backbone(_STRIDE1, "avg_pool", id=f"{_STRIDE1}.stem_act_null", stem_act=None, **_DEEP),
    _backbone("ResNet50_metabin", **_DEEP),
    _backbone("VGG19", "flatten", _FULL, class_num=48),
    _backbone("VGG19Sigmoid", "flatten", _FULL, class_num=48),
)


def _gear(kind: str, name: str, shape: tuple[int, ...], *, id: str = "", **args: Any) -> Component:
    # the reference's AdaMargin returns its input in evaluation
    modes = ("train",) if name == "AdaMargin" else ("eval", "train")
    return Component(id or name, kind, {"name": name, **args}, shape, modes=modes)


_SIZES = {"embedding_size": 64, "class_num": 40}
_GEARS = (
    _gear("neck", "BNNeck", (8, 512), num_features=512),
    _gear("neck", "FC", (8, 512), id="FC.neck", embedding_size=512, class_num=64),
    _gear("neck", "FRFNNeck", (8, 64), num_features=64, low_dim=32),
    _gear("neck", "MetaBNNeck", (8, 512), num_features=512),
    _gear("neck", "Tanh", (8, 48)),
    _gear("neck", "VehicleNeck", (8, 512, 1, 1), in_channels=512, out_channels=64),
    _gear("head", "AdaMargin", (8, 512), embedding_size=512, class_num=40, t_alpha=0.01),
    _gear("head", "ArcMargin", (8, 64), **_SIZES, margin=0.15, scale=32),
    _gear("head", "CircleMargin", (8, 64), **_SIZES, margin=0.35, scale=64),
    _gear("head", "CosMargin", (8, 64), **_SIZES),
    _gear("head", "FC", (8, 64), id="FC.head", **_SIZES),
)
_PP_SHITU = {
    "Backbone": {"name": "PPLCNetV2_base_ShiTu", "class_expand": 512},
    "BackboneStopLayer": {"name": "flatten"},
    "Neck": {"name": "BNNeck", "num_features": 512},
    "Head": {"name": "FC", "embedding_size": 512, "class_num": 40},
}
COMPONENTS: dict[str, Component] = {
    component.id: component
    for component in (
        *_BACKBONES,
        *_GEARS,
        Component("RecModel", "model", _PP_SHITU, (48, 3, 64, 64)),
    )
}


def fill(key: str, shape: tuple[int, ...], gain: float = 2.0) -> Array:
    """Return the values of one parameter or buffer, which follow from its key and shape.

    Args:
        key: As the reference calls it.
        shape: As the reference stores it: linear weights are ``[in, out]``.
        gain: Variance of the weights of layers times the number of inputs.

    Example:
        >>> fill("fc.weight", (4, 2)).tolist() == fill("fc.weight", (4, 2)).tolist()
        True
    """
    if len(shape) in (2, 4):
        bound = math.sqrt(3.0 * gain / (shape[0] if len(shape) == 2 else math.prod(shape[1:])))
        return _uniform(key, shape, -bound, bound)
    known = _RANGES.get(key.rpartition(".")[2], _SMALL_RANGE)
    return _uniform(key, shape, *(known if len(shape) == 1 else _SMALL_RANGE))


def _uniform(word: str, shape: tuple[int, ...], low: float, high: float) -> Array:
    size = math.prod(shape)
    # the raw stream is the same in every release of numpy; a word of it holds two numbers
    words = np.random.PCG64(zlib.crc32(word.encode())).random_raw((size + 1) // 2)
    bits = words.view(np.uint32)[:size] >> np.uint32(8)
    values = bits.astype(np.float32) * np.float32((high - low) / 2**24) + np.float32(low)
    return values.reshape(shape)


def inputs_of(component: Component) -> Array:
    """Return features for necks and heads, or images: noise on patches on a colour of their own.

    Images of noise alone would all have the same features, up to a little.
    """
    shape = component.shape
    noise = _uniform(f"inputs of a {component.kind}", shape, -1.0, 1.0)
    if component.kind in ("neck", "head"):
        return noise * np.float32(2.0)
    images, channels, *sides = shape
    patches = (images, channels, *(side // _PATCH for side in sides))
    coarse = _uniform("patches", patches, -1.5, 1.5).repeat(_PATCH, axis=2).repeat(_PATCH, axis=3)
    return noise + coarse + _uniform("colours", (images, channels, 1, 1), -1.5, 1.5)


def labels_of(component: Component) -> NDArray[np.int64]:
    """Return a label for each input, as the reference has them: ``[B, 1]``."""
    return np.arange(component.shape[0], dtype=np.int64)[:, None] * 3 % 40


def kept(array: Array, limit: int | None) -> Array:
    """Return evenly spaced entries of each row, at most so many; all of them without a limit."""
    rows = array.reshape(len(array), -1) if array.ndim > 1 else array.reshape(1, -1)
    if limit is None or rows.shape[1] <= limit:
        return rows
    return rows[:, np.linspace(0, rows.shape[1] - 1, limit).round().astype(int)]
