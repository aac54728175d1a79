"""The data of a run, examined image by image without building its model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

from lookalike.assembly.class_numbering import number_together
from lookalike.assembly.consistency import check_domains, check_sampler
from lookalike.assembly.data_parts import make_dataset, make_sampler
from lookalike.assembly.dialect import translate_component
from lookalike.assembly.eval_splits import list_notes, same_images_in
from lookalike.assembly.job import seed_of
from lookalike.assembly.load import Run
from lookalike.config.schema import DistillationSection, SplitSection
from lookalike.data.doctor import AllRows, Diagnosis, Finding, ListedSplit, diagnose, examine_files
from lookalike.data.doctor.splits import Role
from lookalike.data.image_files import listed_only
from lookalike.data.shards import Shards
from lookalike.errors import ConfigError, LookalikeError, Problem

Listed = tuple[str, Role, SplitSection, Any]
"""Name, role and section of a split, and its data set."""


@dataclass(frozen=True)
class ListedData:
    """The lists of a run.

    Attributes:
        splits: Those that could be read.
        findings: What is wrong with lists and samplers.
        notes: What is not looked at, and why.
    """

    splits: list[ListedSplit]
    findings: list[Finding]
    notes: list[str]


def list_data(run: Run) -> ListedData:
    """Read all lists of a run, going on behind those that cannot be read.

    Raises:
        ConfigError: If the run names no data.
    """
    sections = list(_sections(run))
    if not sections:
        raise ConfigError(
            [Problem("DataLoader", "names no data to look at.", where=run.document.file)]
        )
    data, read = ListedData([], [], []), list[Listed]()
    for name, role, section in sections:
        with listed_only(), _noting(data, "list", name):
            dataset = make_dataset(section.dataset, run.allow_import)
            if not hasattr(dataset, "image_root") or hasattr(dataset, "arrays"):
                data.notes.append(f"{name} is not made of image files; it is not looked at.")
                continue
            if isinstance(getattr(dataset, "files", None), Shards):
                data.notes.append(
                    f"{name} is packed; it is not looked at. Its images were decoded when they "
                    "were packed, and each is held against its checksum when it is read."
                )
                continue
            read.append((name, role, section, dataset))
    for name, role, section, dataset in _numbered(run, read, data):
        data.notes.extend(f"{name}: {note}" for note in list_notes(dataset))
        data.splits.append(ListedSplit.of(name, role, dataset))
        if role == "train":
            _try_sampler(run, name, section, dataset, data)
    return data


def _numbered(run: Run, read: list[Listed], data: ListedData) -> list[Listed]:
    """Number the classes of the splits that a run compares, as the run does."""
    numbered: list[Listed] = []
    for roles in (("train", "classified"), ("query", "gallery")):
        group = [one for one in read if one[1] in roles]
        datasets = number_together([dataset for *_, dataset in group])
        numbered += [(*one[:3], new) for one, new in zip(group, datasets, strict=True)]
    return numbered


def examine_data(
    run: Run, data: ListedData, *, workers: int, advance: Callable[[], None] = lambda: None
) -> Diagnosis:
    """Read every image of a run and say what is wrong.

    Args:
        run: The checked configuration.
        data: Its lists.
        workers: Processes that read.
        advance: Called after each file.
    """
    rows = AllRows(data.splits)
    facts = examine_files(rows.files, workers=workers, advance=advance)
    height, width = run.config.Global.image_shape[1:]
    return diagnose(
        rows,
        facts,
        num_classes=_num_classes(run),
        input_size=(height, width),
        shared_labels=_classifies(run),
        more=data.findings,
    )


def num_files(data: ListedData) -> int:
    """Return how many files the lists name, each counted once."""
    return len({file for split in data.splits for file in split.files})


def _sections(run: Run) -> Iterator[tuple[str, Role, SplitSection]]:
    loaders = run.config.DataLoader
    if loaders.Train is not None:
        yield "Train", "train", loaders.Train
    if loaders.Metalearning is not None:
        yield "Metalearning", "train", loaders.Metalearning.Train
    evaluation = loaders.Eval
    if evaluation is None:
        return
    if evaluation.single is not None:
        yield "Eval", "classified" if _classifies(run) else "query", evaluation.single
        return
    assert evaluation.Query is not None and evaluation.Gallery is not None
    yield "Query", "query", evaluation.Query
    if not same_images_in(evaluation.Gallery, evaluation.Query):
        yield "Gallery", "gallery", evaluation.Gallery


def _classifies(run: Run) -> bool:
    return run.config.Global.eval_mode == "classification"


def _num_classes(run: Run) -> int | None:
    """Return the fewest classes that a head of the run is told, without building it."""
    arch = run.config.Arch
    members = list(arch.members.values()) if isinstance(arch, DistillationSection) else [arch]
    heads = [member.Head for member in members if member.Head is not None]
    told = [translate_component("head", head.name, head.args).args for head in heads]
    classes = [args["num_classes"] for args in told if isinstance(args.get("num_classes"), int)]
    return min(classes, default=None)


@contextmanager
def _noting(data: ListedData, kind: str, split: str) -> Iterator[None]:
    """Turn a refusal into findings, one for each line of it."""
    try:
        yield
    except LookalikeError as error:
        data.findings.extend(Finding(kind, split, line) for line in str(error).split("\n"))


def _try_sampler(
    run: Run, name: str, section: SplitSection, dataset: Any, data: ListedData
) -> None:
    """Let the sampler plan, and the checks of a run look at the plan."""
    notes: list[str] = []
    with _noting(data, "sampler", name):
        sampler = make_sampler(
            section.sampler,
            dataset.labels,
            cameras=dataset.cameras,
            seed=seed_of(run),
            sizes=getattr(dataset, "sizes", None),
            allow_import=run.allow_import,
        )
        if not list(islice(sampler.plan(0), 1)):
            text = (
                f"the sampler yields no batch from {len(dataset):,} images; lower batch_size, or "
                "set drop_last: False."
            )
            data.findings.append(Finding("sampler", name, text))
        elif name == "Train":
            check_sampler(run, dataset, sampler, notes)
            if run.config.Global.train_mode == "metabin":
                check_domains(dataset)
    data.findings.extend(Finding("sampler_weak", name, note) for note in notes)
