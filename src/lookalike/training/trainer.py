"""The training loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lookalike.data.loader import EndlessBatches
from lookalike.errors import CheckpointError, DivergedError
from lookalike.optim import ScheduledOptimizer
from lookalike.training.averages import Averages, Stopwatch, shown
from lookalike.training.checkpoint import Checkpoint, copy_checkpoint, save_checkpoint
from lookalike.training.random_state import random_state, restore_random_state
from lookalike.training.run_log import RunLog
from lookalike.training.stop_signals import StopRequest, stop_on_signals
from lookalike.types import Batch

TrainMetric = Callable[[Any, Tensor], Mapping[str, Tensor]]


@dataclass(frozen=True)
class TrainingResult:
    """How a run ended: its last evaluation, and the best one by the first metric."""

    metrics: dict[str, float]
    best: float | None
    best_epoch: int


@dataclass
class Trainer:
    """Minimises a loss over a stream of batches, evaluates, and saves.

    Attributes:
        model: ``model(images, labels)`` returns what the loss reads.
        loss: Returns its weighted terms by name and their sum under ``loss``.
        optimizers: All step together.
        batches: Endless; an epoch is ``iterations_per_epoch`` of them.
        epochs: Length of the run.
        iterations_per_epoch: Batches in an epoch.
        folder: The run folder.
        log: Where to tell.
        device: Where the model is.
        evaluate: Returns metrics by name; the first one, higher is better, chooses the best model.
        train_metrics: Computed on each training batch, shown beside the losses.
        prepare: Called once before the first step of a new run.
        print_every: Iterations between log lines.
        accumulate: Batches per optimiser step.
        eval_every: Epochs between evaluations.
        eval_from: First epoch that is evaluated.
        eval_first: Evaluate before the first step as well.
        save_every: Epochs between checkpoints that are kept; 0 or less keeps none.
        facts: Written into every manifest.
        names: Data-set index to file name, for messages.
    """

    model: nn.Module
    loss: nn.Module
    optimizers: Sequence[ScheduledOptimizer]
    batches: EndlessBatches
    epochs: int
    iterations_per_epoch: int
    folder: Path
    log: RunLog
    device: torch.device = torch.device("cpu")
    evaluate: Callable[[], Mapping[str, float]] | None = None
    train_metrics: TrainMetric | None = None
    prepare: Callable[[], None] | None = None
    print_every: int = 10
    accumulate: int = 1
    eval_every: int = 1
    eval_from: int = 0
    eval_first: bool = False
    save_every: int = 1
    facts: Mapping[str, Any] = field(default_factory=dict)
    names: Sequence[str] = ()

    def __post_init__(self) -> None:
        self.iteration = 0
        self.best: float | None = None
        self.best_epoch = 0
        self.last_metrics: dict[str, float] = {}
        self.averages = Averages()
        self.stopwatch = Stopwatch()

    def run(self) -> TrainingResult:
        """Train to the last epoch.

        Raises:
            Interrupted: If a signal asked to stop; the run has been saved.
            DivergedError: If the loss is not finite.
        """
        total = self.epochs * self.iterations_per_epoch
        with stop_on_signals() as stop:
            if self.iteration == 0:
                self._begin()
            if self.iteration < total:
                with self.log.bar("training", total) as bar:
                    bar.advance(self.iteration)
                    stream = self.batches.start(self.iteration)
                    for epoch in range(self.iteration // self.iterations_per_epoch, self.epochs):
                        self._epoch(epoch, stream, stop, bar.advance)
        return TrainingResult(self.last_metrics, self.best, self.best_epoch)

    def _begin(self) -> None:
        if self.prepare is not None:
            self.prepare()
        if self.eval_first and self.evaluate is not None and self._evaluate(0):
            self._save("best_model")

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
        self.model.train()
        self.loss.train()
        self.stopwatch.restart()
        for index in range(first, self.iterations_per_epoch):
            self._iteration(epoch, index, next(stream))
            advance()
            last = index + 1 == self.iterations_per_epoch
            # gradients of a half accumulated step cannot be saved; finish it first
            if stop and not last and self.iteration % self.accumulate == 0:
                self._save("latest")
                raise stop.event(self._how_to_go_on())
        self._end_epoch(epoch + 1)
        if stop:
            raise stop.event(self._how_to_go_on())

    def _iteration(self, epoch: int, index: int, batch: Batch) -> None:
        self.stopwatch.data_ready()
        batch = batch.to(self.device)
        images = batch.images.contiguous(memory_format=torch.channels_last)
        output = self.model(images, batch.labels)
        terms = self.loss(output, batch.labels)
        (terms["loss"] / self.accumulate).backward()
        printing = index % self.print_every == 0
        if self.device.type == "cpu" or printing:
            self._check_finite(terms, batch, epoch, index)
        rates = self._step()
        size = len(batch.labels)
        self.averages.add({**self._extra(output, batch), **terms}, size)
        self.stopwatch.batch_done(size)
        if printing:
            self._print(epoch, index, rates)

    def _step(self) -> list[float]:
        """Count the iteration; update the parameters when enough gradients have gathered."""
        step = self.iteration // self.accumulate
        self.iteration += 1
        if self.iteration % self.accumulate == 0:
            for optimizer in self.optimizers:
                optimizer.step(step)
        return [optimizer.learning_rate(step) for optimizer in self.optimizers]

    def _extra(self, output: Any, batch: Batch) -> Mapping[str, Tensor]:
        if self.train_metrics is None:
            return {}
        with torch.no_grad():
            return self.train_metrics(output, batch.labels)

    def _check_finite(
        self, terms: Mapping[str, Tensor], batch: Batch, epoch: int, index: int
    ) -> None:
        if math.isfinite(float(terms["loss"].detach())):
            return
        values = ", ".join(f"{name}: {float(term.detach()):g}" for name, term in terms.items())
        files = [self.names[int(i)] for i in batch.indices[:8]] if self.names else []
        raise DivergedError(
            f"the loss is not finite in epoch {epoch + 1}, iteration {index} ({values}). First "
            f"images of the batch: {', '.join(files)}. The last checkpoint is intact; a lower "
            "learning rate, a longer warm-up or clip_global_norm usually helps."
        )

    def _end_epoch(self, epoch: int) -> None:
        means = self.averages.read()
        self.log.line(f"[Train][Epoch {epoch}/{self.epochs}][Avg]{shown(means)}")
        improved = False
        due = epoch % self.eval_every == 0 and epoch >= self.eval_from
        if self.evaluate is not None and due:
            improved = self._evaluate(epoch)
        self._save("latest")
        if self.save_every > 0 and epoch % self.save_every == 0:
            copy_checkpoint(self.folder / "latest", self.folder / f"epoch_{epoch}")
        if improved:
            copy_checkpoint(self.folder / "latest", self.folder / "best_model")

    def _evaluate(self, epoch: int) -> bool:
        """Evaluate; return whether the model is at least as good as the best so far."""
        assert self.evaluate is not None
        self.last_metrics = dict(self.evaluate())
        self.log.line(f"[Eval][Epoch {epoch}][Avg]{shown(self.last_metrics)}")
        self.log.record("eval", {"epoch": epoch, "step": self.iteration, **self.last_metrics})
        score = next(iter(self.last_metrics.values()))
        for optimizer in self.optimizers if epoch else ():
            optimizer.report(score)
        improved = self.best is None or score >= self.best
        if improved:
            self.best, self.best_epoch = score, epoch
        self.log.line(f"[Eval][Epoch {epoch}][best metric: {self.best:.5f}]")
        self.stopwatch.restart()
        return improved

    def _print(self, epoch: int, index: int, rates: Sequence[float]) -> None:
        means = self.averages.read()
        watch = self.stopwatch
        named = zip([optimizer.name for optimizer in self.optimizers], rates, strict=True)
        learning_rates = ", ".join(f"lr({name}): {rate:.8f}" for name, rate in named)
        left = self.epochs * self.iterations_per_epoch - self.iteration
        self.log.line(
            f"[Train][Epoch {epoch + 1}/{self.epochs}]"
            f"[Iter: {index}/{self.iterations_per_epoch}]"
            f"{learning_rates}, {shown(means)}, {watch.summary(left)}"
        )
        self.log.record(
            "train",
            {
                "epoch": epoch + 1,
                "step": self.iteration,
                "lr": rates[0],
                **means,
                **watch.costs(),
            },
        )
        watch.restart()

    def _how_to_go_on(self) -> str:
        return f"Go on with --resume, or with -o Global.checkpoints={self.folder / 'latest'}"

    def _save(self, name: str) -> None:
        epoch = self.iteration // self.iterations_per_epoch
        save_checkpoint(
            self.folder / name,
            model=self.model.state_dict(),
            state=self.state(),
            facts={
                "epoch": epoch,
                "iteration": self.iteration,
                "metrics": self.last_metrics,
                "best": self.best,
                "best_epoch": self.best_epoch,
                **self.facts,
            },
        )

    def state(self) -> dict[str, Any]:
        """Return everything but the model that the rest of the run depends on."""
        return {
            "iteration": self.iteration,
            "iterations_per_epoch": self.iterations_per_epoch,
            "best": self.best,
            "best_epoch": self.best_epoch,
            "last_metrics": self.last_metrics,
            "averages": self.averages.state_dict(),
            "loss": self.loss.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "random": random_state(),
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
            self.model.load_state_dict(checkpoint.model)
            self.loss.load_state_dict(state["loss"])
            for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(saved)
        except (RuntimeError, ValueError, KeyError) as error:
            raise CheckpointError(
                f"{checkpoint.folder}: made for another model, loss or optimiser. "
                f"{' '.join(str(error).split())[:300]}"
            ) from error
        self.iteration = state["iteration"]
        self.best, self.best_epoch = state["best"], state["best_epoch"]
        self.last_metrics = dict(state["last_metrics"])
        self.averages.load_state_dict(state["averages"])
        restore_random_state(state["random"])
