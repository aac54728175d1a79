"""The training loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lookalike.data.feature_batches import FeatureBatches
from lookalike.data.loader import EndlessBatches, PairedBatches
from lookalike.errors import CheckpointError
from lookalike.training.averages import Averages, Stopwatch, shown
from lookalike.training.best import Best
from lookalike.training.checkpoint import Checkpoint, copy_checkpoint, save_checkpoint
from lookalike.training.doctor import Doctor
from lookalike.training.doctor.look import look_at
from lookalike.training.failures import failures_told, saved_before_failing
from lookalike.training.finite import FiniteGuard, Step
from lookalike.training.quarantine import QuarantinedBatches
from lookalike.training.random_state import random_state, restore_random_state
from lookalike.training.run_log import RunLog
from lookalike.training.stop_signals import StopRequest, stop_on_signals
from lookalike.training.update import Update
from lookalike.types import Batch

TrainMetric = Callable[[Any, Tensor], Mapping[str, Tensor]]


@dataclass(frozen=True)
class TrainingResult:
    """How a run ended: its last evaluation, and the best one by the first metric."""

    metrics: dict[str, float]
    best: Best


@dataclass
class Trainer:
    """Minimises a loss over a stream of batches, evaluates, and saves.

    Attributes:
        update: Model, loss and optimisers, and how they work together on a batch.
        batches: Endless; an epoch is ``iterations_per_epoch`` of them.
        epochs: Length of the run.
        iterations_per_epoch: Batches in an epoch.
        folder: The run folder.
        log: Where to tell.
        device: Where the model is.
        evaluate: A model's metrics by name; the first one, higher is better, chooses the best
            model. An average of the weights is evaluated beside the model and has its own best.
        train_metrics: Computed on each training batch, shown beside the losses.
        prepare: Called once before the first step of a new run.
        print_every: Iterations between log lines.
        eval_every: Epochs between evaluations.
        eval_from: First epoch that is evaluated.
        eval_first: Evaluate before the first step as well.
        save_every: Epochs between checkpoints that are kept; 0 or less keeps none.
        facts: Written into every manifest.
        documents: Facts of a checkpoint to the texts that are put beside it.
        names: Data-set index to file name, for messages.
    """

    update: Update
    batches: EndlessBatches | PairedBatches | FeatureBatches | QuarantinedBatches
    epochs: int
    iterations_per_epoch: int
    folder: Path
    log: RunLog
    device: torch.device = torch.device("cpu")
    evaluate: Callable[[nn.Module], Mapping[str, float]] | None = None
    train_metrics: TrainMetric | None = None
    prepare: Callable[[], None] | None = None
    print_every: int = 10
    eval_every: int = 1
    eval_from: int = 0
    eval_first: bool = False
    save_every: int = 1
    facts: Mapping[str, Any] = field(default_factory=dict)
    documents: Callable[[Mapping[str, Any]], Mapping[str, str]] | None = None
    names: Sequence[str] = ()

    def __post_init__(self) -> None:
        self.iteration, self.plan = 0, None  # type: int, Any
        self.best, self.best_averaged = Best(), Best()
        self.last_metrics: dict[str, float] = {}
        self.averages = Averages()
        self.stopwatch = Stopwatch()
        self.guard = FiniteGuard(self.folder, self.update, self.names)
        self.doctor = Doctor(self.update, self.log, per_epoch=self.iterations_per_epoch)

    def run(self) -> TrainingResult:
        """Train to the last epoch.

        Raises:
            Interrupted: If a signal asked to stop; the run has been saved.
            DivergedError: If the loss or a gradient is not finite.
        """
        total = self.epochs * self.iterations_per_epoch
        with stop_on_signals() as stop, failures_told(self):
            if self.iteration == 0:
                self._begin()
            if self.iteration < total:
                with self.log.bar("training", total) as bar:
                    bar.advance(self.iteration)
                    stream = saved_before_failing(self)
                    for epoch in range(self.iteration // self.iterations_per_epoch, self.epochs):
                        self._epoch(epoch, stream, stop, bar.advance)
        return TrainingResult(self.last_metrics, self.best)

    def _begin(self) -> None:
        if self.prepare is not None:
            self.prepare()
            self.update.restart_average()
        if self.eval_first and self.evaluate is not None and self._evaluate(0):
            self._save("best_model", self.update.model)

    def _epoch(
        self,
        epoch: int,
        stream: Iterator[Batch],
        stop: StopRequest,
        advance: Callable[[], None],
    ) -> None:
        first = self.iteration % self.iterations_per_epoch
        if first == 0:
            self.averages = Averages()
        self.update.train()
        self.stopwatch.restart()
        for index in range(first, self.iterations_per_epoch):
            self._iteration(epoch, index, next(stream))
            advance()
            last = index + 1 == self.iterations_per_epoch
            # gradients of a half accumulated step cannot be saved; finish it first
            if stop and not last and self.iteration % self.update.accumulate == 0:
                self._save("latest", self.update.model)
                raise stop.event(self._how_to_go_on())
        self._end_epoch(epoch + 1)
        if stop:
            raise stop.event(self._how_to_go_on())

    def _iteration(self, epoch: int, index: int, batch: Batch) -> None:
        self.stopwatch.data_ready()
        if not len(batch.labels):
            self.update.skip(self.iteration)
            self.iteration += 1
            return
        batch = batch.to(self.device)
        output, terms = self.update.gradients(batch, self.iteration)
        printing = index % self.print_every == 0
        self.guard.note(Step(self.iteration, epoch, index, batch.indices, terms))
        if self.device.type == "cpu" or printing:
            self.guard.confirm()
        rates = self.update.apply(self.iteration)
        self.iteration += 1
        size = len(batch.labels)
        self.averages.add({**self._extra(output, batch), **terms}, size)
        self.stopwatch.batch_done(size)
        if printing:
            self._print(epoch, index, rates)
            place = self.iteration - 1, self.epochs * self.iterations_per_epoch
            self.doctor.look(look_at(output, batch, terms, rates, place))

    def _extra(self, output: Any, batch: Batch) -> Mapping[str, Tensor]:
        if self.train_metrics is None:
            return {}
        with torch.no_grad():
            return self.train_metrics(output, batch.labels)

    def _end_epoch(self, epoch: int) -> None:
        self.guard.confirm()
        means = self.averages.read()
        self.log.line(f"[Train][Epoch {epoch}/{self.epochs}][Avg]{shown(means)}")
        improved = False
        due = epoch % self.eval_every == 0 and epoch >= self.eval_from
        if self.evaluate is not None and due:
            improved = self._evaluate(epoch)
        self._save("latest", self.update.model)
        if self.save_every > 0 and epoch % self.save_every == 0:
            copy_checkpoint(self.folder / "latest", self.folder / f"epoch_{epoch}")
        if improved:
            copy_checkpoint(self.folder / "latest", self.folder / "best_model")

    def _evaluate(self, epoch: int) -> bool:
        """Evaluate; return whether the model is at least as good as the best so far."""
        self.last_metrics = self._measure(self.update.model, "Eval", epoch)
        score = next(iter(self.last_metrics.values()))
        for optimizer in self.update.optimizers if epoch else ():
            optimizer.report(score)
        improved = self.best.improves(score, epoch)
        if self.best.score is not None:
            self.log.line(f"[Eval][Epoch {epoch}][best metric: {self.best.score:.5f}]")
        if self.update.averaged is not None and epoch:
            averaged = self.update.averaged.module
            found = self._measure(averaged, "Eval EMA", epoch)
            if self.best_averaged.improves(next(iter(found.values())), epoch):
                self._save("best_model_ema", averaged, found, self.best_averaged)
        self.stopwatch.restart()
        return improved

    def _measure(self, model: nn.Module, what: str, epoch: int) -> dict[str, float]:
        assert self.evaluate is not None
        found = dict(self.evaluate(model))
        self.log.line(f"[{what}][Epoch {epoch}][Avg]{shown(found)}")
        facts = {"epoch": epoch, "step": self.iteration}
        self.log.record(what.lower().replace(" ", "_"), {**facts, **found})
        return found

    def _print(self, epoch: int, index: int, rates: Sequence[float]) -> None:
        means, watch = self.averages.read(), self.stopwatch
        named = zip([optimizer.name for optimizer in self.update.optimizers], rates, strict=True)
        learning_rates = ", ".join(f"lr({name}): {rate:.8f}" for name, rate in named)
        left = self.epochs * self.iterations_per_epoch - self.iteration
        self.log.line(
            f"[Train][Epoch {epoch + 1}/{self.epochs}]"
            f"[Iter: {index}/{self.iterations_per_epoch}]"
            f"{learning_rates}, {shown(means)}, {watch.summary(left)}"
        )
        self.log.record(
            "train",
            {"epoch": epoch + 1, "step": self.iteration, "lr": rates[0], **means, **watch.costs()},
        )
        self.guard.statistics = {"step": self.iteration, "lr": list(rates), **means}
        watch.restart()

    def _how_to_go_on(self) -> str:
        return f"Go on with --resume, or with -o Global.checkpoints={self.folder / 'latest'}"

    def _save(
        self,
        name: str,
        model: nn.Module,
        metrics: Mapping[str, float] | None = None,
        best: Best | None = None,
    ) -> None:
        self.guard.confirm()  # nothing is saved that is not finite
        best = best or self.best
        facts = {
            "epoch": self.iteration // self.iterations_per_epoch,
            "iteration": self.iteration,
            "metrics": dict(metrics or self.last_metrics),
            "best": best.score,
            "best_epoch": best.epoch,
            **self.facts,
        }
        save_checkpoint(
            self.folder / name,
            model=model.state_dict(),
            state=self.state(),
            facts=facts,
            documents=None if self.documents is None else self.documents(facts),
        )

    def state(self) -> dict[str, Any]:
        """Return everything but the model that the rest of the run depends on."""
        return {
            "iteration": self.iteration,
            "iterations_per_epoch": self.iterations_per_epoch,
            "best": [self.best.score, self.best.epoch],
            "best_averaged": [self.best_averaged.score, self.best_averaged.epoch],
            "last_metrics": self.last_metrics,
            "averages": self.averages.state_dict(),
            "update": self.update.state_dict(),
            "random": random_state(),
            "plan": self.batches.plan_of(self.iteration),
        }

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continue where a checkpoint was saved.

        Raises:
            CheckpointError: If it was saved by a run of another shape.
        """
        state = checkpoint.state
        if state["iterations_per_epoch"] != self.iterations_per_epoch:
            raise CheckpointError(
                f"{checkpoint.folder}: saved by a run with {state['iterations_per_epoch']} batches "
                f"per epoch, this one has {self.iterations_per_epoch}; the data list, the batch "
                "size or the sampler has changed. To start anew from its weights, use "
                "Global.pretrained_model instead of Global.checkpoints."
            )
        try:
            self.update.model.load_state_dict(checkpoint.model)
            self.update.load_state_dict(state["update"])
        except (RuntimeError, ValueError, KeyError) as error:
            raise CheckpointError(
                f"{checkpoint.folder}: made for another model, loss or optimiser. "
                f"{' '.join(str(error).split())[:300]}"
            ) from error
        self.iteration, self.plan = state["iteration"], state.get("plan")
        self.best, self.best_averaged = Best(*state["best"]), Best(*state["best_averaged"])
        self.last_metrics = dict(state["last_metrics"])
        self.averages.load_state_dict(state["averages"])
        restore_random_state(state["random"])
