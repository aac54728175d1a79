"""Any model of timm or torchvision by its name there."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any

from torch import nn

from lookalike.errors import ConfigError, nearest

# arguments by which a library would load weights by itself
_OWN_LOADING = {
    "cache_dir",
    "checkpoint_path",
    "pretrained_cfg",
    "pretrained_cfg_overlay",
    "weights",
    "weights_backbone",
}


@cache
def _names_by_library() -> dict[str, list[str]]:
    import timm
    import torchvision

    return {"torchvision": torchvision.models.list_models(), "timm": timm.list_models()}


@cache
def known_names() -> dict[str, str]:
    """Return every model name with the library it comes from; timm wins where both have it."""
    return {name: library for library, names in _names_by_library().items() for name in names}


def library_backbone(name: str, num_classes: int | None = None, **kwargs: Any) -> nn.Module:
    """Build a timm or torchvision classifier without pretrained weights.

    Args:
        name: Such as ``tf_efficientnet_lite0`` or ``regnet_y_400mf``; ``torchvision.resnet18`` and
            ``timm.resnet18`` say which library is meant.
        num_classes: Width of its classifier; the library's own by default.
        **kwargs: Passed on to the library's constructor.

    Raises:
        ConfigError: If neither library has the name, or the constructor refuses an argument.
    """
    if refused := sorted(_OWN_LOADING & set(kwargs)):
        raise ConfigError(
            f"'{refused[0]}' of backbone '{name}' would load weights unchecked; give the file as "
            "Backbone.pretrained."
        )
    library, _, plain = name.rpartition(".")
    library = library or known_names().get(plain, "")
    if plain not in _names_by_library().get(library, ()):
        raise ConfigError(
            f"no backbone is called '{name}'.{nearest(plain, known_names())} Any model of timm or "
            "torchvision works; `lookalike list backbones` prints them."
        )
    if num_classes is not None:
        kwargs["num_classes"] = num_classes
    try:
        return _make(library, plain, kwargs)
    except TypeError as error:
        raise ValueError(f"{library}'s {plain} refuses an argument: {error}") from error


def _make(library: str, name: str, kwargs: dict[str, Any]) -> nn.Module:
    if library == "timm":
        import timm

        return timm.create_model(name, pretrained=False, **kwargs)
    import torchvision

    builder = torchvision.models.get_model_builder(name)
    if "weights_backbone" in inspect.signature(builder).parameters:
        kwargs = {**kwargs, "weights_backbone": None}
    return torchvision.models.get_model(name, weights=None, **kwargs)  # type: ignore[no-any-return]
