"""What a frozen backbone returns, computed once: ``Global.feature_cache``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lookalike.assembly.beside import beside_of
from lookalike.assembly.cacheable import reason_against
from lookalike.assembly.eval_splits import EvalSplit
from lookalike.assembly.evaluation import Evaluation, evaluate
from lookalike.assembly.facts import versions
from lookalike.assembly.job import Job
from lookalike.config.schema import ArchSection
from lookalike.data.chance import Watched
from lookalike.data.feature_batches import FeatureBatches, PlannedFeatures, Rows
from lookalike.data.feature_store import Contents, FeatureStore
from lookalike.data.loader import EndlessBatches, read_batches
from lookalike.durable import write_whole
from lookalike.inference.features import backbone_features
from lookalike.models import EmbeddingModel
from lookalike.retrieval import RetrievalResult
from lookalike.training import RunLog
from lookalike.types import ModelOutput

_FILE_BYTES = 64_000_000


class FeatureCache:
    """The features of a job's data sets, computed when they are first asked for.

    Args:
        job: Its model's backbone is frozen.
        log: Where to tell.
    """

    def __init__(self, job: Job, log: RunLog) -> None:
        self.job, self.log = job, log
        self.store: FeatureStore | None = None
        self.known: dict[int, Rows] = {}

    def batches(self) -> FeatureBatches:
        """Return the training batches, of features."""
        images, job = self.job.batches, self.job
        assert isinstance(images, EndlessBatches)
        size = getattr(images.sampler, "batch_size", 64)
        workers = images.num_workers
        plan = _in_pieces(np.arange(len(images.dataset)), size)

        def rows() -> Rows:
            return self.rows("training", job.train, plan, workers)

        return FeatureBatches(rows, images.dataset, images.sampler, num_workers=workers)

    def evaluate(self, model: nn.Module) -> RetrievalResult:
        """Evaluate neck and head of a model on features, where the images are always the same."""
        evaluation = self.job.evaluation
        assert evaluation is not None and isinstance(model, EmbeddingModel)
        if any(reason_against(split.dataset) for split in evaluation.splits):
            return evaluate(model, evaluation, device=self.job.device, log=self.log)
        of_features = self._of_features(evaluation)
        return evaluate(_Rest(model), of_features, device=self.job.device, log=self.log)

    def _of_features(self, evaluation: Evaluation) -> Evaluation:
        splits = [self._split(split) for split in evaluation.splits]
        return replace(evaluation, query=splits[0], gallery=splits[-1])

    def _split(self, split: EvalSplit) -> EvalSplit:
        images: Any = split.batches
        loader = images.loader
        rows = self.rows(split.name.lower(), split.dataset, images.plan, loader.num_workers)
        return replace(split, batches=PlannedFeatures(images.plan, rows, split.dataset))

    def rows(
        self, name: str, dataset: Any, plan: Sequence[Sequence[int]], num_workers: int
    ) -> Rows:
        """Return what gives the features of a data set's images, computing those not there.

        Args:
            name: Of the data set, for messages.
            dataset: Whose images.
            plan: Batches in which to compute what is missing.
            num_workers: Processes that read the images.
        """
        if id(dataset) not in self.known:
            contents = self._contents(name, dataset)
            store = self._opened()
            self._fill(store, name, dataset, contents, plan, num_workers)
            places = store.find(contents)
            self.known[id(dataset)] = lambda indices: store.rows(places[indices])
        return self.known[id(dataset)]

    def _contents(self, name: str, dataset: Any) -> Contents:
        contents = np.empty(len(dataset), "S32")
        with self.log.bar(f"looking up {name} features", len(dataset)) as bar:
            for index in range(len(dataset)):
                contents[index] = dataset.content(index)
                bar.advance()
        return contents

    def _opened(self) -> FeatureStore:
        """Open the store of this backbone's weights as they are now: a resumed run has its own."""
        if self.store is None:
            (built,) = self.job.built.parts
            about = _about(built.arch, self.job.device)
            settings = self.job.run.config.Global
            folder = self.job.folder / "features"
            if isinstance(settings.feature_cache, str):
                folder = Path(settings.feature_cache)
            folder /= _fingerprint(about, built.model.backbone)
            write_whole(folder / "about.json", json.dumps(about, indent=1) + "\n")
            self.store = FeatureStore(folder, built.shapes["backbone"][1:])
        return self.store

    def _fill(
        self,
        store: FeatureStore,
        name: str,
        dataset: Any,
        contents: Contents,
        plan: Sequence[Sequence[int]],
        num_workers: int,
    ) -> None:
        missing = np.zeros(len(contents), bool)
        # of images with the same content the first one is computed
        missing[np.unique(contents, return_index=True)[1]] = True
        missing &= store.find(contents) < 0
        left = [kept for batch in plan if (kept := [i for i in batch if missing[i]])]
        count = int(missing.sum())
        self.log.line(
            f"Features of the {name} images: {len(contents) - count:,} of {len(contents):,} are in "
            f"{store.folder}" + (f", {count:,} are computed now, once" if count else "")
        )
        batches = read_batches(
            Watched(dataset), left, num_workers, timeout=self.job.run.config.Global.data_timeout
        )
        with self.log.bar(f"{name} features", count) as bar:
            done: list[tuple[NDArray[np.int64], Tensor]] = []
            backbone = self.job.built.parts[0].model.backbone
            for indices, features in backbone_features(backbone, batches, device=self.job.device):
                done.append((indices.numpy(), features))
                bar.advance(len(indices))
                if sum(rows.nbytes for _, rows in done) >= _FILE_BYTES:
                    _write(store, contents, done)
            if done:
                _write(store, contents, done)


class _Rest(nn.Module):
    """A model behind its backbone."""

    def __init__(self, model: EmbeddingModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, features: Tensor, labels: Tensor | None = None) -> ModelOutput:
        return self.model.from_features(features, labels)


def _in_pieces(indices: NDArray[np.int64], size: int) -> list[list[int]]:
    return [indices[i : i + size].tolist() for i in range(0, len(indices), size)]


def _write(
    store: FeatureStore, contents: Contents, done: list[tuple[NDArray[np.int64], Tensor]]
) -> None:
    indices = np.concatenate([own for own, _ in done])
    store.add(contents[indices], torch.cat([rows for _, rows in done]))
    done.clear()


def _about(arch: ArchSection, device: torch.device) -> dict[str, Any]:
    """Return what the features depend on beside weights and images."""
    own = arch.Backbone.args
    beside = beside_of("backbone", own)[0]
    found = {key: value for key, value in versions().items() if key not in ("python", "platform")}
    return {
        "backbone": arch.Backbone.name,
        "arguments": {key: value for key, value in own.items() if key not in beside},
        "layer": arch.BackboneStopLayer.name if arch.BackboneStopLayer else None,
        "device": device.type,
        "versions": found,
    }


def _fingerprint(about: dict[str, Any], backbone: nn.Module) -> str:
    digest = hashlib.sha256(json.dumps(about, sort_keys=True, default=repr).encode())
    for name, tensor in backbone.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        data = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(data.numpy().data)
    return digest.hexdigest()[:16]
