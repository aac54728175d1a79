"""Where pretrained weights of a backbone come from, and under which licence."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

from torch import Tensor, nn

from lookalike.assembly.catalog import CATALOG
from lookalike.assembly.weight_files import read_backbone
from lookalike.models.hub import hub_offline_if_unreachable
from lookalike.models.weight_packages import PACKAGES
from lookalike.models.weights import find_pretrained, local_copy, no_weights

# our own backbone names and the library entry that has their weights
_RESNET50 = ("torchvision", "resnet50", "IMAGENET1K_V1")
_LIBRARY_WEIGHTS = {
    "AlexNet": ("torchvision", "alexnet", "IMAGENET1K_V1"),
    "PPLCNetV2_base": ("timm", "lcnetv2_base", ""),
    "ResNet50": _RESNET50,
    "ResNet50_adaptive_max_pool2d": _RESNET50,
    "ResNet50_last_stage_stride1": _RESNET50,
    "ResNet50_vd": ("timm", "resnet50d", ""),
    "ResNet101": ("torchvision", "resnet101", "IMAGENET1K_V1"),
    "ResNet101_vd": ("timm", "resnet101d", ""),
    "ResNet152": ("torchvision", "resnet152", "IMAGENET1K_V1"),
    "ResNet152_vd": ("timm", "resnet152d", ""),
}
NOT_STATED = "not stated"


@dataclass(frozen=True)
class WeightSource:
    """The place ``pretrained: True`` takes a backbone's weights from.

    Attributes:
        backbone: Its name.
        source: A file, a package, or a library's download; empty where there is none.
        licence: Of the weights, as their publisher states it.
        here: On this machine already.
    """

    backbone: str
    source: str
    licence: str
    here: bool


def weight_sources() -> list[WeightSource]:
    """Return the source of every backbone of our own names, and of every weight package."""
    return [weight_source(name) for name in sorted({*CATALOG["backbone"], *PACKAGES})]


def weight_source(name: str) -> WeightSource:
    """Return where ``pretrained: True`` would take the weights of a backbone from."""
    package = PACKAGES.get(name)
    found = find_pretrained(name)
    if found is not None and (package is None or found != package.path()):
        return WeightSource(name, str(found), NOT_STATED, here=True)
    if package is not None:
        return WeightSource(name, package.title, package.licence, here=found is not None)
    library, entry, version = _entry(name)
    if library == "timm":
        import timm

        config = timm.get_pretrained_cfg(entry)
        if config is not None and config.has_weights:
            licence = getattr(config, "license", None) or NOT_STATED
            return WeightSource(name, f"timm {entry}", licence, here=False)
    if library == "torchvision":
        return WeightSource(name, f"torchvision {entry} {version}", NOT_STATED, here=False)
    return WeightSource(name, "", "", here=False)


def download(name: str) -> tuple[str, dict[str, Tensor]]:
    """Let timm or torchvision fetch its own weights, through its own cache and offline switches.

    Raises:
        SetupError: If neither has any, or the download fails; names the three ways.
    """
    library, entry, version = _entry(name)
    try:
        with warnings.catch_warnings(), hub_offline_if_unreachable():
            warnings.simplefilter("ignore")
            if library == "torchvision":
                import torchvision

                weights = torchvision.models.get_model_weights(entry)[version]
                return f"torchvision {weights}", dict(weights.get_state_dict(progress=True))
            if library == "timm":
                import timm

                return f"timm {entry}", timm.create_model(entry, pretrained=True).state_dict()
    except Exception as error:  # noqa: BLE001 - network, cache and file errors of two libraries
        first = (str(error) or type(error).__name__).splitlines()[0]
        reason = f"download failed: {first[:160]}"
        raise no_weights(name, reason, downloadable=True) from error
    raise no_weights(name, "neither timm nor torchvision has any", downloadable=False)


# file names of the reference's that are another library's weights, converted
_CONVERTED = {"resnet50-19c8e357": "ResNet50"}


def fetched(address: str, name: str, module: nn.Module) -> tuple[str, dict[str, Tensor]]:
    """Return the weights a YAML gives the address of; nothing is downloaded from there.

    A file of that name in the folder of ``LOOKALIKE_WEIGHTS`` is taken; of what the reference has
    converted from torchvision, torchvision's own.

    Raises:
        SetupError: If neither is there; names the three ways.
    """
    if (copy := local_copy(address)) is not None:
        return str(copy), read_backbone(str(copy), name, module)
    for mark, entry in _CONVERTED.items():
        if mark in address:
            return download(entry)
    raise no_weights(
        name, "nothing is downloaded from an address in a YAML", address=address, downloadable=False
    )


def _entry(name: str) -> tuple[str, str, str]:
    """Return library, entry and version of a backbone's weights; an empty library is none."""
    from lookalike.models.backbones.library import known_names

    if name in _LIBRARY_WEIGHTS:
        return _LIBRARY_WEIGHTS[name]
    return ("" if name in CATALOG["backbone"] else known_names().get(name, "")), name, "DEFAULT"
