"""A run that was stopped, killed or damaged anywhere goes on as if nothing had happened."""

import json
import shutil
import signal

import pytest
import torch
from conftest import TINY_YAML, make_images, train_in_two_parts, trainer_of, write_list
from killed import killed_at
from same_run import same

from lookalike.errors import DataError, Interrupted, SetupError
from lookalike.faults import Fault, InjectedFault, watching
from lookalike.training import load_checkpoint
from lookalike.training.intact import newest_intact


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The run folder of the tiny run, uninterrupted."""
    root = tmp_path_factory.mktemp("straight")
    write_list(root / "train.txt", make_images(root))
    (root / "run.yaml").write_text(TINY_YAML.format(root=root))
    trainer = trainer_of(root)
    trainer.drawn = drawn(trainer)
    trainer.run()
    return trainer


def resumed(tiny, folder, *overrides):
    trainer = trainer_of(tiny, *overrides, f"Global.output_dir={folder}")
    chosen, warnings = newest_intact(folder)
    trainer.restore(load_checkpoint(chosen))
    return trainer, warnings


class Stop(Exception):
    """Ends a run where nothing is saved, as a power switch does."""


def stop_at(trainer, iteration):
    original = trainer._iteration

    def then_stop(*args):
        original(*args)
        if trainer.iteration == iteration:
            raise Stop

    trainer._iteration = then_stop


@pytest.mark.parametrize(
    ("overrides", "stop", "saved"),
    [
        (["Global.save_steps=1"], 2, 1),
        (["Global.save_steps=2"], 6, 5),  # 2, the end of the epoch at 3, 5
        (["Global.save_steps=2", "Global.epochs=3"], 9, 8),
        # steps are complete after 2 and 4 only, and an epoch has four of five batches
        (["Global.save_steps=1", "Global.update_freq=2", "Global.iter_per_epoch=5"], 4, 2),
    ],
    ids=["each", "every second", "over epochs", "accumulating"],
)
def test_a_run_goes_on_bit_for_bit_from_a_save_within_an_epoch(tiny, overrides, stop, saved):
    straight = trainer_of(tiny, *overrides[1:], f"Global.output_dir={tiny / 'straight'}")
    straight.run()
    broken = trainer_of(tiny, *overrides)
    stop_at(broken, stop)
    with pytest.raises(Stop):
        broken.run()
    again, warnings = resumed(tiny, tiny / "output", *overrides)
    assert (again.iteration, warnings) == (saved, [])
    again.run()
    assert same(tiny / "straight", tiny / "output")
    assert same(tiny / "straight" / "best_model", tiny / "output" / "best_model")


def test_saving_within_epochs_changes_nothing_that_is_learnt(tiny, straight):
    trainer_of(tiny, "Global.save_steps=1").run()
    assert same(straight.folder, tiny / "output")


def test_the_last_epochs_are_kept(tiny):
    (tiny / "output" / "epoch_70").mkdir(parents=True)  # of another run: not ours to remove
    trainer_of(tiny, "Global.epochs=4", "Global.keep_checkpoints=2").run()
    kept = {path.name for path in (tiny / "output").glob("epoch_*")}
    assert kept == {"epoch_3", "epoch_4", "epoch_70"}


@pytest.mark.parametrize("moment", ["before", "within"])
def test_a_signal_breaks_off_an_evaluation_which_is_done_after_the_resume(tiny, straight, moment):
    broken = trainer_of(tiny)
    evaluate, iteration = broken.evaluate, broken._iteration
    evaluated = []

    def evaluating(model):
        evaluated.append(evaluate(model))
        torch.rand(3)  # that an evaluation draws numbers must not matter either
        signal.raise_signal(signal.SIGTERM)
        raise AssertionError("the evaluation has gone on")

    def last_iteration(*args):
        iteration(*args)
        if broken.iteration == 3:
            signal.raise_signal(signal.SIGTERM)

    if moment == "within":
        broken.evaluate = evaluating
    else:
        broken._iteration, broken.evaluate = last_iteration, None.__class__
    with pytest.raises(Interrupted) as caught:
        broken.run()
    assert caught.value.exit_code == 75
    assert len(evaluated) == (moment == "within")
    again, _ = resumed(tiny, tiny / "output")
    assert again.iteration == 3 and again.evaluation_due
    assert again.state()["plan"] == load_checkpoint(tiny / "output").state["plan"]
    again.run()
    assert same(straight.folder, tiny / "output")
    assert same(straight.folder / "epoch_1", tiny / "output" / "epoch_1")


def out_of_memory():
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")


FAILURES = {
    "damaged image": (lambda: open_image("cut.jpg"), DataError, "cut.jpg"),
    "out of memory": (out_of_memory, SetupError, "out of memory in the evaluation after step 3"),
    "bug": (lambda: 1 / 0, ZeroDivisionError, "division by zero"),
}


def open_image(name):
    raise DataError(f"{name}: cannot be decoded")


@pytest.mark.parametrize("failure", FAILURES)
def test_an_epoch_whose_evaluation_fails_is_saved_and_evaluated_when_resumed(
    tiny, straight, failure
):
    fail, kind, message = FAILURES[failure]
    broken = trainer_of(tiny)
    evaluate = broken.evaluate

    def failing(model):
        evaluate(model)
        fail()

    broken.evaluate = failing
    with pytest.raises(kind, match=message) as caught:
        broken.run()
    text = f"The last good checkpoint is {tiny / 'output' / 'latest'}, of step 3; --resume"
    told = str(caught.value) + (tiny / "output" / "train.log").read_text()
    assert text in told
    assert "micro_batch_size" not in told
    again, warnings = resumed(tiny, tiny / "output")
    assert (again.iteration, again.evaluation_due, warnings) == (3, True, [])
    again.run()
    for name in ("latest", "best_model", "epoch_1"):
        assert same(straight.folder / name, tiny / "output" / name)


def test_an_epoch_whose_evaluation_is_killed_is_saved(tiny, straight):
    assert killed_at(lambda: trainer_of(tiny).run(), "place.evaluating:1:kill") == -signal.SIGKILL
    again, _ = resumed(tiny, tiny / "output")
    assert (again.iteration, again.evaluation_due) == (3, True)
    again.run()
    assert same(straight.folder, tiny / "output")


def test_the_schedule_that_watches_the_metric_goes_on_from_what_the_evaluation_found(tiny):
    """Its state is the one thing of an optimiser that an evaluation changes."""
    plateau = "Optimizer.lr={name: ReduceOnPlateau, learning_rate: 0.01, patience: 0, factor: 0.1}"
    train_in_two_parts(tiny, plateau, "Global.epochs=3")
    found = load_checkpoint(tiny / "output")
    whole = trainer_of(tiny, plateau, "Global.epochs=3", f"Global.output_dir={tiny / 'whole'}")
    whole.run()
    schedule = found.state["update"]["optimizers"][0]["schedule"]
    assert schedule == whole.update.optimizers[0].schedule.state_dict()
    assert schedule, "else this test shows nothing"
    assert same(tiny / "whole", tiny / "output")


def test_an_evaluation_writes_little_and_not_into_what_was_kept_before(tiny):
    trainer_of(tiny).run()
    folder = tiny / "output" / "latest"
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert sizes["after_evaluation.pt"] < 40_000 < sizes["training_state.pt"]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["metrics"] == load_checkpoint(folder).state["last_metrics"]
    assert f"{manifest['metrics']['recall1']:.4f}" in (folder / "README.md").read_text()
    for name in ("epoch_1", "epoch_2", "best_model", ".latest.previous"):
        assert "evaluation_due" not in load_checkpoint(tiny / "output" / name).state
    previous = load_checkpoint(tiny / "output" / ".latest.previous")
    assert previous.state["iteration"] == 3, "what --resume falls back to shares no file"


@pytest.mark.parametrize("stop", [3, 6])
def test_what_the_end_of_an_epoch_lacks_is_done_by_the_resumed_run(tiny, straight, stop):
    """Killed between ``latest`` and its copies: also when that was the end of the run."""
    broken = trainer_of(tiny)
    passed = []
    with watching(passed.append):
        broken.run()
    shutil.rmtree(tiny / "output")
    links = [i for i, name in enumerate(passed) if name == "checkpoint.link"]
    first = next(i for i in links if passed[:i].count("checkpoint.write_model") == stop // 3)
    broken = trainer_of(tiny)
    with watching(Fault(f"*:{first + 1}:raise")), pytest.raises(InjectedFault):
        broken.run()
    assert not (tiny / "output" / f"epoch_{stop // 3}").exists()
    again, _ = resumed(tiny, tiny / "output")
    assert again.iteration == stop
    again.run()
    for name in ("latest", "best_model", "epoch_1", "epoch_2"):
        assert same(straight.folder / name, tiny / "output" / name), name


def drawn(trainer):
    """Note the images of every batch a trainer is given."""
    seen, original = [], trainer._iteration

    def noting(epoch, index, batch):
        seen.append(batch.indices.tolist())
        original(epoch, index, batch)

    trainer._iteration = noting
    return seen


@pytest.mark.parametrize("stop", [3, 5, 6], ids=["boundary", "last step", "finished"])
@pytest.mark.parametrize("workers", [0, 2])
def test_no_sample_is_lost_or_doubled(tiny, straight, stop, workers):
    """Stopped exactly at an epoch's end, before the last step, at the end; other workers after."""
    broken = trainer_of(tiny, "Global.save_steps=1")
    seen = drawn(broken)
    if stop < 6:
        stop_at(broken, stop + 1)
        with pytest.raises(Stop):
            broken.run()
    else:
        broken.run()
    again, _ = resumed(
        tiny,
        tiny / "output",
        "Global.save_steps=1",
        f"DataLoader.Train.loader.num_workers={workers}",
    )
    assert again.iteration == stop
    rest = drawn(again)
    again.run()
    assert seen[:stop] + rest == straight.drawn
    assert same(straight.folder, tiny / "output")
