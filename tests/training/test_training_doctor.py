"""Each illness in a small run that has it, told once; and runs that have none stay silent."""

import json

import pytest
import torch
from conftest import trainer_of

from lookalike.training import RunLog
from lookalike.training.doctor import Doctor, Look
from lookalike.training.doctor.collapse import spread_of
from lookalike.training.doctor.head_norms import largest_norm

LINEAR = "Arch.Head={name: FC, embedding_size: 16, class_num: 6}"
NO_EVAL = "Global.eval_during_train=False"
CONSTANT = "Optimizer.lr={name: Constant, learning_rate: %g}"
CE = "Loss.Train=[{CELoss: {weight: 2.0}}]"


def findings(tiny, *overrides, prepare=None):
    trainer = trainer_of(tiny, NO_EVAL, "Global.save_interval=-1", *overrides)
    if prepare is not None:
        prepare(trainer)
    trainer.run()
    lines = (tiny / "output" / "metrics.jsonl").read_text().splitlines()
    found = [entry for entry in map(json.loads, lines) if entry["kind"] == "doctor"]
    text = (tiny / "output" / "train.log").read_text()
    assert text.count("[Doctor]") == len(found) + bool(found), "each once, and all at the end"
    for entry in found:
        assert f"[Doctor] {entry['what']}. Seen at step {entry['step']}" in text
        assert entry["evidence"] in text
        assert entry["remedy"] in text
        assert f"{entry['what']} (step {entry['step']})" in text.splitlines()[-1]
    assert trainer.doctor.found or not found
    return {entry["what"]: entry for entry in found}


def only(found, what):
    assert len(found) == 1, found
    ((name, entry),) = found.items()
    assert what in name, found
    return entry


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        [LINEAR, CE, CONSTANT % 0.05],
        ["Loss.Train=[{TripletLossV2: {weight: 1.0, margin: 0.5}}]", CONSTANT % 0.02],
    ],
    ids=["arc margin", "linear", "triplet"],
)
def test_a_healthy_run_is_left_in_peace(tiny, overrides):
    assert findings(tiny, "Global.epochs=12", *overrides) == {}


def test_collapse_is_told(tiny):
    """A neck that has unlearnt everything but its offset."""

    def collapse(trainer):
        last = trainer.update.model.neck.conv
        with torch.no_grad():
            last.weight.mul_(1e-3)
            last.bias.fill_(1.0)

    found = findings(tiny, "Global.epochs=6", CONSTANT % 1e-6, CE, prepare=collapse)
    entry = only(found, "collapse: all embeddings are alike")
    assert "mean cosine between two images of a batch 1.00000" in entry["evidence"]
    assert entry["step"] == 9


def test_a_loss_at_its_margin_is_told(tiny):
    """Embeddings that all start on a point, from which the hardest triplets do not lead away."""

    def onto_a_point(trainer):
        for parameter in trainer.update.model.neck.parameters():
            with torch.no_grad():
                parameter.zero_()

    loss = "Loss.Train=[{TripletLoss: {weight: 2.0, margin: 0.3}}]"
    found = findings(tiny, "Global.epochs=9", loss, CONSTANT % 1e-9, prepare=onto_a_point)
    entry = found.pop("TripletLoss is stuck at its margin")
    assert "nothing told apart is 0.6000" in entry["evidence"]
    only(found, "collapse")


def test_a_loss_at_chance_is_told(tiny):
    """Labels that have nothing to do with the images, and a head that finds that out."""

    def zero_head(trainer):
        with torch.no_grad():
            trainer.update.model.head.fc.weight.zero_()

    found = findings(tiny, "Global.epochs=9", LINEAR, CE, CONSTANT % 1e-6, prepare=zero_head)
    entry = only(found, "CELoss is stuck at chance, the logarithm of 6 classes")
    assert "nothing told apart is 3.5835" in entry["evidence"]


def test_exploding_weights_of_the_head_are_told(tiny):
    found = findings(tiny, "Global.epochs=2", LINEAR, CE, CONSTANT % 1.0, "Optimizer.momentum=0.0")
    entry = found["the weights of the head explode"]
    assert "the longest class vector is" in entry["evidence"]


