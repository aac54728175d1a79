"""The training loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lookalike import processes
from lookalike.data.feature_batches import FeatureBatches
from lookalike.data.loader import EndlessBatches, PairedBatches
from lookalike.place import telling
from lookalike.training.averages import Averages, Stopwatch, shown
from lookalike.training.best import Best
from lookalike.training.checkpoint import Checkpoint
from lookalike.training.doctor import Doctor
from lookalike.training.doctor.look import look_at
from lookalike.training.failures import failures_told, saved_before_failing
from lookalike.training.finite import FiniteGuard, Step
from lookalike.training.intact import BEST, LATEST, is_at
from lookalike.training.quarantine import QuarantinedBatches
from lookalike.training.run_folder import new_run_id
from lookalike.training.run_log import RunLog
from lookalike.training.run_state import copy_latest, restore, save, save_evaluation, state_of
from lookalike.training.sharded_state import replicated
from lookalike.training.stop_signals import StopNow, StopRequest, stop_on_signals
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
        prepare: Called once before the first step of a new run, in every process.
        print_every: Iterations between log lines.
        eval_every: Epochs between evaluations.
        eval_from: First epoch that is evaluated.
        eval_first: Evaluate before the first step as well.
        save_every: Epochs between checkpoints that are kept; 0 or less keeps none.
        save_steps: Iterations between saves of ``latest`` within an epoch, which come when a step
            of the optimisers is complete; 0 saves at the end of an epoch only.
        keep: So many of the kept epochs stay, the last ones; None keeps all.
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
    save_steps: int = 0
    keep: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    documents: Callable[[Mapping[str, Any]], Mapping[str, str]] | None = None
    names: Sequence[str] = ()

    def __post_init__(self) -> None:
        self.iteration, self.saved_at, self.plan = 0, 0, None  # type: int, int, Any
        self.evaluation_due, self.run_id = False, new_run_id()
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
        self.saved_at = self.iteration
        with stop_on_signals() as stop, failures_told(self):
            if self.iteration == 0:
                self._begin()
            self._complete(stop)
            if self.iteration < total:
                with self.log.bar("training", total) as bar:
                    bar.advance(self.iteration)
                    stream = telling(saved_before_failing(self), self.iteration)
                    for epoch in range(self.iteration // self.iterations_per_epoch, self.epochs):
                        self._epoch(epoch, stream, stop, bar.advance)
        return TrainingResult(self.last_metrics, self.best)

    def _begin(self) -> None:
        if self.prepare is not None:
            self.prepare()
            processes.take_from_first(replicated(self.update.model).values())
            self.update.restart_average()
        if self.eval_first and self.evaluate is not None:
            self._evaluate(0)

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
            self._iteration(epoch, index, self._next(stream, stop))
            advance()
            last = index + 1 == self.iterations_per_epoch
            # gradients of a half accumulated step cannot be saved; finish it first
            if last or self.iteration % self.update.accumulate:
                continue
            stopping = stop.anywhere()
            if stopping or 0 < self.save_steps <= self.iteration - self.saved_at:
                self._save_latest()
                self.stopwatch.leave_out()
            if stopping:
                raise stop.event(self._how_to_go_on())
        self._end_epoch(epoch + 1, stop)
        if stop.anywhere():
            raise stop.event(self._how_to_go_on())

    def _next(self, stream: Iterator[Batch], stop: StopRequest) -> Batch:
        try:
            batch = next(stream)
        except Exception:
            # a signal to the whole group has ended the processes that read images as well
            half = self.iteration % self.update.accumulate
            if not stop or half or processes.count() > 1:
                raise
            self._save_latest()
            raise stop.event(self._how_to_go_on()) from None
        self.plan = None
        return batch

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
        self.stopwatch.batch_done(size * processes.count())
        if printing:
            self._print(epoch, index, rates)
            place = self.iteration - 1, self.epochs * self.iterations_per_epoch
            self.doctor.look(look_at(output, batch, terms, rates, place))

    def _extra(self, output: Any, batch: Batch) -> Mapping[str, Tensor]:
        if self.train_metrics is None:
            return {}
        with torch.no_grad():
            return self.train_metrics(output, batch.labels)

    def _end_epoch(self, epoch: int, stop: StopRequest) -> None:
        self.guard.confirm()
        means = self.averages.read()
        self.log.line(f"[Train][Epoch {epoch}/{self.epochs}][Avg]{shown(means)}")
        due = epoch % self.eval_every == 0 and epoch >= self.eval_from
        if self.evaluate is not None and due:
            # whatever the evaluation may meet, the epoch is not lost
            self._save_latest({**self.state(), "evaluation_due": True})
            self._evaluate_or_stop(epoch, stop)
            save_evaluation(self)
        else:
            self._save_latest()
        copy_latest(self, epoch)

    def _evaluate_or_stop(self, epoch: int, stop: StopRequest) -> None:
        """Evaluate; a signal breaks it off, and the resumed run begins with it."""
        try:
            with stop.at_once():
                self._evaluate(epoch)
        except StopNow:
            raise stop.event(self._how_to_go_on()) from None

    def _complete(self, stop: StopRequest) -> None:
        """Do what the end of an epoch still lacks: a kill may come between any two steps of it."""
        epoch, rest = divmod(self.iteration, self.iterations_per_epoch)
        if self.evaluation_due:
            self.evaluation_due = False
            self._end_epoch(epoch, stop)
        elif epoch and not rest and is_at(self.folder / LATEST, self.iteration):
            copy_latest(self, epoch)

    def _evaluate(self, epoch: int) -> None:
        """Evaluate; the untrained model, of epoch 0, is never the best model of a run."""
        self.last_metrics = self._measure(self.update.model, "Eval", epoch)
        score = next(iter(self.last_metrics.values()))
        if epoch:
            for optimizer in self.update.optimizers:
                optimizer.report(score)
            self.best.improves(score, epoch)
        if self.best.score is not None:
            self.log.line(f"[Eval][Epoch {epoch}][best metric: {self.best.score:.5f}]")
        if self.update.averaged is not None and epoch:
            averaged = self.update.averaged.module
            found = self._measure(averaged, "Eval EMA", epoch)
            if self.best_averaged.improves(next(iter(found.values())), epoch):
                save(self, f"{BEST}_ema", averaged, found, self.best_averaged)
        self.stopwatch.restart()

    def _measure(self, model: nn.Module, what: str, epoch: int) -> dict[str, float]:
        assert self.evaluate is not None
        processes.take_from_first(model.buffers())
        # computed alike in each, but machines may differ in the last digit
        found = dict(processes.each(dict(self.evaluate(model)))[0])
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

    def _save_latest(self, state: Mapping[str, Any] | None = None) -> None:
        self.guard.confirm()  # nothing is saved that is not finite
        save(self, LATEST, self.update.model, state=state)
        self.saved_at = self.iteration

    def state(self) -> dict[str, Any]:
        """Return everything but the model that the rest of the run depends on."""
        return state_of(self)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continue where a checkpoint was saved.

        Raises:
            CheckpointError: If it was saved by a run of another shape.
        """
        restore(self, checkpoint)
