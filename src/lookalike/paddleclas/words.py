"""Names and arguments that differ. What is not listed is the same word in both languages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Row:
    """One component: our name, and our word for each argument that is called differently there.

    Attributes:
        name: Our name; empty where it is the same.
        words: Their argument to ours.
        ignored: Their arguments without a meaning here, with the reason.
        values: Our argument to ``{their value: our value}``.
    """

    name: str = ""
    words: Mapping[str, str] = field(default_factory=dict)
    ignored: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Mapping[Any, Any]] = field(default_factory=dict)


_CLASSES = {"class_num": "num_classes"}
_TRANSFORM_OPS = {"cls_label_path": "label_file", "transform_ops": "transforms"}
_LR = {"learning_rate": "lr", "warmup_epoch": "warmup_epochs", "warmup_start_lr": "warmup_start"}
_VERBOSE = {"verbose": "the learning rate is in every log line"}
_UNSHUFFLED = {"shuffle": "identity sampling is always shuffled"}

WORDS: dict[str, dict[str, Row]] = {
    "backbone": {
        "ResNet50": Row("", _CLASSES),
    },
    "neck": {
        "FC": Row("LinearNeck", {"embedding_size": "in_features", "class_num": "out_features"}),
        "VehicleNeck": Row(
            ignored={"bias_attr": "the reference gives the bias weight_attr's; write bias: False"}
        ),
    },
    "head": {
        "FC": Row("LinearHead", _CLASSES),
        "ArcMargin": Row("", _CLASSES),
    },
    "loss": {
        "CELoss": Row("CrossEntropy", {"epsilon": "label_smoothing"}),
        "SupConLoss": Row("SupCon", {"normalize_feature": "normalize"}),
    },
    "metric": {
        "Recallk": Row("RecallAtK", {"topk": "k"}),
        "mAP": Row("MeanAveragePrecision"),
        "mINP": Row("MeanInverseNegativePenalty"),
        "Precisionk": Row("PrecisionAtK", {"topk": "k"}),
        "TopkAcc": Row("TopKAccuracy", {"topk": "k"}),
    },
    "dataset": {
        "VeriWild": Row("VeriWild", _TRANSFORM_OPS),
        "ImageNetDataset": Row("LabelFile", _TRANSFORM_OPS),
    },
    "sampler": {
        "DistributedRandomIdentitySampler": Row(
            "RandomIdentitySampler", {"num_instances": "images_per_label"}, _UNSHUFFLED
        ),
        "DistributedBatchSampler": Row("SequenceSampler"),
        "BatchSampler": Row("SequenceSampler"),
    },
    "transform": {
        "RandFlipImage": Row("RandomFlip"),
        "ResizeImage": Row("", {"resize_short": "short_side"}),
        "RandomErasing": Row(
            "",
            {
                "EPSILON": "probability",
                "sl": "min_area",
                "sh": "max_area",
                "r1": "min_aspect",
                "mean": "fill",
                "attempt": "attempts",
                "use_log_aspect": "log_aspect",
            },
        ),
        "AugMix": Row(
            "",
            {
                "prob": "probability",
                "aug_prob_coeff": "concentration",
                "mixture_width": "width",
                "mixture_depth": "depth",
                "aug_severity": "severity",
            },
        ),
        "RandomHorizontalFlip": Row("", {"prob": "probability"}),
        "RandomRotation": Row("", {"prob": "probability"}),
        "ColorJitter": Row("", {"prob": "probability"}),
    },
    "optimizer": {
        "Momentum": Row("", {"use_nesterov": "nesterov"}),
    },
    "schedule": {
        name: Row("", _LR, _VERBOSE)
        for name in ("Constant", "ConstLR", "Cosine", "Linear", "MultiStepDecay", "Step")
    },
}


@dataclass(frozen=True)
class Translation:
    """A component in our words.

    Attributes:
        name: Our name.
        args: Our argument names.
        their_words: Our argument to the word the file used.
    """

    name: str
    args: dict[str, Any]
    their_words: dict[str, str]


def drop_ignored(kind: str, name: str, args: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the arguments without those that mean nothing here, and a note for each of these.

    Example:
        >>> drop_ignored("sampler", "DistributedRandomIdentitySampler", {"shuffle": True})
        ({}, ["'shuffle' is not used by DistributedRandomIdentitySampler: identity sampling is \
always shuffled."])
    """
    ignored = WORDS.get(kind, {}).get(name, Row()).ignored
    notes = [f"'{k}' is not used by {name}: {ignored[k]}." for k in args if k in ignored]
    return {key: value for key, value in args.items() if key not in ignored}, notes


def translate_component(kind: str, name: str, args: Mapping[str, Any]) -> Translation:
    """Translate one component; words that are ours already pass through.

    Example:
        >>> t = translate_component("head", "FC", {"embedding_size": 512, "class_num": 10})
        >>> t.name, t.args
        ('LinearHead', {'embedding_size': 512, 'num_classes': 10})
    """
    row = WORDS.get(kind, {}).get(name, Row())
    ours: dict[str, Any] = {}
    their_words: dict[str, str] = {}
    for key, value in args.items():
        word = row.words.get(key, key)
        if word in ours:
            # both words given: leave theirs in place, the signature check names it as unknown
            word = key
        ours[word] = row.values.get(word, {}).get(value, value) if row.values else value
        if word != key:
            their_words[word] = key
    return Translation(row.name or name, ours, their_words)


def their_names(kind: str) -> dict[str, list[str]]:
    """Return our name to the names PaddleClas has for it."""
    names: dict[str, list[str]] = {}
    for theirs, row in WORDS.get(kind, {}).items():
        if row.name and row.name != theirs:
            names.setdefault(row.name, []).append(theirs)
    return names
