"""Runs whose head keeps its logits in parts."""

import pytest
import torch
from conftest import train_in_two_parts, trainer_of

from lookalike.errors import ConfigError
from lookalike.optim import RowsInBackward
from lookalike.training import load_checkpoint

CHUNKS = "+Arch.Head.chunk_size=4"
TOP = "+Metric.Train=[{TopkAcc: {topk: [1, 2]}}]"


def weights_of(tiny, *overrides):
    trainer = trainer_of(tiny, *overrides)
    result = trainer.run()
    return trainer, result, {k: v.clone() for k, v in trainer.update.model.state_dict().items()}


def test_a_run_in_chunks_is_the_run_with_all_logits(tiny):
    # rounding grows from step to step: one epoch shows that nothing else differs
    _, plain_result, plain = weights_of(tiny, "Global.epochs=1")
    trainer, result, chunked = weights_of(tiny, "Global.epochs=1", CHUNKS)
    assert isinstance(trainer.update.model.head.update, RowsInBackward)
    for name, value in plain.items():
        torch.testing.assert_close(chunked[name], value, rtol=1e-3, atol=1e-4, msg=name)
    assert result.metrics == pytest.approx(plain_result.metrics, abs=0.05)


@pytest.mark.parametrize("rate", ["0.99", "0.5"])
def test_a_run_resumes_bit_for_bit(tiny, rate):
    overrides = (CHUNKS, f"+Arch.Head.sample_rate={rate}")
    trainer_of(tiny, *overrides, f"Global.output_dir={tiny / 'straight'}").run()
    train_in_two_parts(tiny, *overrides)
    straight, resumed = load_checkpoint(tiny / "straight"), load_checkpoint(tiny / "output")
    for name, value in straight.model.items():
        assert torch.equal(value, resumed.model[name]), name


def test_the_accuracy_is_logged(tiny, capsys):
    trainer = trainer_of(tiny, CHUNKS, TOP)
    trainer.run()
    log = (tiny / "output" / "metrics.jsonl").read_text()
    assert '"top1"' in log


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("Optimizer.name=Adam", "only Momentum and SGD"),
        ("+Optimizer.clip_global_norm=1.0", "only Momentum and SGD"),
        ("Global.update_freq=2", "update_freq gathers"),
        ("Loss.Train=[{CELoss: {}}, {CELoss: {weight: 0.5}}]", "2 losses read the logits"),
    ],
)
def test_where_rows_cannot_step_the_note_says_why(tiny, override, reason):
    from lookalike.assembly.job import build_job
    from lookalike.assembly.load import load_run
    from lookalike.assembly.training import make_trainer
    from lookalike.training import RunLog

    overrides = [CHUNKS, "+Arch.Head.sample_rate=0.5", "+Global.update_freq=1", override]
    if "Adam" in override:
        (tiny / "run.yaml").write_text(
            (tiny / "run.yaml").read_text().replace("  momentum: 0.9\n", "")
        )
    job = build_job(load_run(tiny / "run.yaml", overrides))
    trainer = make_trainer(job, RunLog(job.folder, "train", quiet=True))
    assert trainer.update.model.head.update is None
    (note,) = [note for note in job.notes if "held whole" in note]
    assert reason in note
    assert "not drawn are decayed" in note
    trainer.run()


def test_what_needs_all_logits_is_refused_before_the_first_image(tiny):
    overrides = [
        CHUNKS,
        "Loss.Train=[{CELoss: {}}, {MultiLabelLoss: {}}]",
        "+Metric.Train=[{HammingDistance: {}}]",
    ]
    with pytest.raises(ConfigError) as caught:
        trainer_of(tiny, *overrides)
    text = str(caught.value)
    assert "MultiLabelLoss needs all logits at once" in text
    assert "HammingDistance needs all logits at once" in text
    assert "chunk_size" in text
