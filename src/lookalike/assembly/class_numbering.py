"""One numbering of classes and cameras for all splits that are compared with each other."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lookalike.data.classes import share_cameras, share_classes
from lookalike.data.datasets import MixedDataset
from lookalike.durable import synced
from lookalike.errors import CheckpointError, DataError

CLASSES = "classes.json"
_LARGEST = 1_000_000_000
_SHOWN = 3


def number_together(datasets: Sequence[Any], known: Sequence[str] | None = None) -> list[Any]:
    """Return data sets whose labels and cameras are numbered once, by name.

    Args:
        datasets: Of the splits that are compared: query and gallery, or training and evaluation
            of a classifier. Those that hold no lists are returned as they are.
        known: Names of the classes ``0 .. C - 1`` of a trained head.
    """
    parts = [list(getattr(dataset, "datasets", [dataset])) for dataset in datasets]
    listed = [part for own in parts for part in own if hasattr(part, "with_images")]
    images = share_cameras(share_classes([part.images for part in listed], known=known))
    changed = {
        id(part): part if new is part.images else part.with_images(new)
        for part, new in zip(listed, images, strict=True)
    }
    return [
        MixedDataset([changed.get(id(part), part) for part in own])
        if hasattr(dataset, "datasets")
        else changed.get(id(dataset), dataset)
        for dataset, own in zip(datasets, parts, strict=True)
    ]


def class_names_of(dataset: Any) -> Sequence[str] | None:
    """Return the names of a head's classes ``0 .. C - 1``: those of the training images.

    Labels that are numbers of a list are their own names, so that the classes between them count.
    Labels that the transforms make have no names.
    """
    if getattr(dataset, "label_key", None) is not None:
        return None
    names = getattr(dataset, "class_names", None)
    return names if names is not None else [str(n) for n in range(max(dataset.labels) + 1)]


def check_known(dataset: Any, num_known: int, split: str) -> None:
    """Refuse images of a classification whose class the model was not trained on.

    Raises:
        DataError: Names the first such image and its class.
    """
    labels = np.asarray(dataset.labels)
    unknown = np.unique(labels[labels >= num_known])
    if not len(unknown):
        return
    first = int(np.argmax(labels >= num_known))
    names = getattr(dataset, "class_names", None)
    shown = [str(label) if names is None else repr(names[label]) for label in unknown.tolist()]
    more = ", ..." if len(shown) > _SHOWN else ""
    raise DataError(
        f"{dataset.where(first)}: {split} has {len(shown):,} classes that the model was not "
        f"trained on ({', '.join(shown[:_SHOWN])}{more}), so eval_mode 'classification' cannot "
        f"score them; the model knows {num_known:,} classes. Check that both splits write their "
        "labels alike."
    )


def class_document(names: Sequence[str] | None) -> dict[str, str]:
    """Return the file of class names that stands next to a model, by its name; empty without."""
    if names is None:
        return {}
    content = {"format": 1, "names": list(names)}
    return {CLASSES: json.dumps(content, ensure_ascii=False, indent=0) + "\n"}


def write_class_names(folder: Path, source: str | None) -> None:
    """Write the class names that stand next to a model's weights into another folder."""
    names = None if source is None else class_names_of_weights(source)
    for name, text in class_document(names).items():
        with synced(folder / name) as file:
            file.write(text.encode())


def class_names_of_weights(source: str) -> list[str] | None:
    """Return the class names next to a weight file, or in the folder of a model."""
    path = Path(source)
    if path.is_dir():
        return read_class_names(path)
    return read_class_names(path.parent) if path.is_file() else None


def read_class_names(folder: Path) -> list[str] | None:
    """Return the names of the classes ``0 .. C - 1`` that a model was trained on.

    Args:
        folder: A checkpoint, a published or an exported model.

    Returns:
        None if the folder has none: labels were numbers, or an older version wrote it.

    Raises:
        CheckpointError: If the file is damaged.
    """
    path = folder / CLASSES
    try:
        if path.stat().st_size > _LARGEST:
            raise CheckpointError(f"{path}: too large for class names.")
        content: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        names = content["names"]
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            return names
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        return None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}).") from error
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise CheckpointError(f"{path}: damaged; a list of class names is expected.")
