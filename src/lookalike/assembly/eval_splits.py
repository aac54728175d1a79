"""The splits of ``DataLoader.Eval``: read, numbered together, and checked for answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lookalike import processes
from lookalike.assembly.class_numbering import check_known, number_together
from lookalike.assembly.data_parts import make_dataset, make_sampler
from lookalike.assembly.data_paths import check_paths
from lookalike.assembly.image_shapes import check_image_shape
from lookalike.assembly.load import Run
from lookalike.config import ComponentSpec
from lookalike.config.schema import EvalSection, SplitSection
from lookalike.data import ImageDataset, make_loader
from lookalike.data.answers import ListedRows, count_answers
from lookalike.data.image_identity import image_identities
from lookalike.errors import DataError
from lookalike.types import Batch

_SHOWN = 3


@dataclass
class EvalSplit:
    """One split of the evaluation, ready to be read."""

    name: str
    dataset: ImageDataset
    batches: Iterable[Batch]

    @cached_property
    def identities(self) -> list[str]:
        """A text per image, equal for the same image; see :func:`image_identities`."""
        return image_identities(self.dataset)

    def notes(self) -> list[str]:
        """Return what the user should know of the split's lists."""
        notes = [f"{self.name}: {note}" for note in list_notes(self.dataset)]
        repeated = len(self.identities) - len(set(self.identities))
        if repeated:
            seen: set[str] = set()
            first = next(
                row
                for row, name in enumerate(self.identities)
                if name in seen or seen.add(name)  # type: ignore[func-returns-value]
            )
            notes.append(
                f"{self.name}: {repeated:,} image{'s are' if repeated > 1 else ' is'} listed more "
                f"than once; the first is {self.dataset.paths[first]} "
                f"({self.dataset.where(first)})."
            )
        return notes


def list_notes(dataset: Any) -> list[str]:
    """Return what the readers of a data set have left out, in sentences."""
    parts = getattr(dataset, "datasets", [dataset])
    return [note for part in parts if hasattr(part, "images") for note in part.images.notes]


def read_splits(
    run: Run,
    section: EvalSection,
    num_workers: Callable[[int], int],
    trained_classes: Callable[[], Sequence[str] | None],
) -> list[EvalSplit]:
    """Read the lists of the evaluation, with classes and cameras numbered for comparison.

    Returns:
        One split, or query and gallery.

    Raises:
        DataError: If a list is malformed, or a class of a classification was not trained on.
    """
    sections = {"Eval": section.single} if section.single else {"Query": section.Query}
    if section.Gallery and section.Query and not same_images_in(section.Gallery, section.Query):
        sections["Gallery"] = section.Gallery
    read = {name: own for name, own in sections.items() if own is not None}
    for name, own in read.items():
        at = ("DataLoader", "Eval", *(() if section.single else (name,)), "dataset")
        check_paths(run, at, own.dataset)
    datasets = [make_dataset(own.dataset, run.allow_import) for own in read.values()]
    known = None
    if run.config.Global.eval_mode == "classification" and any(
        getattr(dataset, "class_names", None) is not None for dataset in datasets
    ):
        known = trained_classes()
    datasets = number_together(datasets, known)
    if known is not None:
        check_known(datasets[0], len(known), next(iter(read)))
    return [
        _split(run, name, own, dataset, num_workers)
        for (name, own), dataset in zip(read.items(), datasets, strict=True)
    ]


_PATHS = ("image_root", "label_file", "cls_label_path", "root")


def same_images_in(one: SplitSection, other: SplitSection) -> bool:
    """Tell whether two splits read the same images in the same way, whoever reads them."""

    def plain(spec: ComponentSpec) -> tuple[str, dict[str, Any]]:
        paths = {k: str(Path(spec.args[k])) for k in _PATHS if isinstance(spec.args.get(k), str)}
        return spec.name, {**spec.args, **paths}

    return plain(one.dataset) == plain(other.dataset)


def make_split(
    run: Run, name: str, section: SplitSection, num_workers: Callable[[int], int]
) -> EvalSplit:
    """Read a split's list and make its loader."""
    return _split(run, name, section, make_dataset(section.dataset, run.allow_import), num_workers)


def _split(
    run: Run, name: str, section: SplitSection, dataset: Any, num_workers: Callable[[int], int]
) -> EvalSplit:
    check_image_shape(run, name, dataset)
    sampler = make_sampler(section.sampler, dataset.labels, allow_import=run.allow_import)
    batches = make_loader(
        dataset,
        sampler,
        num_workers=num_workers(section.loader.num_workers),
        prefetch_factor=section.loader.prefetch_factor,
        timeout=run.config.Global.data_timeout,
        share=(processes.rank(), processes.count()),
    )
    return EvalSplit(name, dataset, batches)


def check_answerable(run: Run, query: EvalSplit, gallery: EvalSplit) -> None:
    """Refuse an evaluation in which the lists alone show that no query has an answer.

    Raises:
        DataError: Names the rule that leaves none, and what to change.
    """
    exact = run.config.Global.retrieval_protocol == "exact"
    rows = _rows(query, gallery, own_images=exact)
    answers = count_answers(*rows)
    if not len(answers.left) or (answers.left > 0).any():
        return
    pair = query.name if gallery is query else f"{query.name} and {gallery.name}"
    number = f"none of the {len(answers.left):,} queries of {query.name} can be answered"
    if not answers.of_label.any():
        raise DataError(
            f"{number}: {query.name} and {gallery.name} have no class in common. {query.name} has "
            f"{_classes(query)}; {gallery.name} has {_classes(gallery)}."
        )
    if (answers.of_own_camera == answers.of_label)[answers.of_label > 0].all():
        raise DataError(
            f"{number}: gallery images with the query's label and camera are removed, and all "
            f"images of a query's label have its camera. The cameras of {pair} are "
            f"{_cameras(query, gallery)}. If the images were not taken by several cameras, leave "
            "the camera column (the third one, or camera_column) out of the lists."
        )
    raise DataError(
        f"{number}: a query's own image is removed, and "
        + (
            "with the images of its own camera no other is left"
            if rows[0].cameras is not None
            else f"{gallery.name} has no other image of its class"
        )
        + f". Add images of the queries' classes to {gallery.name}."
    )


def _rows(query: EvalSplit, gallery: EvalSplit, *, own_images: bool) -> list[ListedRows]:
    number: dict[str, int] = {}
    found: list[ListedRows] = []
    for split in (query, gallery):
        names = split.identities if own_images else ()
        images = np.array([number.setdefault(name, len(number)) for name in names], np.int64)
        if not own_images:
            # no two rows are the same image
            images = np.arange(len(split.dataset)) + (len(query.dataset) if found else 0)
        cameras = split.dataset.cameras
        found.append(
            ListedRows(
                np.asarray(split.dataset.labels, np.int64),
                None if cameras is None else np.asarray(cameras, np.int64),
                images,
            )
        )
    return found


def _classes(split: EvalSplit) -> str:
    return _few(np.unique(np.asarray(split.dataset.labels)), split.dataset.class_names)


def _cameras(query: EvalSplit, gallery: EvalSplit) -> str:
    used = np.unique([*(query.dataset.cameras or ()), *(gallery.dataset.cameras or ())])
    return _few(used, getattr(query.dataset, "camera_names", None))


def _few(used: Any, names: Sequence[str] | None) -> str:
    shown = [str(one) if names is None else names[one] for one in used[:_SHOWN].tolist()]
    return ", ".join(shown) + (f", ... ({len(used):,} in all)" if len(used) > _SHOWN else "")
