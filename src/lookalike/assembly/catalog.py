"""The table of contents: component name to import path, as text, so that looking imports nothing.

The names are ours; PaddleClas's names for the same things stand in ``lookalike.paddleclas.words``.
"""

from __future__ import annotations

CATALOG: dict[str, dict[str, str]] = {
    "backbone": {
        "ResNet50": "lookalike.models.backbones.resnet:resnet50",
    },
    "neck": {
        "LinearNeck": "lookalike.models.necks.linear_neck:LinearNeck",
        "VehicleNeck": "lookalike.models.necks.vehicle_neck:VehicleNeck",
    },
    "head": {
        "ArcMargin": "lookalike.models.heads.arc_margin:ArcMargin",
        "LinearHead": "lookalike.models.heads.linear_head:LinearHead",
    },
    "loss": {
        "CrossEntropy": "lookalike.losses.cross_entropy:CrossEntropy",
        "SupCon": "lookalike.losses.sup_con:SupCon",
    },
    "metric": {
        "MeanAveragePrecision": "lookalike.retrieval.metrics:MeanAveragePrecision",
        "MeanInverseNegativePenalty": "lookalike.retrieval.metrics:MeanInverseNegativePenalty",
        "PrecisionAtK": "lookalike.retrieval.metrics:PrecisionAtK",
        "RecallAtK": "lookalike.retrieval.metrics:RecallAtK",
        "TopKAccuracy": "lookalike.retrieval.accuracy:TopKAccuracy",
    },
    "dataset": {
        "LabelFile": "lookalike.data.datasets.label_file:label_file",
        "VeriWild": "lookalike.data.datasets.veri_wild:veri_wild",
    },
    "sampler": {
        "RandomIdentitySampler": "lookalike.data.samplers.random_identity:RandomIdentitySampler",
        "SequenceSampler": "lookalike.data.samplers.sequence:SequenceSampler",
    },
    "transform": {
        "AugMix": "lookalike.data.transforms.aug_mix:AugMix",
        "DecodeImage": "lookalike.data.transforms.decode_image:DecodeImage",
        "Normalize": "lookalike.data.transforms.to_tensor:Normalize",
        "NormalizeImage": "lookalike.data.transforms.normalize:NormalizeImage",
        "RandomErasing": "lookalike.data.transforms.random_erasing:RandomErasing",
        "RandomFlip": "lookalike.data.transforms.flip:RandomFlip",
        "ResizeImage": "lookalike.data.transforms.resize:ResizeImage",
        "ToTensor": "lookalike.data.transforms.to_tensor:ToTensor",
    },
    "optimizer": {
        "Adam": "lookalike.optim.optimizers:adam",
        "AdamW": "lookalike.optim.optimizers:adamw",
        "Momentum": "lookalike.optim.optimizers:momentum",
        "SGD": "lookalike.optim.optimizers:sgd",
    },
    "schedule": {
        "Constant": "lookalike.optim.schedules:constant",
        "Cosine": "lookalike.optim.schedules:cosine",
        "MultiStepDecay": "lookalike.optim.schedules:multi_step",
    },
}

PREFIXES = {"transform": {"v2.": "torchvision.transforms.v2"}}
"""Whole libraries by prefix: ``v2.RandomAffine`` is torchvision's."""

ENTRY_POINTS = {
    "backbone": "lookalike.backbones",
    "neck": "lookalike.necks",
    "head": "lookalike.heads",
    "loss": "lookalike.losses",
    "metric": "lookalike.metrics",
    "dataset": "lookalike.datasets",
    "sampler": "lookalike.samplers",
    "transform": "lookalike.transforms",
}
