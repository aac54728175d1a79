"""Images, a YAML and the exported models of the cases."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.speed.systems import input_files
from benchmarks.speed.systems.training_ours import LOSS, OPTIMIZER, arch
from lookalike.assembly.export import export
from lookalike.assembly.job import Job, build_job
from lookalike.assembly.load import load_run


def write(cases: Sequence[Mapping[str, Any]], folder: str) -> None:
    """Write what the cases need; a model that is there already is kept."""
    input_files.write(cases, folder)
    lines = (Path(folder) / "list.txt").read_text().splitlines()
    for sizes in cases:
        listed = Path(folder) / f"list{sizes['images']}.txt"
        # each image has a camera of its own, so that every query has its other image
        listed.write_text("\n".join(lines[: sizes["images"]]) + "\n")
        path = config_path(sizes, folder)
        path.write_text(json.dumps(config(sizes, Path(folder))))
        if not (model_folder(sizes, folder) / "card.json").exists():
            torch.manual_seed(0)
            export(
                job(sizes, folder),
                images=4,
                allow_random_weights=True,
                advance=lambda text: None,
            )


def config_path(sizes: Mapping[str, Any], folder: str) -> Path:
    """Return where the YAML of a case is."""
    return Path(folder) / f"{sizes['backbone']}.yaml"


def model_folder(sizes: Mapping[str, Any], folder: str) -> Path:
    """Return where the exported model of a case is."""
    return Path(folder) / f"{sizes['backbone']}_exported"


def job(sizes: Mapping[str, Any], folder: str) -> Job:
    """Build what the YAML says, for evaluation; every process has the same weights."""
    torch.manual_seed(0)
    return build_job(load_run(str(config_path(sizes, folder))), training=False)


def config(sizes: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return a YAML that evaluates the images, without workers."""
    transforms = [
        {"DecodeImage": {"to_rgb": True, "channel_first": False}},
        {"ResizeImage": {"size": sizes["size"]}},
        next(one for one in input_files.TRANSFORMS if "NormalizeImage" in one),
    ]
    split = {
        "dataset": {
            "name": "VeriWild",
            "image_root": str(folder / "images"),
            "cls_label_path": str(folder / f"list{sizes['images']}.txt"),
            "transform_ops": transforms,
        },
        "sampler": {
            "name": "DistributedBatchSampler",
            "batch_size": sizes["batch"],
            "drop_last": False,
            "shuffle": False,
        },
        "loader": {"num_workers": 0},
    }
    return {
        "Global": {
            "device": "auto",
            "epochs": 1,
            "seed": 0,
            "output_dir": str(folder / "output"),
            "image_shape": [3, sizes["size"], sizes["size"]],
            "save_inference_dir": str(model_folder(sizes, str(folder))),
            "eval_mode": "retrieval",
        },
        "Arch": arch(sizes["backbone"], 1000),
        "Loss": {"Train": LOSS, "Eval": LOSS[:1]},
        "Optimizer": OPTIMIZER,
        "DataLoader": {"Eval": {"Query": split, "Gallery": split}},
        "Metric": {"Eval": [{"Recallk": {"topk": [1, 5]}}]},
    }
