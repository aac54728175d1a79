"""Which trained model a command works with, and which files hold it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lookalike.assembly.dialect import reference_file
from lookalike.assembly.load import Run
from lookalike.errors import CheckpointError, ConfigError, nearest
from lookalike.models.weights import MODEL_FILE, is_address, weight_file
from lookalike.training.intact import (
    BEST,
    LATEST,
    MANIFEST,
    STATE_FILE,
    checkpoint_at,
    verify_model,
)

CONFIG = "config.json"
EXPORT_CARD = "card.json"
_YAML = (".yaml", ".yml")


@dataclass(frozen=True)
class ModelSource:
    """A trained model in files.

    Attributes:
        place: A checkpoint or another folder, or a file.
        kind: A ``checkpoint``; a ``folder`` with a model and its description; a ``file`` of
            tensors; an ``exported`` model.
        chosen: How it was chosen, for people; empty if it was named itself.
        facts: Of a checkpoint, its manifest.
    """

    place: str
    kind: Literal["checkpoint", "folder", "file", "exported"]
    chosen: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        said = [self.chosen] if self.chosen else []
        if self.kind == "checkpoint":
            said.append(f"epoch {self.facts.get('epoch')}, iteration {self.facts.get('iteration')}")
        if self.kind == "exported":
            said.append("exported")
        return f"{self.place} ({'; '.join(said)})" if said else self.place

    @property
    def untrained(self) -> bool:
        """Whether it was saved before the first training step."""
        return self.kind == "checkpoint" and self.facts.get("iteration") == 0


def find_model(given: str | Path, *, first: str = BEST) -> ModelSource:
    """Return the model that a path names.

    Args:
        given: A run folder, a checkpoint, a folder of ``convert`` or ``export``, a weight file, or
            a weight file of PaddleClas without its suffix. Of a run folder ``best_model`` is used,
            or ``latest`` if the run has no best model.
        first: Of a run folder, which checkpoint is used first: ``best_model`` or ``latest``.

    Raises:
        CheckpointError: If there is no model, or its files are damaged. A damaged ``best_model`` is
            never replaced by another checkpoint.
        SetupError: If the system cannot read it.
    """
    path = Path(given)
    if not path.is_dir() or path in (reference_file(path) or path.parent).parents:
        return _file(str(given), path)
    if (path / EXPORT_CARD).is_file():
        return ModelSource(str(given), "exported")
    if (path / MANIFEST).is_file() or (path / STATE_FILE).is_file():
        return _checkpoint(path)
    if (found := _of_run(path, first)) is not None:
        return found
    if (path / CONFIG).is_file():
        return ModelSource(str(given), "folder")
    if (path / MODEL_FILE).is_file():
        return ModelSource(str(given), "file")
    raise CheckpointError(f"{given}: holds no model.{_inside(path)}")


def _checkpoint(folder: Path, chosen: str = "") -> ModelSource:
    return ModelSource(str(folder), "checkpoint", chosen, verify_model(folder))


def _of_run(folder: Path, first: str) -> ModelSource | None:
    """Return the model of a run folder, ours or PaddleClas's."""
    for name in (first, *({BEST, LATEST} - {first})):
        if name == first:
            chosen = f"{'the best model' if name == BEST else 'the latest checkpoint'} of {folder}"
        else:
            chosen = f"the only one of {folder}, which has no {first}"
        place = folder / name
        found = checkpoint_at(place)
        if found is not None or (place / MODEL_FILE).is_file() or (place / STATE_FILE).is_file():
            return _checkpoint(found or place, chosen)
        if (theirs := reference_file(place)) is not None:
            return ModelSource(str(theirs), "file", chosen)
    return None


def _file(given: str, path: Path) -> ModelSource:
    """Return a model in a file, or say that there is none."""
    if path.suffix in _YAML:
        raise CheckpointError(f"{given}: not a model but a configuration; give it with -c.")
    if path.suffix in (".onnx", ".pt2"):
        raise CheckpointError(f"{given}: an exported file; give its folder, {path.parent}.")
    if (replaced := checkpoint_at(path)) is not None:
        return _checkpoint(replaced)
    if path.exists() or reference_file(path) is not None or weight_file(path).is_file():
        return ModelSource(given, "file")
    around = [p.name for p in path.parent.glob("*") if not p.name.startswith(".")]
    near = nearest(path.name, around)
    raise CheckpointError(f"{given}: no such weight file or folder.{near}{_inside(path.parent)}")


def _inside(folder: Path) -> str:
    """Name the models in a folder and in its run folders."""
    if not folder.is_dir():
        return f" There is no folder {folder} either."
    found = sorted({*folder.glob(f"*/{MANIFEST}"), *folder.glob(f"*/*/{MANIFEST}")})
    names = [str(path.parent) for path in found if not path.parent.name.startswith(".")]
    shown = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
    return f" Models in {folder}: {shown or 'none'}."


def model_of(run: Run, *, training: bool = False) -> ModelSource | None:
    """Return the whole model that a configuration names; of an evaluation, also the run's own.

    To train, that is ``Global.pretrained_model``. To evaluate, embed or export, it is the first of
    ``Global.checkpoints``, ``Global.pretrained_model``, and the best model in
    ``Global.output_dir``; ``Global.pretrained_model: False`` asks for none of them.

    Raises:
        CheckpointError: If it is missing or damaged.
    """
    settings = run.config.Global
    named = settings.pretrained_model
    if not training and settings.checkpoints is not None:
        return find_model(settings.checkpoints, first=LATEST)
    if isinstance(named, str):
        return ModelSource(named, "file") if is_address(named) else find_model(named)
    by_hand = ("Global", "pretrained_model") in run.document.overrides
    if training or named is False or (named is True and by_hand):
        return None
    folder = Path(settings.output_dir)
    return _of_run(folder, BEST) if folder.is_dir() else None


def refuse_two_models(run: Run) -> None:
    """Refuse a command line that names the model twice.

    Raises:
        ConfigError: If ``-o`` gives a model besides ``--model``.
    """
    for key in ("pretrained_model", "checkpoints"):
        value = getattr(run.config.Global, key)
        if ("Global", key) in run.document.overrides and value not in (None, True):
            raise ConfigError(
                [
                    run.document.problem(
                        ("Global", key), "names a model, and --model another; give one of them."
                    )
                ]
            )


def passed_over(run: Run, source: ModelSource) -> list[str]:
    """Warn if a YAML names weights to start the training from, and the run has a trained model."""
    settings = run.config.Global
    if not isinstance(settings.pretrained_model, str) or settings.checkpoints is not None:
        return []
    if ("Global", "pretrained_model") in run.document.overrides:
        return []
    best, place = checkpoint_at(Path(settings.output_dir) / BEST), Path(source.place)
    if best is None or best.absolute() in (place.absolute(), *place.absolute().parents):
        return []
    return [
        f"{run.document.file} names this model as Global.pretrained_model, so {best}, which was "
        f"trained since, is not used. To use it: --model {settings.output_dir}"
    ]
