"""A run of 100 million images and 10 million identities on paper, and what of it is tried here.

``make bench-large`` measures a few constants, computes memory, network and step time of the large
run from them, repeats the parts that fit here at their real size, and writes
``benchmarks/large_scale_<date>.md``. What a GPU and a network do is assumed and said.
"""

from __future__ import annotations

import datetime
import json
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.conformance.environments import ROOT, machine

GB = 1e9


@dataclass(frozen=True)
class Run:
    """The run that is planned.

    Attributes:
        images: In the training list.
        ids: Classes of the head.
        processes: GPUs; each holds a share of the classes.
        batch: Images per process.
        width: Numbers of an embedding.
        parameters: Of backbone and neck.
        flops: Of an image's forward pass.
        chunk: Classes whose logits are held at once.
    """

    images: int = 100_000_000
    ids: int = 10_000_000
    processes: int = 64
    batch: int = 64
    width: int = 512
    parameters: int = 24_600_000
    flops: float = 8.2e9
    chunk: int = 8192

    @property
    def global_batch(self) -> int:
        return self.batch * self.processes

    @property
    def shard(self) -> int:
        return self.ids // self.processes


@dataclass(frozen=True)
class Hardware:
    """What is assumed of a GPU and its network, sustained and not of a data sheet.

    Attributes:
        half: Operations a second in half precision.
        single: In single precision, which the head computes in.
        memory: Bytes a second of its memory.
        network: Bytes a second that a process sends and receives.
        processes_per_host: That share a training list.
    """

    half: float = 120e12
    single: float = 50e12
    memory: float = 1.5e12
    network: float = 20e9
    processes_per_host: int = 8


@dataclass(frozen=True)
class Constants:
    """Measured here.

    Attributes:
        list_bytes: Of a training list, per image.
        plan_bytes: The most that planning an epoch takes, per image.
        plan_seconds: Planning an epoch, per image.
        head_overhead: Time of a step of the head over that of its four products.
    """

    list_bytes: float
    plan_bytes: float
    plan_seconds: float
    head_overhead: float


# --- what is measured, each in a process of its own


