"""The loop: exact resume, stopping, saving by the rules, and refusing to diverge."""

import contextlib
import json
import resource
import signal

import pytest
import torch
from conftest import trainer_of

from lookalike.assembly.job import build_job
from lookalike.assembly.load import load_run
from lookalike.assembly.training import make_trainer
from lookalike.errors import CheckpointError, DivergedError, Interrupted
from lookalike.training import RunLog, load_checkpoint


def records(folder, kind):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [entry for entry in map(json.loads, lines) if entry["kind"] == kind]


def losses(folder):
    return [(entry["step"], entry["loss"]) for entry in records(folder, "train")]


def test_a_run_writes_what_the_reference_writes(tiny):
    trainer_of(tiny, "Global.epochs=3", "Global.save_interval=2").run()
    folder = tiny / "output"
    names = {"latest", ".latest.previous", "best_model", "epoch_2"}
    assert {p.name for p in folder.iterdir() if p.is_dir()} == names
    manifest = json.loads((folder / "latest" / "manifest.json").read_text())
    assert manifest["epoch"] == 3
    assert manifest["seed"] == 7
    assert manifest["data"]["Train"]["images"] == 24
    assert set(manifest["versions"]) >= {"torch", "timm", "lookalike", "python"}
    assert [entry["epoch"] for entry in records(folder, "eval")] == [1, 2, 3]
    text = (folder / "train.log").read_text()
    for field in ("lr(Cosine)", "CELoss", "SupConLoss", "batch_cost", "reader_cost", "ips", "eta"):
        assert field in text


def test_same_seed_same_losses_other_seed_other_losses(tiny):
    seen = []
    for seed in (7, 7, 8):
        folder = tiny / f"run{len(seen)}"
        trainer_of(tiny, f"Global.seed={seed}", f"Global.output_dir={folder}").run()
        seen.append(losses(folder))
    assert seen[0] == seen[1]
    assert seen[0] != seen[2]


@pytest.mark.parametrize(
    ("stop_after", "number", "code"), [(1, "SIGINT", 130), (3, "SIGTERM", 75), (4, "SIGUSR1", 75)]
)
def test_a_stopped_run_continues_bit_for_bit(tiny, stop_after, number, code):
    """Stopped by a signal in the middle of an epoch, or at its end, and resumed."""
    straight = tiny / "straight"
    trainer_of(tiny, f"Global.output_dir={straight}").run()

    broken = trainer_of(tiny)
    original = broken._iteration

    def then_stop(epoch, index, batch):
        original(epoch, index, batch)
        if broken.iteration == stop_after:
            signal.raise_signal(signal.Signals[number])

    broken._iteration = then_stop
    with pytest.raises(Interrupted) as caught:
        broken.run()
    assert caught.value.exit_code == code
    assert "--resume" in str(caught.value)

    resumed = trainer_of(tiny)
    resumed.restore(load_checkpoint(tiny / "output"))
    assert resumed.iteration == stop_after
    resumed.run()
    expected = load_checkpoint(straight)
    found = load_checkpoint(tiny / "output")
    assert set(expected.model) == set(found.model)
    for name, value in expected.model.items():
        assert torch.equal(value, found.model[name]), name
    assert dict(losses(straight)) == dict(losses(tiny / "output"))
    assert found.facts["best"] == expected.facts["best"]


def test_the_best_metric_survives_a_resume(tiny):
    first = trainer_of(tiny)
    first.run()
    again = trainer_of(tiny, "Global.epochs=3")
    again.restore(load_checkpoint(tiny / "output"))
    assert again.best == first.best


def test_gradient_accumulation_steps_less_often(tiny):
    trainer = trainer_of(tiny, "Global.update_freq=3", "Global.epochs=1")
    steps = []
    original = trainer.update.optimizers[0].step
    trainer.update.optimizers[0].step = lambda step, scaler: (
        steps.append(step),
        original(step, scaler),
    )
    trainer.run()
    assert trainer.iterations_per_epoch == 3
    assert steps == [0]


def test_resuming_another_model_is_refused(tiny):
    trainer_of(tiny, "Global.epochs=1").run()
    other = trainer_of(tiny, "Arch.Neck.out_channels=8", "Arch.Head.embedding_size=8")
    with pytest.raises(CheckpointError, match="made for another model"):
        other.restore(load_checkpoint(tiny / "output"))


def test_resuming_with_another_batch_size_is_refused(tiny):
    trainer_of(tiny, "Global.epochs=1").run()
    other = trainer_of(tiny, "DataLoader.Train.sampler.batch_size=4")
    with pytest.raises(CheckpointError, match="batches per epoch"):
        other.restore(load_checkpoint(tiny / "output"))


def test_a_loss_that_is_not_finite_stops_with_the_images_named(tiny):
    trainer = trainer_of(tiny, "Optimizer.lr.learning_rate=1e30", "Optimizer.lr.warmup_epoch=0")
    with pytest.raises(DivergedError, match=r"not finite in epoch \d+, iteration \d+ .*\.jpg"):
        trainer.run()


