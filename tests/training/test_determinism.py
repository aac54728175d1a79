"""The same seed writes the same records, however many workers read the images."""

import json

import pytest
from conftest import trainer_of

TIMES = {"batch_cost", "reader_cost", "ips"}


def records(tiny, name, workers, *overrides):
    trainer = trainer_of(tiny, f"Global.output_dir={tiny / name}", *overrides)
    # also more than this machine has cores
    trainer.batches.num_workers = workers
    trainer.run()
    lines = (tiny / name / "metrics.jsonl").read_text().splitlines()
    return [
        json.dumps({key: value for key, value in json.loads(line).items() if key not in TIMES})
        for line in lines
    ]


@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker")
def test_records_are_the_same_bit_for_bit(tiny):
    first = records(tiny, "first", 0)
    assert sum('"kind": "train"' in line for line in first) == 6
    assert sum('"kind": "eval"' in line for line in first) == 2
    for name, workers in (("again", 0), ("one", 1), ("four", 4)):
        assert records(tiny, name, workers) == first, f"{workers} workers"
    assert records(tiny, "other", 0, "Global.seed=8") != first
