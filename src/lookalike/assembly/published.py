"""A model as a folder that the Hub understands: ``config.json``, ``model.safetensors``, a card."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

from lookalike.assembly.class_numbering import read_class_names
from lookalike.assembly.data_parts import listed_transforms
from lookalike.assembly.dialect import drop_irrelevant
from lookalike.assembly.distillation import BuiltModels
from lookalike.assembly.facts import versions
from lookalike.assembly.load import Run
from lookalike.assembly.model import build_model
from lookalike.assembly.model_source import CONFIG, find_model
from lookalike.assembly.start_weights import slim
from lookalike.config.global_section import GlobalSection
from lookalike.config.schema import ArchSection, DistillationSection, SlimSection
from lookalike.errors import CheckpointError, ConfigError, ModelWarning, masked
from lookalike.models.embedding_model import EmbeddingModel as PlainEmbeddingModel
from lookalike.models.loading import load_state
from lookalike.models.weights import MODEL_FILE, read_weights
from lookalike.training.intact import BEST

CARD, WEIGHTS = "README.md", MODEL_FILE
_LARGEST_CONFIG = 200_000


def load_published(given: Path, allow_import: Sequence[str] = ()) -> PlainEmbeddingModel:
    """Build a model from a folder's ``config.json`` and load its weights, completely.

    Args:
        given: The folder, or a run folder; see :func:`find_model`.
        allow_import: Modules that its components may be imported from.

    Raises:
        CheckpointError: If a file is missing or damaged, or the two do not fit.
        ConfigError: If the configuration names what does not exist here.

    Warns:
        ModelWarning: If a run folder has no best model, or the model was saved before the first
            training step.
    """
    source = find_model(given)
    folder = Path(source.place)
    if source.untrained or (source.chosen and folder.name != BEST):
        why = ", before the first training step" if source.untrained else ""
        warnings.warn(f"The model of {given} is {source}{why}.", ModelWarning, stacklevel=3)
    config = read_config(folder)
    try:
        arch = described_arch(config)
        section = SlimSection.model_validate(config.get("slim") or {})
        shape = GlobalSection.model_validate({"image_shape": config["image_shape"]}).image_shape
    except ValueError as error:
        raise CheckpointError(f"{folder / CONFIG}: {error}") from error
    try:
        built = build_model(arch, image_shape=shape, allow_import=allow_import, need_weights=False)
    except ConfigError as error:
        where = str(folder / CONFIG)
        raise ConfigError(
            [replace(one, where=one.where or where) for one in error.problems]
        ) from error
    slim(section, BuiltModels(built.model, {"": built}), shape)
    prefix = str(config.get("prefix") or "")
    state = {
        key.removeprefix(prefix): tensor
        for key, tensor in read_weights(folder / WEIGHTS).items()
        if key.startswith(prefix)
    }
    load_state(built.model, state, source=str(folder / WEIGHTS))
    built.model.published = config
    built.model.class_names = read_class_names(folder)
    return built.model.eval()


def read_config(folder: Path) -> dict[str, Any]:
    """Read and check ``config.json``.

    Raises:
        CheckpointError: If it is missing, damaged, or not of this program.
    """
    path = folder / CONFIG
    try:
        if path.stat().st_size > _LARGEST_CONFIG:
            raise CheckpointError(f"{path}: larger than a configuration is.")
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}).") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not JSON ({error}).") from error
    needed = {"arch": dict, "image_shape": list}
    if not isinstance(config, dict) or not all(
        isinstance(config.get(key), kind) for key, kind in needed.items()
    ):
        raise CheckpointError(f"{path}: not a model of Lookalike: 'arch' and 'image_shape' needed.")
    return config


def described_arch(config: Mapping[str, Any]) -> ArchSection:
    """Read the ``arch`` of a ``config.json``, which has the words of its YAML.

    Raises:
        ValueError: If it describes no model.
    """
    try:
        cleaned = drop_irrelevant({"Arch": config["arch"]})[0]
    except RecursionError as error:
        raise ValueError("'arch' is nested too deeply.") from error
    return ArchSection.model_validate(cleaned["Arch"])


def model_config(run: Run, built: BuiltModels) -> dict[str, Any]:
    """Return what rebuilds the model, and how its embeddings are made and compared."""
    config, section = run.config, run.config.DataLoader.Eval
    name, arch = _chosen(run)
    return {
        "library_name": "lookalike",
        "format": 1,
        "versions": versions(),
        "arch": arch,
        "prefix": f"models.{name}." if name else "",
        "slim": run.document.data.get("Slim") or {},
        "image_shape": list(config.Global.image_shape),
        "embedding_size": built.by_name[name].shapes["features"][1],
        "preprocessing": [] if section is None else listed_transforms(section.queries.dataset),
        "compare": {
            "features": config.Global.retrieval_feature_from,
            "normalize": config.Global.feature_normalize,
            "binarize": config.Global.feature_binarize,
        },
    }


def _chosen(run: Run) -> tuple[str, dict[str, Any]]:
    """Return the name and the section, as written, of the model that makes the embeddings."""
    name, raw = "", deepcopy(run.document.data["Arch"])
    if isinstance(run.config.Arch, DistillationSection):
        name = run.config.Arch.infer_model_name
        raw = next(one[name] for one in raw["models"] if name in one)
    raw["Backbone"].pop("pretrained", None)
    return name, {key: value for key, value in raw.items() if key in ArchSection.model_fields}


def model_card(
    config: Mapping[str, Any],
    *,
    metrics: Mapping[str, float],
    intervals: Mapping[str, Sequence[float]],
    facts: Mapping[str, Any],
    weights: str,
) -> str:
    """Return the card: what the model is, how it was measured, on which data, under which licence.

    Args:
        config: Of :func:`model_config`.
        metrics: By name; may be empty.
        intervals: 95 % interval by metric.
        facts: Of the run: seed, versions, data hashes.
        weights: Where the first weights came from, with their licence.
    """
    arch, shape = config["arch"], config["image_shape"]
    parts = {key: (arch.get(key) or {}).get("name") for key in ("Backbone", "Neck", "Head")}
    lines = [
        "---",
        "library_name: lookalike",
        "pipeline_tag: image-feature-extraction",
        "tags: [image-retrieval, metric-learning, embedding]",
        "license: other",
        "license_name: not-stated",
        "---",
        f"# {parts['Backbone']} embedding, {config['embedding_size']} numbers per image",
        "",
        "```python",
        "from lookalike import EmbeddingModel",
        "",
        'model = EmbeddingModel.from_pretrained("this/folder")',
        'embedding = model(images)["features"]  # images: '
        f"[B, {', '.join(map(str, shape))}] float32",
        "```",
        "",
        "| part | component |",
        "|---|---|",
        *(f"| {part} | {name or 'none'} |" for part, name in parts.items()),
        "",
        "## Measured",
        "",
        *_metric_lines(metrics, intervals),
        "",
        "## Images in",
        "",
        "```json",
        json.dumps(config["preprocessing"], indent=1),
        "```",
        "",
        f"Compared by {_comparison(config['compare'])}.",
        "",
        "## Data",
        "",
        *_data_lines(facts.get("data") or {}),
        "",
        "## Licence",
        "",
        f"- first weights: {weights}",
        "- training data: not stated; write it here",
        "- this model: not stated; write it here and in `license` above",
        "",
        f"Seed {facts.get('seed')}, lookalike {config['versions']['lookalike']}, "
        f"torch {config['versions']['torch']}, commit {facts.get('git_commit') or 'unknown'}.",
    ]
    return masked("\n".join(lines) + "\n")


def _metric_lines(
    metrics: Mapping[str, float], intervals: Mapping[str, Sequence[float]]
) -> list[str]:
    if not metrics:
        return ["Nothing yet."]
    rows = []
    for name, value in metrics.items():
        low, high = intervals.get(name, (None, None))
        spread = "" if low is None else f"{low:.4f} to {high:.4f}"
        rows.append(f"| {name} | {value:.4f} | {spread} |")
    return ["| metric | value | 95 % interval |", "|---|---|---|", *rows]


def _data_lines(data: Mapping[str, Mapping[str, Any]]) -> list[str]:
    rows = [f"| {s} | {about['images']} | `{about['list_sha256']}` |" for s, about in data.items()]
    return ["| split | images | SHA-256 of its list |", "|---|---|---|", *rows]


def _comparison(compare: Mapping[str, Any]) -> str:
    words = "cosine" if compare["normalize"] else "inner product"
    return words + (f" of codes ({compare['binarize']})" if compare["binarize"] else "")