def test_evaluation_before_training_and_at_intervals(tiny):
    trainer_of(
        tiny, "Global.eval_before_train=True", "Global.eval_interval=2", "Global.epochs=4"
    ).run()
    assert [entry["epoch"] for entry in records(tiny / "output", "eval")] == [0, 2, 4]


def test_the_untrained_model_is_never_the_best_of_a_run(tiny):
    trainer_of(
        tiny,
        "Global.eval_before_train=True",
        "Global.epochs=1",
        "Optimizer.lr.learning_rate=0.5",
        "Optimizer.lr.warmup_epoch=0",
    ).run()
    found = load_checkpoint(tiny / "output" / "best_model").facts
    scores = [entry["recall1"] for entry in records(tiny / "output", "eval")]
    assert scores[0] > scores[1], "else this test shows nothing"
    assert (found["best"], found["best_epoch"], found["epoch"]) == (scores[1], 1, 1)


def test_an_evaluation_before_training_saves_nothing(tiny):
    trainer = trainer_of(tiny, "Global.eval_before_train=True", "Global.epochs=1")
    trainer.update.gradients = lambda *step: 1 / 0
    with pytest.raises(ZeroDivisionError):
        trainer.run()
    assert [entry["epoch"] for entry in records(tiny / "output", "eval")] == [0]
    assert not (tiny / "output" / "best_model").exists()


def test_a_failing_dashboard_does_not_end_the_run(tmp_path):
    class Broken:
        def add_scalar(self, *args):
            raise OSError("disk full")

        def close(self):
            pass

    log = RunLog(tmp_path, "train", tracker=Broken(), quiet=True)
    log.record("train", {"step": 1, "loss": 2.0})
    log.record("train", {"step": 2, "loss": 1.0})
    log.close()
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2
    assert "left out from now on" in (tmp_path / "train.log").read_text()


def test_a_log_that_cannot_be_written_does_not_end_the_run(tiny):
    (tiny / "output" / "metrics.jsonl").mkdir(parents=True)
    trainer_of(tiny, "Global.epochs=1").run()
    text = (tiny / "output" / "train.log").read_text()
    warning = "metrics.jsonl: cannot be written (Is a directory). The run goes on."
    assert text.count(warning) == 1


def test_lines_that_were_cut_short_do_not_swallow_the_next_one(tmp_path):
    log = RunLog(tmp_path, quiet=True)
    log.record("train", {"step": 1})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40, limits[1]))
    try:
        log.record("train", {"step": 2})  # does not fit
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    log.record("train", {"step": 3})
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"kind": "tr')  # killed
    RunLog(tmp_path, quiet=True).record("train", {"step": 4})
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines if line.endswith("}")] == [1, 3, 4]
    assert len(lines) == 4


def test_a_screen_that_cannot_be_written_does_not_end_the_run(tmp_path):
    log = RunLog(tmp_path)
    with open("/dev/full", "w") as full:
        log.console.file = full
        log.line("one")
        log.line("two")
        log.console.file = None
        with contextlib.suppress(OSError):
            full.close()
    text = (tmp_path / "train.log").read_text()
    assert text.count("The screen cannot be written (No space left on device)") == 1
    assert "one" in text and "two" in text


def test_initial_weights_fitted_to_the_data_beat_random_ones(tiny):
    overrides = [
        "Global.epochs=1",
        "Global.eval_before_train=True",
        "Arch.BackboneStopLayer.name=flatten",
        'Arch.Neck={name: FC, embedding_size: 96, class_num: 5, '
        'weight_attr: {initializer: {name: LDA, shrinkage: 0.5}}}',
        'Arch.Head={name: ArcMargin, embedding_size: 5, class_num: 6, '
        'weight_attr: {initializer: {name: ClassMeans}}}',
    ]  # fmt: skip
    trainer = trainer_of(tiny, *overrides)
    before = trainer.update.model.head.weight.clone()
    trainer.prepare()
    assert not torch.equal(before, trainer.update.model.head.weight)
    torch.testing.assert_close(trainer.update.model.head.weight.norm(dim=1), torch.ones(6))
    fitted = trainer.evaluate(trainer.update.model)["mAP"]
    fresh = trainer_of(tiny, *overrides)
    random = fresh.evaluate(fresh.update.model)["mAP"]
    assert fitted > random


def test_resolved_yaml_runs_again_identically(tiny):
    from lookalike.assembly.resolved import write_resolved

    first = load_run(tiny / "run.yaml", ["Global.seed=11", "Optimizer.lr.learning_rate=2e-2"])
    write_resolved(first, tiny / "output")
    trainer_of(tiny, "Global.seed=11", "Optimizer.lr.learning_rate=2e-2").run()
    expected = losses(tiny / "output")
    again = load_run(tiny / "output" / "resolved.yaml", [f"Global.output_dir={tiny}/again"])
    job = build_job(again)
    make_trainer(job, RunLog(job.folder, "train", quiet=True)).run()
    assert losses(tiny / "again") == expected
