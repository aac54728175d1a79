"""Whole runs in several processes, beside one process with the batches of all."""

import json

import pytest
import torch
from conftest import TINY_YAML, make_images, write_list
from process_group import run

from lookalike.assembly.job import build_job
from lookalike.assembly.load import load_run
from lookalike.assembly.training import make_trainer
from lookalike.cli.train import run_training
from lookalike.errors import ConfigError, ProcessError
from lookalike.training import RunLog, load_checkpoint
from lookalike.training.checkpoint import open_checkpoint
from lookalike.training.run_state import save

SHORT = ["+Arch.use_sync_bn=True", "Global.epochs=1", "+Global.iter_per_epoch=4"]
SHARDED = "+Arch.Head.sharded=True"


def train(config, overrides, resume=False):
    run_training(
        config,
        overrides,
        resume=resume,
        allow_import=(),
        allow_missing=(),
        strict_device=False,
    )


def train_in(number, root, name, *overrides, resume=False, batch=8, start=SHORT):
    """Train with a batch of that many images over all processes; return the latest checkpoint."""
    changes = [
        *start,
        f"Global.output_dir={root / name}",
        f"DataLoader.Train.sampler.batch_size={batch // number}",
        "+Loss.Train.1.SupConLoss.gather=True",
        *overrides,
    ]
    config = str(root / "run.yaml")
    if number == 1:
        train(config, changes, resume)
    else:
        run(train, number, config, changes, resume, joined=False)
    return load_checkpoint(root / name)


def losses(root, name):
    lines = (root / name / "metrics.jsonl").read_text().splitlines()
    return [one["loss"] for one in map(json.loads, lines) if one["kind"] == "train"]


@pytest.fixture
def images(tmp_path):
    """Twelve labels of four images."""
    write_list(tmp_path / "train.txt", make_images(tmp_path, num_labels=12))
    text = TINY_YAML.format(root=tmp_path).replace("class_num: 6", "class_num: 12")
    (tmp_path / "run.yaml").write_text(text)
    return tmp_path


def largest_difference(one, other):
    pairs = [(one.model[key].double(), other.model[key].double()) for key in one.model]
    return max(float((a - b).abs().max() / (b.abs().max() + 1e-3)) for a, b in pairs)


@pytest.mark.parametrize(
    ("number", "head"),
    [(2, "replicated"), (4, "replicated"), (2, "sharded"), (4, "sharded"), (2, "in parts")],
)
def test_several_processes_do_what_one_does_with_the_batches_of_all(images, number, head):
    more = {"sharded": [SHARDED], "in parts": ["+Arch.Head.chunk_size=4"]}.get(head, [])
    several = train_in(number, images, "several", *more)
    alone = train_in(1, images, "alone")
    assert losses(images, "several") == pytest.approx(losses(images, "alone"), rel=1e-5)
    assert largest_difference(several, alone) < 1e-4
    for name in ("training_state.pt",):
        assert (images / "several" / "latest" / name).is_file()


def test_a_run_goes_on_in_another_number_of_processes(images):
    for number, epochs in ((4, 1), (2, 2), (1, 3), (3, 4)):
        resumed = train_in(
            number,
            images,
            "moved",
            SHARDED,
            f"Global.epochs={epochs}",
            "Optimizer.lr={name: Constant, learning_rate: 0.001}",
            resume=number != 4,
            batch=12 if number == 3 else 8,
        )
    assert resumed.state["iteration"] == 16
    velocity = resumed.state["update"]["optimizers"][0]["optimizer"]["state"]
    head = [one["momentum_buffer"] for one in velocity.values() if "momentum_buffer" in one]
    assert (12, 16) in {tuple(one.shape) for one in head}
    assert resumed.model["head.weight"].shape == (12, 16)


