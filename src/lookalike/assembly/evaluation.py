"""The ``DataLoader.Eval`` and ``Metric.Eval`` sections to a function that returns metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lookalike.assembly.classification import EvalLosses, classification_scores, eval_losses
from lookalike.assembly.eval_splits import EvalSplit, check_answerable, read_splits
from lookalike.assembly.load import Run
from lookalike.assembly.parts import make_metrics
from lookalike.config import ComponentSpec
from lookalike.data.datasets import FACE_SETS, FacePairs
from lookalike.durable import whole_file
from lookalike.errors import ConfigError, Problem
from lookalike.geometry import unit
from lookalike.inference import embed
from lookalike.models.distillation_model import chosen_model
from lookalike.retrieval import RetrievalResult, evaluate_retrieval
from lookalike.retrieval.verification import verification_accuracy
from lookalike.training import RunLog
from lookalike.types import EmbeddingTable

EVAL_BLOCK = """\
DataLoader:
  Eval:
    Query:
      dataset:
        name: VeriWild
        image_root: ./dataset/images/
        cls_label_path: ./dataset/query_list.txt
        transform_ops:
          - ResizeImage: {size: 224}
          - NormalizeImage: {scale: 0.00392157, mean: [0.485, 0.456, 0.406], \
std: [0.229, 0.224, 0.225], order: ''}
      sampler: {name: DistributedBatchSampler, batch_size: 64, drop_last: False, shuffle: False}
      loader: {num_workers: 4}
    Gallery: (the same, with the gallery's list)"""

DEFAULT_METRICS = [
    ComponentSpec.of("Recallk", {"topk": [1, 5]}),
    ComponentSpec.of("mAP", {}),
]


@dataclass
class Evaluation:
    """Everything an evaluation needs but the model.

    Attributes:
        query: The queries; for classification, the images to classify.
        gallery: What is searched; the query split itself where there is one split.
        metrics: In the order asked for.
        losses: Those of ``Loss.Eval`` where the eval_mode computes them.
        notes: For the user.
    """

    run: Run
    query: EvalSplit
    gallery: EvalSplit
    metrics: list[Any]
    losses: EvalLosses | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def shares_images(self) -> bool:
        """Whether an image of the gallery is also a query."""
        return not set(self.query.identities).isdisjoint(self.gallery.identities)

    @property
    def splits(self) -> list[EvalSplit]:
        one = self.gallery is self.query
        return [self.query] if one else [self.query, self.gallery]


def build_evaluation(
    run: Run,
    *,
    num_workers: Callable[[int], int],
    trained_classes: Callable[[], Sequence[str] | None] = lambda: None,
) -> Evaluation:
    """Read the evaluation's lists and build its metrics.

    Query and gallery number their classes and cameras together, by name; a classification numbers
    them as the training does.

    Args:
        run: The checked configuration.
        num_workers: Wished data workers to those that this machine has.
        trained_classes: Returns the names of the classes that the head was trained on, if known.

    Raises:
        ConfigError: If ``DataLoader.Eval`` is missing; shows the block to paste.
        DataError: If no query can be answered, or a class was not trained on.
    """
    section = run.config.DataLoader.Eval
    if section is None:
        raise ConfigError(
            [
                Problem(
                    "DataLoader.Eval",
                    "is missing, though the evaluation is on (Global.eval_during_train). Paste and "
                    f"adapt this block:\n\n{EVAL_BLOCK}\n\nor train without: "
                    "-o Global.eval_during_train=False",
                    where=run.document.file,
                )
            ]
        )
    splits = read_splits(run, section, num_workers, trained_classes)
    query = splits[0]
    gallery = splits[-1]
    if (run.config.Global.eval_mode == "adaface") != isinstance(query.dataset, FacePairs):
        raise ConfigError(
            [
                run.document.problem(
                    ("Global", "eval_mode"),
                    "'adaface' evaluates pairs of faces, the data set FiveValidationDataset; and "
                    "that data set needs this eval_mode.",
                )
            ]
        )
    notes = [note for split in splits for note in split.notes()]
    if run.config.Global.eval_mode == "retrieval":
        check_answerable(run, query, gallery)
    return Evaluation(run, query, gallery, _metrics(run), eval_losses(run, notes), notes)


def _metrics(run: Run) -> list[Any]:
    if run.config.Global.eval_mode == "adaface":
        return []
    specs: Sequence[ComponentSpec] = run.config.Metric.Eval
    classification = run.config.Global.eval_mode == "classification"
    if not specs:
        specs = [ComponentSpec.of("TopkAcc")] if classification else DEFAULT_METRICS
    metrics = make_metrics(specs, run.allow_import)
    for index, (spec, metric) in enumerate(zip(specs, metrics, strict=True)):
        retrieves = hasattr(metric, "per_query")
        if retrieves == classification:
            other = "retrieval" if retrieves else "classification"
            raise ConfigError(
                [
                    run.document.problem(
                        ("Metric", "Eval", index),
                        f"{spec.name} is a metric of eval_mode '{other}', but Global.eval_mode is "
                        f"'{run.config.Global.eval_mode}'.",
                    )
                ]
            )
    return metrics


def embed_split(
    model: nn.Module,
    split: EvalSplit,
    run: Run,
    *,
    device: torch.device,
    log: RunLog,
    mirrored: bool = False,
    channels_last: bool = True,
) -> EmbeddingTable:
    """Compute the embeddings of a split with a progress bar."""
    with log.bar(f"{split.name.lower()} embeddings", len(split.dataset)) as bar:
        return embed(
            model,
            split.batches,
            split.dataset,
            device=device,
            feature_from=run.config.Global.retrieval_feature_from,
            mirrored=mirrored,
            channels_last=channels_last,
            advance=bar.advance,
            images=split.identities,
        )


def evaluate(
    model: nn.Module,
    evaluation: Evaluation,
    *,
    device: torch.device,
    log: RunLog,
    tables: Path | None = None,
) -> RetrievalResult:
    """Evaluate a model in the run's ``eval_mode``; keep its embeddings in the folder ``tables``.

    Of several models that learn together the chosen one is evaluated.
    """
    model = chosen_model(model)
    mode = evaluation.run.config.Global.eval_mode
    if mode == "classification":
        return _evaluate_classifier(model, evaluation, device=device, log=log)
    if mode == "adaface":
        return _verify_faces(model, evaluation, device=device, log=log)
    query = embed_split(model, evaluation.query, evaluation.run, device=device, log=log)
    gallery = query
    if evaluation.gallery is not evaluation.query:
        gallery = embed_split(model, evaluation.gallery, evaluation.run, device=device, log=log)
    if tables is not None:
        _save(tables, {"query": query, "gallery": gallery})
    settings = evaluation.run.config.Global
    return evaluate_retrieval(
        query,
        gallery,
        evaluation.metrics,
        normalize=settings.feature_normalize,
        binarize=settings.feature_binarize,
        same_images=evaluation.shares_images,
        re_ranking=settings.re_ranking,
        protocol=settings.retrieval_protocol,
        block_size=settings.sim_block_size,
    )


def _verify_faces(
    model: nn.Module, evaluation: Evaluation, *, device: torch.device, log: RunLog
) -> RetrievalResult:
    """Tell same from different faces; the mean over the sets first."""
    split = evaluation.query
    table = embed_split(model, split, evaluation.run, device=device, log=log, mirrored=True)
    assert table.cameras is not None
    accuracy = {}
    for number, name in enumerate(FACE_SETS):
        own = table.cameras == number
        accuracy[f"{name}_test_acc"] = verification_accuracy(
            unit(table.embeddings[own]), table.labels[own][::2]
        )
    mean = sum(accuracy.values()) / len(accuracy)
    number = len(split.dataset)
    protocol = "pairs of faces; each fold of ten at the best threshold of the others"
    return RetrievalResult({"all_test_acc": mean, **accuracy}, {}, number, number, 0, protocol)


def _save(folder: Path, tables: Mapping[str, EmbeddingTable]) -> None:
    for name, table in tables.items():
        with whole_file(folder / f"{name}.npz") as unfinished:
            table.save(unfinished)


def _evaluate_classifier(
    model: nn.Module, evaluation: Evaluation, *, device: torch.device, log: RunLog
) -> RetrievalResult:
    """Score the head's logits on the evaluation images."""
    split, number = evaluation.query, len(evaluation.query.dataset)
    values = classification_scores(
        model, split.batches, number, evaluation.metrics, evaluation.losses, device=device, log=log
    )
    return RetrievalResult(values, {}, number, number, 0, "every image is classified")
