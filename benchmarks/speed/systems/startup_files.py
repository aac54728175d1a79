"""The YAML of the seed document with lists and images in its places."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.speed.systems import input_files

CLASSES = 30_671


def write(cases: Sequence[Mapping[str, Any]], folder: str) -> None:
    """Write a few images, a list that names them often, and the YAML."""
    input_files.write([{"images": 4}], folder)
    lines = [f"{number % 4}.jpg {number % 64} {number}" for number in range(1000)]
    (Path(folder) / "train.txt").write_text("\n".join(lines) + "\n")
    (Path(folder) / "seed.yaml").write_text(json.dumps(config(Path(folder))))


def config(folder: Path) -> dict[str, Any]:
    """Return the document's sections, its data under the folder."""
    dataset = {
        "name": "VeriWild",
        "image_root": str(folder / "images"),
        "cls_label_path": str(folder / "train.txt"),
    }
    plain = [one for one in input_files.TRANSFORMS if not {"AugMix", "RandomErasing"} & set(one)]
    split = {
        "dataset": {
            **dataset,
            "transform_ops": [one for one in plain if "RandFlipImage" not in one],
        },
        "sampler": {"name": "DistributedBatchSampler", "batch_size": 64, "shuffle": False},
        "loader": {"num_workers": 0},
    }
    return {
        "Global": {
            "device": "cpu",
            "class_num": CLASSES,
            "output_dir": str(folder / "output"),
            "epochs": 160,
            "image_shape": [3, 224, 224],
            "eval_mode": "retrieval",
        },
        "Arch": {
            "name": "RecModel",
            "infer_output_key": "features",
            "infer_add_softmax": False,
            "Backbone": {"name": "ResNet50", "pretrained": False},
            "BackboneStopLayer": {"name": "adaptive_avg_pool2d_0"},
            "Neck": {"name": "VehicleNeck", "in_channels": 2048, "out_channels": 512},
            "Head": {
                "name": "ArcMargin",
                "embedding_size": 512,
                "class_num": CLASSES,
                "margin": 0.15,
                "scale": 32,
            },
        },
        "Loss": {
            "Train": [{"CELoss": {"weight": 1.0}}, {"SupConLoss": {"weight": 1.0, "views": 2}}],
            "Eval": [{"CELoss": {"weight": 1.0}}],
        },
        "Optimizer": {
            "name": "Momentum",
            "momentum": 0.9,
            "lr": {
                "name": "MultiStepDecay",
                "learning_rate": 0.01,
                "milestones": [30, 60, 70, 80, 90, 100, 120, 140],
                "gamma": 0.5,
            },
            "regularizer": {"name": "L2", "coeff": 0.0005},
        },
        "DataLoader": {
            "Train": {
                "dataset": {**dataset, "transform_ops": input_files.TRANSFORMS},
                "sampler": {
                    "name": "DistributedRandomIdentitySampler",
                    "batch_size": 128,
                    "num_instances": 2,
                    "drop_last": False,
                    "shuffle": True,
                },
                "loader": {"num_workers": 0},
            },
            "Eval": {"Query": split, "Gallery": split},
        },
        "Metric": {"Eval": [{"Recallk": {"topk": [1, 5]}}, {"mAP": {}}]},
    }
