"""What must fit between the sections of a configuration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import islice
from typing import Any

from lookalike import processes
from lookalike.assembly.dialect import translate_component
from lookalike.assembly.load import Run
from lookalike.assembly.partial_logits import partial_logits_problems
from lookalike.assembly.prepare import Inner, mixtures_of
from lookalike.assembly.reads import reads_of
from lookalike.assembly.step_settings import step_problems
from lookalike.config import ComponentSpec
from lookalike.config.schema import DistillationSection
from lookalike.data import ImageDataset
from lookalike.errors import ConfigError, DataError, Problem


def check_sections(run: Run) -> None:
    """Refuse a run that lacks a section training needs.

    Raises:
        ConfigError: With every section that is missing.
    """
    missing = [
        run.document.problem((key,), "is missing; training needs it.")
        for key, value in (
            ("Loss", run.config.Loss),
            ("Optimizer", run.config.Optimizer),
            ("DataLoader.Train", run.config.DataLoader.Train),
        )
        if not value
    ]
    arch = run.config.Arch
    for index, spec in enumerate(run.config.Loss.Train if run.config.Loss else []):
        reads = reads_of(run, spec)
        if isinstance(arch, DistillationSection):
            if not set(reads) <= set(arch.members) or not reads:
                missing.append(
                    run.document.problem(("Loss", "Train", index), _not_of_several(spec, arch))
                )
        elif arch.Head is None and "logits" in reads:
            missing.append(
                run.document.problem(
                    ("Loss", "Train", index),
                    f"{spec.name} reads 'logits', but there is no Arch.Head to make them.",
                )
            )
    if run.config.Global.train_mode == "metabin":
        missing += _missing_for_metabin(run)
    missing += [*_mixing_problems(run), *partial_logits_problems(run), *step_problems(run)]
    if missing:
        raise ConfigError(missing)


def mixes(run: Run) -> list[Inner]:
    """Return the mixtures of the training batches."""
    train = run.config.DataLoader.Train
    return [] if train is None else mixtures_of(train.dataset)


def _mixing_problems(run: Run) -> list[Problem]:
    """Say what cannot learn from mixed images, whose targets have a share of two classes."""
    mixtures = mixes(run)
    if not mixtures:
        return []
    word = mixtures[0].at.split(".")[0]
    found = []

    def add(path: tuple[str | int, ...], text: str) -> None:
        found.append(run.document.problem(path, text))

    if len(mixtures) > 1:
        add(
            ("DataLoader", "Train", "dataset", word),
            f"{len(mixtures)} mixtures; a batch is mixed once: put them under OpSampler, each "
            "with its prob.",
        )
    head = getattr(run.config.Arch, "Head", None)
    plain = translate_component("head", head.name, {}).name if head else "(none)"
    if plain != "LinearHead":
        add(
            ("Arch", "Head"),
            f"{word} gives each image a share of two classes; a margin head needs one label per "
            f"image. Use the head FC, found {plain}.",
        )
    for index, spec in enumerate(run.config.Loss.Train if run.config.Loss else []):
        if spec.name != "SoftTargetCrossEntropy":
            add(
                ("Loss", "Train", index),
                f"{word} gives each image a share of two classes, and {spec.name} does not take "
                "shares as they are; use SoftTargetCrossEntropy.",
            )
    return found


def _missing_for_metabin(run: Run) -> list[Problem]:
    """Say what the meta-learning of MetaBIN needs beyond ordinary training."""
    config, needs = run.config, "Global.train_mode metabin needs"
    loss = config.Loss
    found = [
        run.document.problem(("Loss", part), f"is missing; {needs} it.")
        for part in ("Basic", "MetaTrain", "MetaTest")
        if not getattr(loss, part, None)
    ]
    if config.DataLoader.Metalearning is None:
        text = f"is missing; {needs} a second stream of batches, with images of several cameras."
        found.append(run.document.problem(("DataLoader", "Metalearning"), text))
    if len(config.Optimizer) != 3:
        text = (
            f"{needs} a list of three: of the weights, of the gates, and one that lends its "
            f"learning rate; found {len(config.Optimizer)}."
        )
        found.append(run.document.problem(("Optimizer",), text))
    backbone = getattr(config.Arch, "Backbone", None)
    if backbone is None or "metabin" not in backbone.name.lower():
        text = f"{needs} a backbone with gates: ResNet50_metabin."
        found.append(run.document.problem(("Arch", "Backbone"), text))
    if config.Global.update_freq != 1:
        found.append(run.document.problem(("Global", "update_freq"), f"{needs} update_freq 1."))
    return found


def _not_of_several(spec: ComponentSpec, arch: DistillationSection) -> str:
    return (
        f"{spec.name} does not read the outputs of the models {', '.join(arch.members)}; a "
        "DistillationModel is trained with the losses Distillation*, whose model_names or "
        "model_name_pairs are these."
    )


def settings_without_effect(run: Run) -> list[str]:
    """Say which of the settings in the file decide nothing in this run."""
    config, notes = run.config, []
    head = getattr(config.Arch, "Head", None)
    in_head = None if head is None else head.args.get("class_num", head.args.get("num_classes"))
    if config.Global.class_num not in (None, in_head):
        notes.append(
            f"Global.class_num ({config.Global.class_num}) decides nothing; the head's own "
            f"number of classes does ({in_head})."
        )
    if "bad_images_limit" in config.Global.model_fields_set and config.Global.bad_images == "error":
        notes.append("bad_images_limit decides nothing: the first bad image stops the run.")
    if getattr(config.Arch, "use_sync_bn", False) and processes.count() == 1:
        notes.append("use_sync_bn decides nothing in one process: batch norms see the whole batch.")
    if config.Global.train_mode == "metabin":
        notes.append(
            "train_mode metabin does not use Loss.Train; it uses Basic, MetaTrain, MetaTest."
        )
    if "AMP" in config.model_fields_set and "use_amp" not in config.AMP.model_fields_set:
        notes.append("AMP is on, because the section is there; AMP.use_amp: False switches it off.")
    for spec in config.Optimizer:
        rise = spec.lr.get("warmup_epoch", 0) if isinstance(spec.lr, dict) else 0
        if isinstance(rise, int | float) and rise > config.Global.epochs:
            notes.append(
                f"the warm-up of {rise:g} epochs is longer than the run ({config.Global.epochs}); "
                "it takes the whole run."
            )
    if config.Metric.Train and mixes(run):
        notes.append("Metric.Train decides nothing: mixed images have no single right class.")
    if config.AMP.use_amp and config.AMP.level == "O2":
        notes.append("AMP.level O2 is computed as O1: the weights stay float32.")
    if config.Global.eval_mode == "adaface" and config.Metric.Eval:
        notes.append("Metric.Eval decides nothing: eval_mode adaface has its own metric.")
    if config.Global.eval_mode == "retrieval":
        exact = config.Global.retrieval_protocol == "exact"
        if exact and "sim_block_size" in config.Global.model_fields_set:
            notes.append("sim_block_size decides nothing: the metrics are exact for any block.")
    return notes


def check_domains(dataset: ImageDataset) -> None:
    """Refuse data that cannot be split into known and unknown domains.

    Raises:
        DataError: If all images are of one camera.
    """
    if len(set(dataset.cameras or ())) < 2:
        raise DataError(
            f"{dataset.source}: all images are of one camera (domain); train_mode metabin splits "
            "them by camera into known and unknown domains."
        )


# they look at each embedding by itself
_NOT_OVER_PAIRS = ("CenterLoss", "MagnitudeLoss")
_TRIED_BATCHES = 16


def check_sampler(run: Run, dataset: ImageDataset, sampler: Any, notes: list[str]) -> None:
    """Refuse a loss over pairs where the batches hold no images to pull together or to push apart.

    Args:
        run: The configuration.
        dataset: Training images.
        sampler: Plans the batches; the first ones are looked at.
        notes: Gets a note where many images of a batch have no partner.

    Raises:
        DataError: If no label has two images.
        ConfigError: If the batches hold one label, or one image of each, or are not grouped
            though the loss is told that they are.
    """
    over_pairs = [
        (index, spec)
        for index, spec in enumerate(run.config.Loss.Train if run.config.Loss else [])
        if spec.name not in _NOT_OVER_PAIRS and {"features", "backbone"} & set(reads_of(run, spec))
    ]
    if not over_pairs:
        return
    labels = dataset.labels
    name = over_pairs[0][1].name
    if len(set(labels)) == len(labels):
        raise DataError(
            f"{dataset.source}: every label has a single image, so {name} never finds a pair."
        )
    at = ("DataLoader", "Train", "sampler")
    if getattr(sampler, "labels_per_batch", 2) < 2:
        text = (
            f"every batch holds {sampler.batch_size} images of one label, so {name} never "
            f"finds a negative; make it at least {2 * sampler.images_per_label}."
        )
        raise ConfigError([run.document.problem((*at, "batch_size"), text)])
    batches = [[labels[i] for i in batch] for batch in islice(sampler.plan(0), _TRIED_BATCHES)]
    for index, spec in over_pairs:
        views = spec.args.get("views")
        if isinstance(views, int) and views > 1 and not _grouped(batches, views):
            text = (
                f"{spec.name} is told that {views} images of one label stand together (views), "
                f"and the sampler does not deal them so. {_IDENTITY_SAMPLERS} Without 'views' it "
                "takes any batch."
            )
            raise ConfigError([run.document.problem(("Loss", "Train", index), text)])
    share = _share_with_partner(batches)
    if batches and share == 0.0:
        text = f"no image of a batch has a partner, so {name} pulls nothing. {_IDENTITY_SAMPLERS}"
        raise ConfigError([run.document.problem(at, text)])
    if batches and share < 0.5:
        notes.append(
            f"{name}: only {share:.0%} of the images have a partner of their label in the batch. "
            f"{_IDENTITY_SAMPLERS}"
        )


_IDENTITY_SAMPLERS = (
    "Use DistributedRandomIdentitySampler (num_instances) or PKSampler (sample_per_id)."
)


def _grouped(batches: Sequence[Sequence[int]], views: int) -> bool:
    """Tell whether labels stand together in groups of ``views``."""
    return all(
        len(batch) % views == 0
        and all(len(set(batch[i : i + views])) == 1 for i in range(0, len(batch), views))
        for batch in batches
    )


def _share_with_partner(batches: Sequence[Sequence[int]]) -> float:
    """Return the share of images whose label another image of the batch has, too."""
    with_partner = total = 0
    for batch in batches:
        counts = Counter(batch)
        with_partner += sum(count for count in counts.values() if count > 1)
        total += len(batch)
    return with_partner / max(total, 1)
