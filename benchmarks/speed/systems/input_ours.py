"""Lookalike's stream of training batches, as a YAML makes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.speed.plan import Where
from benchmarks.speed.systems.input_files import chain
from benchmarks.speed.systems.training_ours import LOSS, OPTIMIZER, arch
from benchmarks.speed.work import Work
from lookalike import build_job, load_run


def config(sizes: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return a YAML with the case's transforms, a small model and no workers."""
    return {
        "Global": {
            "device": "cpu",
            "epochs": 1,
            "eval_during_train": False,
            "output_dir": str(folder / "output"),
            "seed": 0,
        },
        "Arch": arch("mobilenet", 1000),
        "Loss": {"Train": LOSS},
        "Optimizer": OPTIMIZER,
        "DataLoader": {
            "Train": {
                "dataset": {
                    "name": "VeriWild",
                    "image_root": str(folder / "images"),
                    "cls_label_path": str(folder / f"list{sizes['images']}.txt"),
                    "transform_ops": chain(sizes),
                },
                "sampler": {
                    "name": "DistributedRandomIdentitySampler",
                    "batch_size": sizes["batch"],
                    "num_instances": 2,
                    "drop_last": False,
                },
                "loader": {"num_workers": 0},
            }
        },
    }


def stream(sizes: Mapping[str, Any], where: Where) -> Work:
    """Take all images of the case, batch by batch."""
    folder = Path(where.folder)
    lines = (folder / "list.txt").read_text().splitlines()[: sizes["images"]]
    (folder / f"list{sizes['images']}.txt").write_text("\n".join(lines) + "\n")
    path = folder / f"input_{sizes['images']}_{sizes['augmix']}.yaml"
    path.write_text(json.dumps(config(sizes, folder)))
    job = build_job(load_run(str(path)))
    assert job.batches is not None
    batches = job.batches.start(0)
    number = sizes["images"] // sizes["batch"]

    def call() -> dict[str, Any]:
        shapes = {tuple(next(batches).images.shape) for _ in range(number)}
        return {"shape": "x".join(map(str, shapes.pop()))}

    return Work(call, number * sizes["batch"])
