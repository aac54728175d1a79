"""Whether what the backbone returns for an image stays the same through a run."""

from __future__ import annotations

from typing import Any

from lookalike.assembly.beside import beside_of
from lookalike.assembly.consistency import mixes
from lookalike.assembly.load import Run
from lookalike.config.schema import ArchSection
from lookalike.data.chance import random_transforms
from lookalike.errors import ConfigError


def check_feature_cache(run: Run, dataset: Any) -> None:
    """Refuse to cache features that would not stay the same.

    Args:
        run: The configuration.
        dataset: The training images.

    Raises:
        ConfigError: If the backbone learns, or the images are not the same each time.
    """
    config, arch = run.config, run.config.Arch
    reason = ""
    if not isinstance(arch, ArchSection):
        reason = f"{arch.name} has several backbones; it is for a RecModel."
    elif not beside_of("backbone", arch.Backbone.args)[0].get("freeze", False):
        reason = "the backbone learns; set Arch.Backbone.freeze: True."
    elif config.Global.train_mode is not None:
        reason = f"train_mode {config.Global.train_mode} trains the backbone."
    elif config.Slim.prune is not None or config.Slim.quant is not None:
        reason = "Slim changes the backbone."
    elif config.AMP.use_amp:
        reason = "features are kept in float32; set AMP.use_amp: False."
    elif mixes(run):
        reason = "images are mixed within each batch; take batch_transform_ops out."
    else:
        reason = reason_against(dataset)
    if reason:
        text = f"features cannot be computed once: {reason}"
        raise ConfigError([run.document.problem(("Global", "feature_cache"), text)])


def reason_against(dataset: Any) -> str:
    """Say why the images of a data set are not the same each time; nothing if they are."""
    if not hasattr(dataset, "content"):
        return f"{type(dataset).__name__} does not tell what its images are made from."
    if getattr(dataset, "label_key", None) is not None:
        return "labels come from the transforms (label_key)."
    drawn = [name for one in _each(dataset) for name in random_transforms(one.transforms)]
    if drawn:
        return (
            f"{', '.join(dict.fromkeys(drawn))} draws random numbers, so an image is another one "
            "each time; take it out of transform_ops, or train without feature_cache."
        )
    return ""


def _each(dataset: Any) -> list[Any]:
    return list(getattr(dataset, "datasets", [dataset]))