def measured(what: str, *numbers: int) -> dict[str, Any]:
    """Run one of the jobs below; returns what it found."""
    command = [sys.executable, "-m", "benchmarks.large_scale", what, *map(str, numbers)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def peak_bytes() -> int:
    """Return the most memory the process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def sampler_job(images: int, ids: int) -> dict[str, Any]:
    """Plan an epoch of identity batches, 128 images with 4 of each label."""
    import time

    import numpy as np

    from lookalike.data.samplers import RandomIdentitySampler

    labels = np.random.default_rng(0).integers(ids, size=images)
    before = peak_bytes()
    sampler = RandomIdentitySampler(labels, batch_size=128, images_per_label=4)
    start = time.process_time()
    batches = sum(1 for _ in sampler.plan(0))
    seconds = time.process_time() - start
    return {"seconds": seconds, "batches": batches, "bytes": peak_bytes() - before}


def list_job(images: int, ids: int) -> dict[str, Any]:
    """Read a list of so many lines; the bytes that stay."""
    import tempfile

    from lookalike.data.label_files import read_image_list

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "list.txt"
        with path.open("w") as file:
            for index in range(images):
                file.write(f"shard_{index // 1000:05d}/vehicle_{index:09d}.jpg {index % ids}\n")
        before = _resident()
        kept = read_image_list(path)
        return {"bytes": _resident() - before, "images": len(kept.paths)}


def _resident() -> int:
    import gc

    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def head_job(classes: int, batch: int, width: int, chunk: int) -> dict[str, Any]:
    """Step a margin head, and its four products alone, on one thread."""
    import time

    import torch

    from lookalike.losses import CrossEntropy
    from lookalike.models import ArcMargin
    from lookalike.optim import RowsInBackward, ScheduledOptimizer

    torch.set_num_threads(1)
    head = ArcMargin(width, classes, chunk_size=chunk).train()
    sgd = torch.optim.SGD([head.weight], lr=0.1, momentum=0.9)
    head.update = RowsInBackward(ScheduledOptimizer(sgd, lambda step: 0.1), head.weight)
    x, labels = torch.randn(batch, width), torch.randint(classes, (batch,))
    left = torch.randn(batch, chunk)

    def step() -> None:
        embeddings = x.clone().requires_grad_()
        CrossEntropy()({"logits": head(embeddings, labels)}, labels).backward()

    def products() -> None:
        for rows in head.weight.detach().split(chunk):
            part = left[:, : len(rows)]
            _ = x @ rows.T, x @ rows.T, part @ rows, part.T @ x

    found = {}
    for name, work in (("step", step), ("products", products)):
        work()
        times = []
        for _ in range(3):
            start = time.process_time()
            work()
            times.append(time.process_time() - start)
        found[name] = sorted(times)[1]
    return {**found, "bytes": peak_bytes()}


JOBS = {"sampler": sampler_job, "list": list_job, "head": head_job}


# --- what is computed


def memory(run: Run, constants: Constants, hardware: Hardware) -> dict[str, float]:
    """Return bytes by what holds them: of a process, and of a host."""
    head = run.shard * run.width * 4
    return {
        "process: backbone and neck, weights, gradients and momentum": run.parameters * 12,
        "process: classes' weights": head,
        "process: classes' momentum": head,
        "process: logits of a chunk, three at a time": 3 * run.global_batch * run.chunk * 4,
        "process: embeddings of all and their gradients": 3 * run.global_batch * run.width * 4,
        "host: the training list, shared": run.images * constants.list_bytes,
        "host: planning an epoch, in each process": (
            hardware.processes_per_host * run.images * constants.plan_bytes
        ),
    }


def network(run: Run) -> dict[str, float]:
    """Return bytes that a process sends in a step, by what they are."""
    ring = (run.processes - 1) / run.processes
    embeddings = run.global_batch * run.width * 4 * ring
    return {
        "backbone's gradients, reduced over all": 2 * ring * run.parameters * 4,
        "embeddings, gathered": embeddings,
        "embeddings' gradients, reduced and scattered": embeddings,
        "softmax: largest, sum and own logit of each image": 2 * ring * 3 * run.global_batch * 4,
        "(for comparison: the logits themselves)": run.global_batch * run.shard * 4 * ring,
    }


def seconds(run: Run, constants: Constants, hardware: Hardware) -> dict[str, float]:
    """Return the parts of a step."""
    products = 4 * 2 * run.global_batch * run.width * run.shard / hardware.single
    sent = sum(value for name, value in network(run).items() if not name.startswith("("))
    return {
        "backbone, forward and backward": 3 * run.batch * run.flops / hardware.half,
        "head, its shard of the classes": products * constants.head_overhead,
        "network, if nothing overlaps": sent / hardware.network,
    }


# --- the report


def table(values: dict[str, float], unit: float, name: str) -> list[str]:
    """Return the rows of a table."""
    rows = [f"| {what} | {value / unit:.3g} |" for what, value in values.items()]
    return [f"| | {name} |", "|---|---|", *rows]


def report(run: Run, hardware: Hardware) -> str:
    """Measure, compute, try, and return the text."""
    small, large = (1_000_000, 100_000), (10_000_000, 1_000_000)
    plans = {size: measured("sampler", *size) for size in (small, large)}
    listed = measured("list", *small)
    head = measured("head", 32_768, 512, run.width, run.chunk)
    constants = Constants(
        list_bytes=listed["bytes"] / small[0],
        plan_bytes=plans[small]["bytes"] / small[0],
        plan_seconds=plans[small]["seconds"] / small[0],
        head_overhead=head["step"] / head["products"],
    )
    shard = measured("head", run.shard, 512, run.width, run.chunk)
    expected = head["step"] * run.shard / 32_768
    held = 2 * run.shard * run.width * 4
    steps = seconds(run, constants, hardware)
    epoch = run.images / run.global_batch
    total = steps["backbone, forward and backward"] + steps["head, its shard of the classes"]
    return "\n".join(
        [
            f"# {run.images:,} images, {run.ids:,} identities, {run.processes} GPUs, on paper, "
            f"{datetime.date.today()}",
            "",
            f"{machine()}. Made by `make bench-large`. Assumed of a GPU, sustained: "
            f"{hardware.half / 1e12:.0f} TFLOP/s in half precision, "
            f"{hardware.single / 1e12:.0f} in single (the head), {hardware.network / 1e9:.0f} GB/s "
            f"of network a process, {hardware.processes_per_host} processes a host. "
            f"{run.batch} images a process, {run.global_batch:,} a step; ResNet-50, "
            f"{run.width} numbers.",
            "",
            "## Measured here",
            "",
            f"- A training list takes {constants.list_bytes:.0f} bytes an image.",
            f"- Planning an epoch takes {constants.plan_bytes:.0f} bytes and "
            f"{constants.plan_seconds * 1e6:.2f} microseconds an image.",
            f"- A step of the chunked head takes {constants.head_overhead:.2f} times its four "
            "products.",
            "",
            "## Memory (GB)",
            "",
            *table(memory(run, constants, hardware), GB, "GB"),
            "",
            "## Network, bytes a process sends in a step (MB)",
            "",
            *table(network(run), 1e6, "MB"),
            "",
            "## A step (ms)",
            "",
            *table(steps, 1e-3, "ms"),
            "",
            f"An epoch has {epoch:,.0f} steps: {epoch * total / 3600:.1f} hours if the network is "
            f"hidden behind the work, {epoch * sum(steps.values()) / 3600:.1f} if none of it is. "
            f"Planning it takes {run.images * constants.plan_seconds:.0f} s of each process.",
            "",
            "## Tried here",
            "",
            "| what | computed | measured |",
            "|---|---|---|",
            f"| planning an epoch of {large[0]:,} images and {large[1]:,} ids, from "
            f"{small[0]:,} (s) | {constants.plan_seconds * large[0]:.1f} "
            f"| {plans[large]['seconds']:.1f} |",
            f"| its memory (MB) | {constants.plan_bytes * large[0] / 1e6:.0f} "
            f"| {plans[large]['bytes'] / 1e6:.0f} |",
            f"| a step of one process's shard, {run.shard:,} classes, 512 images, one thread, from "
            f"32,768 classes (s) | {expected:.2f} | {shard['step']:.2f} |",
            f"| the process's memory beyond that with 32,768 classes (MB) "
            f"| {(held - 2 * 32_768 * run.width * 4) / 1e6:.0f} "
            f"| {(shard['bytes'] - head['bytes']) / 1e6:.0f} |",
            "",
        ]
    )


def main() -> None:
    """Do the job that is named, or all for the report."""
    if len(sys.argv) > 1:
        print(json.dumps(JOBS[sys.argv[1]](*map(int, sys.argv[2:]))))
        return
    path = ROOT / "benchmarks" / f"large_scale_{datetime.date.today()}.md"
    path.write_text(report(Run(), Hardware()))
    print(path.read_text())


if __name__ == "__main__":
    main()
