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
        gathered: Our argument that lists the components they write as arguments of their own.
        logged: What they call it in the log, where that is not the name.
        any_case: Our arguments whose values they read in any letter case; ours are lower case.
    """

    name: str = ""
    words: Mapping[str, str] = field(default_factory=dict)
    ignored: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Mapping[Any, Any]] = field(default_factory=dict)
    gathered: str = ""
    logged: str = ""
    any_case: tuple[str, ...] = ()


_CLASSES = {"class_num": "num_classes"}
_TAIL_WORDS = {
    **_CLASSES,
    "dropout_prob": "dropout",
    "class_expand": "num_features",
    "use_last_conv": "head_conv",
}
_PP_LCNET_WORDS = {**_TAIL_WORDS, "lr_mult_list": "lr_multipliers", "stride_list": "strides"}
_RESNETS = (
    *(f"ResNet{depth}{kind}" for depth in (18, 34, 50, 101, 152) for kind in ("", "_vd")),
    *(f"ResNet50_{kind}" for kind in ("adaptive_max_pool2d", "last_stage_stride1", "metabin")),
)
_PP_LCNET_SCALES = ("0_25", "0_35", "0_5", "0_75", "1_0", "1_5", "2_0", "2_5", "2_5_Tanh")
_PP_LCNETS = tuple(f"PPLCNet_x{scale}" for scale in _PP_LCNET_SCALES)
_CLIP_TOWERS = ("CLIP_vit_base_patch16_224", "CLIP_vit_large_patch14_224")
_PROB = {"prob": "probability"}
_TRANSFORM_OPS = {"cls_label_path": "label_file", "transform_ops": "transforms"}
_LR = {"learning_rate": "lr", "warmup_epoch": "warmup_epochs", "warmup_start_lr": "warmup_start"}
_RANGE = {
    "base_learning_rate": "base_lr",
    "max_learning_rate": "max_lr",
    "end_learning_rate": "end_lr",
}
_VERBOSE = {
    "verbose": "the learning rate is in every log line",
    "epochs": "Global.epochs decides, in the reference too",
    "step_each_epoch": "the data decides, in the reference too",
}
_UNSHUFFLED = {"shuffle": "identity sampling is always shuffled"}
_NORMALIZE = {"normalize_feature": "normalize"}
_QUANTIZATION = {"_lambda": "quantization_weight"}
_LOG_NAME = {"name": "log_name"}
_UNUSED_WIDTH = {"embedding_size": "the embeddings tell their own width"}
_UNUSED_CLASSES = {"n_class": "only whether two labels are equal counts"}
_UNUSED_NAME = {"name": "the reference does not log it either"}
_KEYS = dict.fromkeys(("keys", "key"), "a transform changes the image")
_RESAMPLING = ("backend", "interpolation")
_FLOAT32 = {"multi_precision": "weights are always kept in float32"}
_PARAMETERS = {"parameter_list": "the scope says which parameters are moved"}
_BY_LABEL = dict.fromkeys(
    ("batch_size", "samples_each_class"), "positives are found by label, in any batch"
)

WORDS: dict[str, dict[str, Row]] = {
    "backbone": {
        name: Row("", words)
        for names, words in (
            (_RESNETS, {**_CLASSES, "lr_mult_list": "lr_multipliers"}),
            (_PP_LCNETS, _PP_LCNET_WORDS),
            (("PPLCNetV2_base", "PPLCNetV2_base_ShiTu", "MobileNetV3_large_x1_0"), _TAIL_WORDS),
            (("AlexNet", "MobileNetV1", "VGG19", "VGG19Sigmoid", *_CLIP_TOWERS), _CLASSES),
        )
        for name in names
    },
    "neck": {
        "FC": Row("LinearNeck", {"embedding_size": "in_features", "class_num": "out_features"}),
        "VehicleNeck": Row(
            ignored={
                "bias_attr": "the reference gives the bias weight_attr's; write bias: False",
                "data_format": "feature maps are always [B, C, H, W]",
            },
            any_case=("padding",),
        ),
    },
    "head": {
        "FC": Row("LinearHead", _CLASSES),
        "ArcMargin": Row("", _CLASSES),
        "CosMargin": Row("", _CLASSES),
        "CircleMargin": Row("", _CLASSES),
        "AdaMargin": Row(
            "",
            {
                **_CLASSES,
                "m": "margin",
                "h": "concentration",
                "s": "scale",
                "t_alpha": "momentum",
            },
        ),
        "SubCenterArcMargin": Row("", _CLASSES),
        "CurricularMargin": Row("", _CLASSES),
        "MagMargin": Row("", _CLASSES),
        "ElasticMargin": Row("", _CLASSES),
    },
    "loss": {
        "CELoss": Row("CrossEntropy", {"epsilon": "label_smoothing"}),
        "CenterLoss": Row("", {"feat_dim": "embedding_size"}),
        "ContrastiveLoss": Row("", _NORMALIZE, _UNUSED_WIDTH),
        "ContrastiveLoss_XBM": Row("ContrastiveLossXBM", _NORMALIZE),
        "CELossForMetaBIN": Row(logged="CELoss"),
        "DCHLoss": Row("", _QUANTIZATION, _UNUSED_CLASSES, logged="dchloss"),
        "DSHSDLoss": Row(logged="dshsdloss"),
        "DistillationCELoss": Row("", {"epsilon": "label_smoothing"}, _UNUSED_NAME),
        "DistillationDISTLoss": Row("", _LOG_NAME),
        "DistillationDKDLoss": Row("", _LOG_NAME),
        "DistillationDMLLoss": Row("", ignored=_UNUSED_NAME),
        "DistillationDistanceLoss": Row("", _LOG_NAME),
        "DistillationGTCELoss": Row("", {"epsilon": "label_smoothing"}, _UNUSED_NAME),
        "DistillationKLDivLoss": Row("", ignored=_UNUSED_NAME),
        "DistillationMultiLabelLoss": Row("", ignored=_UNUSED_NAME),
        "DistillationPairLoss": Row("", {**_LOG_NAME, "base_loss_name": "base_loss"}),
        "DistillationSKDLoss": Row("", _LOG_NAME),
        "DistillationWSLLoss": Row("", _LOG_NAME),
        "EmlLoss": Row("", ignored=_BY_LABEL, logged="emlloss"),
        "InterDomainShuffleLoss": Row("", _NORMALIZE),
        "IntraDomainScatterLoss": Row("", _NORMALIZE),
        "LCDSHLoss": Row("", _QUANTIZATION, _UNUSED_CLASSES, logged="lcdshloss"),
        "MSMLoss": Row("", ignored=_BY_LABEL, logged="msmloss"),
        "NpairsLoss": Row(logged="npairsloss"),
        "RKdAngle": Row("RkdAngle"),
        "SoftTargetCrossEntropy": Row(logged="SoftTargetCELoss"),
        "SupConLoss": Row("SupCon", _NORMALIZE),
        "TriHardLoss": Row("", ignored=_BY_LABEL, logged="trihardloss"),
        "TripletAngularMarginLoss": Row("", _NORMALIZE),
        "TripletAngularMarginLoss_XBM": Row(
            "TripletAngularMarginLossXBM", {**_NORMALIZE, "feat_dim": "embedding_size"}
        ),
        "TripletLossForMetaBIN": Row("", _NORMALIZE, logged="TripletLoss"),
        "TripletLossV2": Row("", _NORMALIZE),
    },
    "metric": {
        "DistillationTopkAcc": Row("DistillationTopKAccuracy", {"topk": "k"}),
        "Recallk": Row("RecallAtK", {"topk": "k"}),
        "mAP": Row("MeanAveragePrecision"),
        "mINP": Row("MeanInverseNegativePenalty"),
        "Precisionk": Row("PrecisionAtK", {"topk": "k"}),
        "TopkAcc": Row("TopKAccuracy", {"topk": "k"}),
    },
    "dataset": {
        "VeriWild": Row("VeriWild", _TRANSFORM_OPS),
        "ImageNetDataset": Row("LabelFile", _TRANSFORM_OPS),
        "CompCars": Row("", _TRANSFORM_OPS),
        "LogoDataset": Row("Logo", _TRANSFORM_OPS),
        "ICartoonDataset": Row("ICartoon", _TRANSFORM_OPS),
        "Market1501": Row("", _TRANSFORM_OPS),
        "DukeMTMC": Row("", _TRANSFORM_OPS),
        "MSMT17": Row("", _TRANSFORM_OPS),
        "FiveValidationDataset": Row(
            "FacePairs",
            {"val_data_path": "root"},
            ignored={"concat_mem_file_name": "the five sets are read where they are"},
        ),
        "CustomLabelDataset": Row(
            "LabelFromTransform", {"sample_list_path": "list_file", "transform_ops": "transforms"}
        ),
        "MixDataset": Row("MixedDataset", {"datasets_config": "datasets"}),
        "AdaFaceDataset": Row(
            "FaceList",
            {"root_dir": "image_root", "label_path": "label_file", "transform": "transforms"},
        ),
    },
    "sampler": {
        "DistributedRandomIdentitySampler": Row(
            "RandomIdentitySampler", {"num_instances": "images_per_label"}, _UNSHUFFLED
        ),
        "PKSampler": Row(
            "",
            {"sample_per_id": "images_per_label"},
            {**_UNSHUFFLED, "total_epochs": "batches are drawn, however many epochs there are"},
        ),
        "NaiveIdentityBatchSampler": Row(
            "NaiveIdentitySampler", {"num_instances": "images_per_label"}, _UNSHUFFLED
        ),
        "DomainShuffleBatchSampler": Row(
            "DomainShuffleSampler", {"num_instances": "images_per_label"}, _UNSHUFFLED
        ),
        "DistributedBatchSampler": Row("SequenceSampler"),
        "BatchSampler": Row("SequenceSampler"),
    },
    "transform": {
        "AutoAugment": Row("", {"fillcolor": "fill"}),
        "RandFlipImage": Row("RandomFlip"),
        "RandomHorizontalFlip": Row("RandomFlip", _PROB, _KEYS),
        "RandomResizedCrop": Row(ignored=_KEYS),
        "Resize": Row(ignored=_KEYS),
        "ResizeImage": Row("", {"resize_short": "short_side"}, any_case=_RESAMPLING),
        "CenterCrop": Row(ignored=_KEYS),
        "CropImageAtRatio": Row(any_case=_RESAMPLING),
        "Normalize": Row(ignored=_KEYS),
        "ToTensor": Row(ignored=_KEYS),
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
        "ColorJitter": Row("", _PROB, _KEYS),
        "CropWithPadding": Row(
            "",
            _PROB | {"padding_num": "fill"},
            {
                **dict.fromkeys(("size", "interpolation"), "the window keeps its size and place"),
                **_KEYS,
            },
        ),
        "Cutout": Row("", {"n_holes": "num_holes", "fill_value": "fill"}),
        "GridMask": Row("", _PROB | {"d1": "min_period", "d2": "max_period"}),
        "Pad": Row(
            ignored={
                "backend": "arrays and PIL images are padded alike",
                "padding_mode": "the border has one colour, in the reference too",
            }
        ),
        "Padv2": Row("PadToSize", {"size_divisor": "divisor", "fill_value": "fill"}),
        "RandAugment": Row("", {"fillcolor": "fill"}),
        "RandAugmentV2": Row(
            "EfficientNetRandAugment",
            {"fillcolor": "fill"},
            {"progress_magnitude": "only progressive training of classifiers reads it"},
        ),
        "RandAugmentV3": Row("MobileViTRandAugment", {"fillcolor": "fill"}),
        "RandAugmentV4": Row("RandomPairAugment"),
        "RandCropImage": Row("", {"use_log_aspect": "log_aspect"}, any_case=_RESAMPLING),
        "RandCropImageV2": Row("RandomCropImage"),
        "RandomGrayscale": Row("", {"p": "probability"}),
        "RandomInterpolationAugment": Row("RandomLowResolution", _PROB),
        "RandomRotation": Row("", _PROB, _KEYS),
        "TimmAutoAugment": Row("", _PROB | {"config_str": "policy", "img_size": "image_size"}),
    },
    "mixture": {
        "MixupOperator": Row("Mixup", _CLASSES),
        "CutmixOperator": Row("CutMix", _CLASSES),
        "FmixOperator": Row("FMix", _CLASSES),
        "MixupCutmixHybrid": Row("MixupOrCutMix", _CLASSES),
        "OpSampler": Row("MixOneOf", _CLASSES, gathered="mixtures"),
    },
    "optimizer": {
        "Adam": Row(
            ignored={
                **_FLOAT32,
                **_PARAMETERS,
                "lazy_mode": "gradients are never sparse, so every weight is moved",
            }
        ),
        "AdamW": Row(ignored=_FLOAT32),
        "Momentum": Row("", {"use_nesterov": "nesterov"}, _FLOAT32),
        "RMSProp": Row(ignored=_FLOAT32),
        "SGD": Row(ignored=_FLOAT32),
    },
    "schedule": {
        **{
            name: Row("", _LR, _VERBOSE)
            for name in (
                "Constant",
                "Cosine",
                "CosineFixmatch",
                "Linear",
                "MultiStepDecay",
                "Piecewise",
                "ReduceOnPlateau",
                "Step",
            )
        },
        "ConstLR": Row("Constant", _LR, _VERBOSE),
        "Cyclic": Row(
            "",
            {**_LR, **_RANGE},
            {**_VERBOSE, **dict.fromkeys(("scale_fn", "scale_mode"), "mode says how it shrinks")},
        ),
        "OneCycleLR": Row("OneCycle", {**_LR, **_RANGE}, _VERBOSE),
    },
}


@dataclass(frozen=True)
class Translation:
    """A component in our words.

    Attributes:
        name: Our name.
        args: Our argument names.
        their_words: Our argument to the word the file used.
        words: All words of theirs for this component.
        twice: Words that say again what another word in the file says.
        logged: What their log calls it, if not by its name.
    """

    name: str
    args: dict[str, Any]
    their_words: dict[str, str]
    words: list[str]
    twice: list[str]
    logged: str = ""


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


def gather(kind: str, name: str, args: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments with those that are components of their own in one list.

    Example:
        >>> gather("mixture", "OpSampler", {"MixupOperator": {"prob": 0.5}, "class_num": 9})
        {'class_num': 9, 'mixtures': [{'MixupOperator': {'prob': 0.5}}]}
    """
    word = WORDS.get(kind, {}).get(name, Row()).gathered
    inner = {key: value for key, value in args.items() if word and isinstance(value, Mapping)}
    plain = {key: value for key, value in args.items() if key not in inner}
    return {**plain, word: [{key: value} for key, value in inner.items()]} if inner else plain


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
    twice: list[str] = []
    for key, value in args.items():
        word = row.words.get(key, key)
        if word in ours:
            twice.append(key)
            continue
        if word in row.any_case and isinstance(value, str):
            value = value.lower()
        ours[word] = row.values.get(word, {}).get(value, value) if row.values else value
        if word != key:
            their_words[word] = key
    return Translation(row.name or name, ours, their_words, list(row.words), twice, row.logged)


def their_names(kind: str) -> dict[str, list[str]]:
    """Return our name to the names PaddleClas has for it."""
    names: dict[str, list[str]] = {}
    for theirs, row in WORDS.get(kind, {}).items():
        if row.name and row.name != theirs:
            names.setdefault(row.name, []).append(theirs)
    return names
