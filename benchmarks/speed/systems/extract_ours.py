"""Lookalike's embeddings of files, and the bare runtimes on tensors that were decoded before."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import simplejpeg
import torch
from torch import nn

from benchmarks.speed.plan import Where
from benchmarks.speed.systems import extract_files, input_files
from benchmarks.speed.work import Work
from lookalike.assembly.embedding import embedded_split
from lookalike.inference import embed
from lookalike.inference.export import ONNX, run_onnx
from lookalike.models.evaluating import evaluating
from lookalike.training import RunLog


class _Exported(nn.Module):
    """An exported file in the place of a model."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.run = run_onnx(path)

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"features": self.run(images)}


def _split(sizes: Mapping[str, Any], where: Where) -> tuple[Any, Any]:
    job = extract_files.job(sizes, where.folder)
    assert job.evaluation is not None
    return job, job.evaluation.query


def files_onnx(sizes: Mapping[str, Any], where: Where) -> Work:
    """Embed the split's files with the exported model.

    There is no command for it: this is `embed` with the exported file as its model.
    """
    if where.device != "cpu":
        raise NotImplementedError("the exported model runs on the CPU only")
    job, split = _split(sizes, where)
    model = _Exported(extract_files.model_folder(sizes, where.folder) / ONNX)
    del job

    def call() -> dict[str, float]:
        table = embed(model, split.batches, split.dataset, channels_last=False)
        return {"embeddings": len(table), "first": float(table.embeddings[0, 0])}

    return Work(call, sizes["images"])


def files_torch(sizes: Mapping[str, Any], where: Where) -> Work:
    """Embed the split as `lookalike embed` does."""
    job, _ = _split(sizes, where)
    log = RunLog(job.folder, "embed")

    def call() -> dict[str, float]:
        table = embedded_split(job, "Query", log)
        return {"embeddings": len(table), "first": float(table.embeddings[0, 0])}

    return Work(call, sizes["images"])


def _tensors(sizes: Mapping[str, Any], where: Where) -> list[torch.Tensor]:
    _, split = _split(sizes, where)
    return [batch.images for batch in split.batches]


def tensors_onnx(sizes: Mapping[str, Any], where: Where) -> Work:
    """Run the exported file by onnxruntime on decoded batches."""
    import onnxruntime

    batches = [images.numpy() for images in _tensors(sizes, where)]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = where.threads
    path = extract_files.model_folder(sizes, where.folder) / ONNX
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (name,) = (one.name for one in session.get_inputs())

    def call() -> dict[str, float]:
        found = [session.run(None, {name: images})[0] for images in batches]
        return {"first": float(found[0][0, 0])}

    return Work(call, sizes["images"])


def tensors_torch(sizes: Mapping[str, Any], where: Where) -> Work:
    """Run the model by torch, as it is, on decoded batches."""
    batches = [images.to(where.device) for images in _tensors(sizes, where)]
    model = extract_files.job(sizes, where.folder).model.to(where.device)

    def call() -> dict[str, float]:
        with evaluating(model):
            found = [model(images)["features"] for images in batches]
        return {"first": float(found[0][0, 0])}

    return Work(call, sizes["images"])


def decoding(sizes: Mapping[str, Any], where: Where) -> Work:
    """Decode the files and do no more."""
    files = input_files.paths(sizes, where.folder)

    def call() -> None:
        for path in files:
            simplejpeg.decode_jpeg(Path(path).read_bytes(), colorspace="RGB")

    return Work(call, len(files))