@pytest.mark.parametrize(
    ("rate", "what", "remedy"),
    [
        ("{name: Constant, learning_rate: 0.0}", "learning rate of Constant is zero", "set Opt"),
        (
            "{name: Cosine, learning_rate: 0.1, warmup_epoch: 2, by_epoch: True}",
            "learning rate of Cosine is zero",
            "warmup_start_lr",
        ),
        (
            "{name: Step, learning_rate: 0.1, step_size: 1, gamma: 1.0e-7}",
            "learning rate of Step is zero",
            "Global.epochs",
        ),
        ("{name: Cosine, learning_rate: 0.1, warmup_epoch: 5}", "as long as the run", "shorten"),
    ],
)
def test_a_learning_rate_of_nothing_is_told(tiny, rate, what, remedy):
    found = findings(tiny, "Global.epochs=4", f"Optimizer.lr={rate}")
    entry = only(found, what)
    assert remedy in entry["remedy"]


def test_mining_that_finds_nothing_is_told(tiny):
    loss = "Loss.Train=[{TripletLossV2: {margin: -3.0}}]"
    found = findings(tiny, "Global.epochs=8", loss, CONSTANT % 1e-3)
    entry = only(found, "dead mining: TripletLossV2 finds nothing")
    assert "100% of the images had a partner" in entry["evidence"]
    assert "raise the margin" in entry["remedy"]


def test_batches_without_pairs_are_told(tiny):
    """A list that changes its mind after the start; check would have refused it there."""

    def alone(trainer):
        plan = trainer.batches.sampler.plan
        first = {label: i for i, label in reversed(list(enumerate(trainer.batches.dataset.labels)))}
        one_each = sorted(first.values())
        trainer.batches.sampler.plan = lambda epoch: (one_each for _ in plan(epoch))

    loss = "Loss.Train=[{TripletLossV2: {margin: 0.2}}]"
    found = findings(tiny, "Global.epochs=8", loss, CONSTANT % 1e-3, prepare=alone)
    entry = only(found, "TripletLossV2 has nothing to pull together")
    assert "DistributedRandomIdentitySampler" in entry["remedy"]


def doctor_of(tiny, tmp_path):
    trainer = trainer_of(tiny)
    return Doctor(trainer.update, RunLog(tmp_path / "log", quiet=True), per_epoch=3), tmp_path


def test_a_network_that_opens_up_is_not_collapsed(tiny, tmp_path):
    doctor, _ = doctor_of(tiny, tmp_path)
    noise = torch.randn(8, 16, generator=torch.Generator().manual_seed(0))
    for step in range(40):
        near = torch.ones(8, 16) + noise * 0.01 * (1.0 + step / 10.0)
        doctor.look(Look(step, 100, [0.1], {}, {"": near}, torch.arange(8) // 2))
    assert doctor.found == []


def test_a_warm_up_at_chance_is_waited_for(tiny, tmp_path):
    from lookalike.training.doctor.stuck import Stuck

    symptom = Stuck("CELoss", trainer_of(tiny).update.loss.losses["CELoss"], 1.0, 1000)
    for step in range(200):
        assert symptom(Look(step, 900, [step / 200], {"CELoss": 6.9})) is None
    seen = [symptom(Look(200 + step, 900, [1.0], {"CELoss": 6.9})) for step in range(30)]
    assert [step for step, found in enumerate(seen) if found][0] == 20


def test_a_doctor_that_fails_leaves_the_run_alone(tiny, tmp_path):
    doctor, folder = doctor_of(tiny, tmp_path)
    number = len(doctor.symptoms)
    doctor.look(Look(0, 9, [0.1, 0.1], {}, {}, None))
    assert len(doctor.symptoms) == number - 1
    assert "NoRate cannot look at this run" in (folder / "log" / "train.log").read_text()


def test_the_doctor_changes_no_number(tiny):
    """The same weights with and without it."""
    weights = []
    for name, blind in (("seen", False), ("blind", True)):
        trainer = trainer_of(tiny, f"Global.output_dir={tiny / name}")
        if blind:
            trainer.doctor.look = lambda look: None
        trainer.run()
        weights.append(trainer.update.model.state_dict())
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def test_spread_and_norms_by_hand():
    assert spread_of(torch.zeros(4, 3)) == 0.0
    assert spread_of(torch.ones(1, 3)) is None
    assert spread_of(torch.tensor([[1.0, 0.0], [-2.0, 0.0]])) == 2.0
    head = torch.nn.Linear(2, 3, bias=False)
    head.num_classes = 3
    head.weight.data = torch.tensor([[3.0, 4.0], [0.0, 1.0], [0.0, 0.0]])
    assert largest_norm(head) == 5.0
    head.weight.data = head.weight.data.T.contiguous()
    assert largest_norm(head) == 5.0
