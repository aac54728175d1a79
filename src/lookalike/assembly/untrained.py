"""Which parts of a model have the weights they were made with, because no file gave any."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from lookalike.assembly.distillation import BuiltModels
from lookalike.assembly.model import BuiltModel
from lookalike.config import RunConfig
from lookalike.config.schema import DistillationSection

PARTS = ("backbone", "neck", "head")


def mark_untrained(built: BuiltModels, loaded: Iterable[str] = ()) -> None:
    """Remember the tensors of each model that have their initial values.

    Args:
        built: The models, as the weights were loaded into them.
        loaded: Names of tensors of the whole model that came from a file, besides those that the
            models were built with.
    """
    loaded = set(loaded)
    for name, part in built.by_name.items():
        prefix = f"models.{name}." if name else ""
        part.untrained = [
            key
            for key in part.model.state_dict()
            # a counter of batches changes no embedding
            if key not in part.loaded
            and prefix + key not in loaded
            and not key.endswith("num_batches_tracked")
        ]


def parts_of_embeddings(config: RunConfig) -> set[str]:
    """Return the parts that make the embeddings."""
    whole = config.Global.retrieval_feature_from == "features"
    return {"backbone", "neck"} if whole else {"backbone"}


def parts_of_evaluation(config: RunConfig) -> set[str]:
    """Return the parts that an evaluation measures."""
    if config.Global.eval_mode != "classification":
        return parts_of_embeddings(config)
    return _parts_of("logits", config)


def parts_of_export(config: RunConfig) -> set[str]:
    """Return the parts that make the exported output."""
    return _parts_of(config.Arch.infer_output_key or "features", config)


def _parts_of(output: str, config: RunConfig) -> set[str]:
    if output != "logits":
        return {"backbone"} if output == "backbone" else {"backbone", "neck"}
    arch = config.Arch
    if isinstance(arch, DistillationSection):
        arch = arch.members[arch.infer_model_name]
    return {"backbone", "head", *(["neck"] if arch.head_feature_from == "neck" else [])}


def untrained_parts(part: BuiltModel, needed: Collection[str] = PARTS) -> dict[str, str]:
    """Return each part with initial weights, and how many of its tensors have them."""
    found = {}
    state = [key for key in part.model.state_dict() if not key.endswith("num_batches_tracked")]
    for name in PARTS:
        untrained = [key for key in part.untrained if key.startswith(f"{name}.")]
        if name in needed and untrained:
            number = sum(key.startswith(f"{name}.") for key in state)
            shown = ", ".join(untrained[:3]) + (", ..." if len(untrained) > 3 else "")
            some = f": {shown}" if len(untrained) < number else ""
            found[name] = f"{len(untrained)} of {number} tensors{some}"
    return found


def weights_by_part(built: BuiltModels) -> dict[str, str]:
    """Say for each part of each model where its weights come from."""
    found = {}
    for name, part in built.by_name.items():
        untrained = untrained_parts(part)
        for kind in PARTS:
            module = getattr(part.model, kind)
            if module is None or not module.state_dict():
                continue
            fitted = any(init.kind == kind for init in part.data_inits)
            random = "fitted to the training images before the first step" if fitted else "random"
            text = f"{random}, {untrained[kind]}" if kind in untrained else "loaded"
            found[f"{name}.{kind}" if name else kind] = text
    return found


def untrained_text(built: BuiltModel, needed: Collection[str]) -> str:
    """Say which of the needed parts have initial weights; empty if none has."""
    found = untrained_parts(built, needed)
    if not found:
        return ""
    parts = "; ".join(f"{name} ({number})" for name, number in found.items())
    return (
        f"these parts have random weights, no file was loaded for them: {parts}. The results are "
        "not those of a trained model; --model RUN_OR_FOLDER uses one."
    )
