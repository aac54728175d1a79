"""Face pairs: the memory files they are read from, and their verification."""

import json

import numpy as np
import pytest
import torch
from conftest import trainer_of
from reference_data import face_pairs
from sklearn.model_selection import KFold

from lookalike.assembly.job import build_job
from lookalike.assembly.load import load_run
from lookalike.data.datasets import FACE_SETS, FacePairs
from lookalike.errors import ConfigError, DataError
from lookalike.geometry import unit
from lookalike.retrieval.verification import verification_accuracy


@pytest.fixture
def faces(tmp_path):
    root = tmp_path / "faces"
    root.mkdir()
    face_pairs(root, "FiveValidationDataset", "Eval", (), side=32)
    return root


def test_images_labels_and_sets_in_order(faces):
    pairs = FacePairs(str(faces))
    assert len(pairs) == 100
    assert pairs.labels[:4] == [1, 1, 0, 0]
    assert pairs.cameras == np.repeat(np.arange(5), 20).tolist()
    assert pairs.paths[41] == f"{FACE_SETS[2]}/1"
    stored = np.fromfile(faces / "lfw" / "memfile" / "mem_file.dat", np.float32)
    sample = pairs[41]
    assert sample.image.shape == (3, 32, 32)
    np.testing.assert_array_equal(sample.image.numpy().ravel(), stored[3072 : 2 * 3072])


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("lfw/memfile/mem_file.dat.conf", b"{", "cannot be read"),
        ("lfw/memfile/mem_file.dat.conf", b'{"shape": [3, 3, 2, 2], "dtype": "float32"}', "2 n"),
        ("lfw/memfile/mem_file.dat.conf", b'{"shape": [20, 3, 9, 9], "dtype": "object"}', "float"),
        ("lfw/memfile/mem_file.dat", b"short", "bytes expected"),
        ("lfw_list.npy", b"", "cannot be read"),
        ("lfw_list.npy", b"no array", "cannot be read"),
    ],
)
def test_broken_files_are_named(faces, file, content, message):
    (faces / file).write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        FacePairs(str(faces))
    assert "lfw" in str(caught.value)


def by_definition(embeddings, same, folds):
    """The protocol with scikit-learn's folds and a loop over thresholds."""
    distance = ((embeddings[0::2] - embeddings[1::2]) ** 2).sum(axis=1)
    thresholds, scores = np.arange(0, 4, 0.01), []
    for others, fold in KFold(folds).split(distance):
        right = [np.mean((distance[others] < t) == same[others]) for t in thresholds]
        best = thresholds[int(np.argmax(right))]
        scores.append(np.mean((distance[fold] < best) == same[fold]))
    return float(np.mean(scores))


@pytest.mark.parametrize("num_pairs", [10, 23, 57])
def test_verification_is_the_protocol(num_pairs):
    rng = np.random.default_rng(num_pairs)
    embeddings = unit(torch.tensor(rng.normal(size=(2 * num_pairs, 3))))
    same = rng.integers(0, 2, num_pairs).astype(bool)
    found = verification_accuracy(embeddings, torch.tensor(same))
    assert found == pytest.approx(by_definition(embeddings.numpy(), same, 10))
    with pytest.raises(DataError, match="cannot make 10 folds"):
        verification_accuracy(embeddings[:6], torch.tensor(same[:3]))


EVAL = (
    "DataLoader.Eval={{dataset: {{name: FiveValidationDataset, val_data_path: {root}}}, "
    "sampler: {{name: BatchSampler, batch_size: 32, shuffle: True, drop_last: False}}, "
    "loader: {{num_workers: 0}}}}"
)


def test_a_run_is_evaluated_on_pairs_of_faces(tiny, faces):
    mode = "Global.eval_mode=adaface"
    job = build_job(load_run(tiny / "run.yaml", [mode, EVAL.format(root=faces)]))
    assert any("Metric.Eval decides nothing" in note for note in job.notes)
    trainer_of(tiny, mode, EVAL.format(root=faces), "Global.epochs=1").run()
    lines = (tiny / "output" / "metrics.jsonl").read_text().splitlines()
    (row,) = [row for row in map(json.loads, lines) if row["kind"] == "eval"]
    sets = [row[f"{name}_test_acc"] for name in FACE_SETS]
    assert row["all_test_acc"] == pytest.approx(np.mean(sets))
    with pytest.raises(ConfigError, match="adaface"):
        trainer_of(tiny, EVAL.format(root=faces), "Metric.Eval=[]")
    with pytest.raises(ConfigError, match="adaface"):
        trainer_of(tiny, mode)