def same(one, other):
    """Compare what may be nested."""
    if hasattr(one, "equal"):
        return one.equal(other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool((one == other).all()) if hasattr(one, "all") else one == other


def saved_again(config, overrides, folder, name):
    """Go on from a checkpoint and save at once."""
    job = build_job(load_run(config, overrides))
    trainer = make_trainer(job, RunLog(quiet=True))
    trainer.restore(open_checkpoint(folder))
    save(trainer, name, trainer.update.model)


def same_state(root, name, number, *overrides, batch=24):
    """Tell whether so many processes save again what a checkpoint holds, bit for bit."""
    changes = [*SHORT, *overrides, f"DataLoader.Train.sampler.batch_size={batch // number}"]
    changes.append(f"Global.output_dir={root / 'again'}")
    run(saved_again, number, str(root / "run.yaml"), changes, str(root / name), "latest")
    there, saved = load_checkpoint(root / "again"), load_checkpoint(root / name)
    return same(there.model, saved.model) and same(there.state["update"], saved.state["update"])


@pytest.mark.parametrize("number", [2, 3])
def test_what_some_have_saved_is_what_others_have(images, number):
    more = [SHARDED, "+EMA.decay=0.9"]
    train_in(4, images, "moved", *more, batch=24)
    assert same_state(images, "moved", number, *more)


def test_going_on_elsewhere_is_going_on(images):
    rate = "Optimizer.lr={name: Constant, learning_rate: 0.001}"
    train_in(4, images, "moved", SHARDED, rate)
    moved = train_in(2, images, "moved", SHARDED, rate, "Global.epochs=2", resume=True)
    alone = train_in(1, images, "alone", rate, "Global.epochs=2")
    assert losses(images, "moved") == pytest.approx(losses(images, "alone"), rel=1e-4)
    assert largest_difference(moved, alone) < 1e-3


def evaluate(config, overrides):
    job = build_job(load_run(config, overrides), training=False)
    torch.manual_seed(0)
    for parameter in job.model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    found = job.evaluate(RunLog(quiet=True))
    return {**found.values, "intervals": found.intervals, "queries": found.num_answerable}


@pytest.mark.parametrize("number", [2, 3, 5])
@pytest.mark.parametrize("mode", ["retrieval", "classification"])
def test_an_evaluation_dealt_to_processes_is_the_same_to_the_last_bit(images, number, mode):
    changes = [f"Global.eval_mode={mode}"]
    if mode == "classification":
        changes += ["Metric.Eval=[{TopkAcc: {topk: [1, 5]}}]"]
        changes += ["DataLoader.Eval.Query.sampler.batch_size=7"]
        text = (images / "run.yaml").read_text()
        block = text[text.index("    Query: &eval\n") : text.index("    Gallery: *eval\n")]
        lines = block.splitlines(keepends=True)[1:]
        single = "".join(line[2:] for line in lines)
        text = text.replace(block, single).replace("    Gallery: *eval\n", "")
        (images / "run.yaml").write_text(text)
        changes[-1] = "DataLoader.Eval.sampler.batch_size=7"
    config = str(images / "run.yaml")
    alone = evaluate(config, changes)
    for found in run(evaluate, number, config, changes):
        assert found == alone


def refused(config, overrides):
    """Return why this process refuses, with the class number of one list changed in the second."""
    from lookalike import processes

    if processes.rank() == 1:
        overrides = [*overrides, "Optimizer.momentum=0.8"]
    try:
        job = build_job(load_run(config, overrides))
        make_trainer(job, RunLog(quiet=True))
    except (ConfigError, ProcessError) as error:
        return str(error)
    return ""


def test_processes_that_run_something_else_refuse_to_start(images):
    found = run(refused, 2, str(images / "run.yaml"), [])
    for text in found:
        assert "configuration: SHA-256" in text
        assert "in process 0;" in text
        assert "in process 1" in text


def test_what_runs_in_one_process_only_is_refused(images):
    changes = ["+Global.bad_images=skip", "+Global.micro_batch_size=2"]
    with pytest.raises(Exception, match="does not go with 2 processes"):
        run(train, 2, str(images / "run.yaml"), changes, joined=False)


def test_a_used_folder_is_refused_in_all_processes_and_stays_as_it_was(images):
    """The first one looks, and none of them starts."""

    def refused():
        try:
            train(str(images / "run.yaml"), [*SHORT, "DataLoader.Train.sampler.batch_size=4"])
        except ConfigError as error:
            return str(error), error.told
        return None

    train_in(1, images, "output")
    before = {p: p.read_bytes() for p in (images / "output").rglob("*") if p.is_file()}
    found = run(refused, 2, joined=False)
    assert all("holds a run of epoch 1" in text for text, _ in found)
    assert sorted(told for _, told in found) == [False, True]
    assert before == {p: p.read_bytes() for p in (images / "output").rglob("*") if p.is_file()}
