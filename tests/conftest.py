"""Shared fixtures: small folders of generated images and the YAML that trains on them."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import fcntl
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"

# under nohup hang-ups are ignored, by the tests and by all that they start
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# two test processes on two cores: one thread each
torch.set_num_threads(1)


def pytest_collection_modifyitems(items):
    """Run the slow tests first, so that no process is left alone with them at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def make_images(root, num_labels=6, per_label=4, size=(40, 32), seed=0):
    """Write coloured noise, alike within a label; return (path, label, camera) rows."""
    rng = np.random.default_rng(seed)
    rows = []
    for label in range(num_labels):
        base = rng.integers(0, 256, (4, 4, 3))
        folder = root / "images" / f"{label:03d}"
        folder.mkdir(parents=True)
        for view in range(per_label):
            pixels = np.clip(base + rng.integers(-40, 40, (4, 4, 3)), 0, 255).astype(np.uint8)
            name = f"{label:03d}/{view:03d}.jpg"
            Image.fromarray(pixels).resize(size).save(root / "images" / name, quality=90)
            rows.append((name, label, view))
    return rows


def write_list(path, rows, columns=3):
    path.write_text("".join(" ".join(map(str, row[:columns])) + "\n" for row in rows))
    return path


TINY_YAML = """\
Global:
  output_dir: {root}/output
  device: cpu
  seed: 7
  epochs: 2
  print_batch_step: 1
  image_shape: [3, 32, 32]
  eval_mode: retrieval
Arch:
  name: RecModel
  infer_output_key: features
  infer_add_softmax: False
  Backbone:
    name: test_resnet
    pretrained: False
  BackboneStopLayer:
    name: avg_pool
  Neck:
    name: VehicleNeck
    in_channels: 96
    out_channels: 16
  Head:
    name: ArcMargin
    embedding_size: 16
    class_num: 6
    margin: 0.15
    scale: 32
Loss:
  Train:
    - CELoss:
        weight: 1.0
    - SupConLoss:
        weight: 0.5
        views: 2
Optimizer:
  name: Momentum
  momentum: 0.9
  lr:
    name: Cosine
    learning_rate: 0.01
    warmup_epoch: 1
  regularizer:
    name: L2
    coeff: 5e-4
DataLoader:
  Train:
    dataset:
      name: VeriWild
      image_root: {root}/images
      cls_label_path: {root}/train.txt
      transform_ops:
        - ResizeImage: {{size: 32}}
        - RandFlipImage: {{flip_code: 1}}
        - AugMix: {{prob: 0.5}}
        - NormalizeImage: {{scale: 1.0/255.0, order: ''}}
        - RandomErasing: {{EPSILON: 0.5}}
    sampler:
      name: DistributedRandomIdentitySampler
      batch_size: 8
      num_instances: 2
      drop_last: False
    loader:
      num_workers: 0
  Eval:
    Query: &eval
      dataset:
        name: VeriWild
        image_root: {root}/images
        cls_label_path: {root}/train.txt
        transform_ops:
          - ResizeImage: {{size: 32}}
          - NormalizeImage: {{scale: 1.0/255.0, order: ''}}
      sampler:
        name: DistributedBatchSampler
        batch_size: 16
        drop_last: False
        shuffle: False
      loader:
        num_workers: 0
    Gallery: *eval
Metric:
  Eval:
    - Recallk: {{topk: [1, 5]}}
    - mAP: {{}}
"""


@pytest.fixture
def tiny(tmp_path):
    """Six labels of four small images in a folder, their list, and a ``run.yaml``."""
    rows = make_images(tmp_path)
    write_list(tmp_path / "train.txt", rows)
    (tmp_path / "run.yaml").write_text(TINY_YAML.format(root=tmp_path))
    return tmp_path


def trainer_of(tiny, *overrides):
    """Build the training loop of the tiny run, in this process."""
    from lookalike.assembly.job import build_job
    from lookalike.assembly.load import load_run
    from lookalike.assembly.training import make_trainer
    from lookalike.training import RunLog

    job = build_job(load_run(tiny / "run.yaml", overrides))
    log = RunLog(job.folder, "train", quiet=True)
    return make_trainer(job, log)


def train_in_two_parts(tiny, *overrides):
    """Train one epoch, then resume to the end in another training loop, which is returned."""
    from lookalike.training import load_checkpoint

    first = trainer_of(tiny, *overrides)
    first.epochs = 1
    first.run()
    second = trainer_of(tiny, *overrides)
    second.restore(load_checkpoint(tiny / "output"))
    second.run()
    return second


@pytest.fixture
def lookalike():
    """Run the command line in a process of its own; returns the finished process."""

    def run(*args, timeout=240, env=None, cwd=None):
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", **(env or {})}
        return subprocess.run(
            [sys.executable, "-m", "lookalike", *map(str, args)],
            capture_output=True,
            text=True,
            timeout=timeout,
            env=environment,
            cwd=cwd,
        )

    return run


@pytest.fixture(scope="session")
def emoji():
    """The demo's pictures, drawn once; test processes wait for each other."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    (ROOT / "data").mkdir(exist_ok=True)
    with open(ROOT / "data" / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run(
            [sys.executable, "demo/prepare.py", "--out", "data/emoji"],
            cwd=ROOT, env=environment, check=True, capture_output=True,
        )  # fmt: skip


def shell(command):
    """Run a printed command in the checkout's root, with the environment of make install."""
    path = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PATH": path}
    return subprocess.run(
        command, shell=True, cwd=ROOT, env=environment, capture_output=True, text=True,
        timeout=280,
    )  # fmt: skip
