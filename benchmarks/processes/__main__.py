"""Several processes beside one, measured and written to ``benchmarks/processes_<date>.md``.

``python -m benchmarks.processes``, from the folder of the project; ``equalities``, ``volumes``,
``memory`` or ``runs`` behind it measures that part alone and leaves the rest of today's report.
"""

from __future__ import annotations

import datetime
import sys
from typing import Any

import torch

from benchmarks.conformance.environments import ROOT, machine
from benchmarks.processes import equalities, memory, volumes, whole_run
from tests.processes.process_group import run

COUNTS = (2, 4)
CLASSES = 1_000_000


def measured_equalities() -> dict[str, Any]:
    """Return every quantity of the table."""
    found = {name: equalities.measure(name) for name in equalities.CASES}
    return found | {name: make() for name, make in equalities.OTHERS.items()}


def equality_rows() -> list[str]:
    """Return the table of equalities."""
    alone = measured_equalities()
    several = {many: run(measured_equalities, many) for many in COUNTS}
    rows = ["| quantity | 1 process: last loss, or value | " + " | ".join(
        f"{many} processes | largest difference" for many in COUNTS
    ) + " |", "|---|---|" + "---|---|" * len(COUNTS)]  # fmt: skip
    for name, found in alone.items():
        last = max(key for key in found if key.split()[0] in ("loss", "value"))
        cells = [f"{float(found[last][1]):.6f}"]
        for many in COUNTS:
            own = [one[name] for one in several[many]]
            loss = torch.stack([one[last][1] for one in own]).double().mean()
            cells += [f"{float(loss):.6f}", f"{equalities.compare(found, own):.1e}"]
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return rows


def volume_rows() -> list[str]:
    """Return what is sent, counted and computed."""
    rows = [
        "| step | processes | counted (bytes) | computed (bytes) | of it |",
        "|---|---|---|---|---|",
    ]
    for many in COUNTS:
        found = run(volumes.volumes, many)[0]
        for what, sent in found.items():
            parts = volumes.formula(what, many)
            said = "; ".join(f"{name}: {value:,.0f}" for name, value in parts.items())
            rows.append(
                f"| {what} | {many} | {sum(sent.values()):,} | {sum(parts.values()):,.0f} "
                f"| {said} |"
            )
    return rows


def memory_rows() -> list[str]:
    """Return the memory of a head of a million classes."""
    rows = [
        "| processes | sample_rate | rows of a process | computed (MB) | measured, largest (MB) "
        "| with kept blocks (MB) | code and buffers (MB) | seconds of a step |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for many, rate in ((1, 1.0), (2, 1.0), (4, 1.0), (4, 0.1)):
        used, kept = (
            run(memory.measure, many, CLASSES, rate, keeping, timeout=240.0)
            for keeping in (False, True)
        )
        assert all(one["loss"] > 0 for one in used)
        computed = memory.formula(CLASSES, many, rate) / 1e6
        most = [max(one[key] for one in found) / 1e6 for found, key in (
            (used, "bytes"), (kept, "bytes"), (kept, "code"),
        )]  # fmt: skip
        rows.append(
            f"| {many} | {rate:g} | {used[0]['rows']:,} | {computed:,.0f} | "
            + " | ".join(f"{value:,.0f}" for value in most)
            + f" | {max(one['seconds'] for one in kept):.1f} |"
        )
    return rows


def equality_section() -> list[str]:
    """Return the part on equalities."""
    return [
        "## Equalities",
        "",
        f"Three steps of a small model in float64 with {equalities.BATCH} images over all "
        "processes. The difference is the largest of any number: features, losses, gradients "
        "of the first step, and in the end parameters, running statistics, memories and "
        "centres, in every process.",
        "",
        *equality_rows(),
    ]


def volume_section() -> list[str]:
    """Return the part on what is sent."""
    return [
        "## Sent by a process in a step",
        "",
        f"{volumes.BATCH} images a process, {volumes.CLASSES:,} classes of "
        f"{volumes.WIDTH} numbers, counted where PyTorch is asked to send, as a ring sends it. "
        "Not counted: the marks of used parameters, four bytes for each.",
        "",
        *volume_rows(),
    ]


def memory_section() -> list[str]:
    """Return the part on memory."""
    return [
        f"## Memory of a sharded head, {CLASSES:,} classes of {memory.WIDTH} numbers",
        "",
        f"{memory.BATCH} images over all processes, {memory.STEPS} training steps with "
        f"momentum within the backward pass, {memory.CHUNK} classes at once. Measured is the "
        "most that a process has had beyond what it had after the same steps with "
        f"{memory.FEW:,} classes, whose code and buffers are a column of "
        "their own. Blocks that the C library keeps after they are freed are left out of it, and "
        "counted in the next column.",
        "",
        *memory_rows(),
    ]


def run_section() -> list[str]:
    """Return the part on whole runs."""
    many = max(COUNTS)
    few = whole_run.measure(memory.FEW, many)
    found = whole_run.measure(CLASSES, many)
    batch = many * whole_run.EACH
    computed = memory.formula(CLASSES, many, batch=batch) / 1e6
    rows = [
        f"| {what} | {computed:,.0f} | {(one['bytes'] - few[what]['bytes']) / 1e6:,.0f} "
        f"| {one['written'] / 1e6:,.0f} | {one['file'] / 1e6:,.0f} |"
        for what, one in found.items()
    ]
    return [
        f"## Whole runs, {CLASSES:,} classes of {memory.WIDTH} numbers in {many} processes",
        "",
        f"`lookalike train` from a YAML: {whole_run.STEPS} steps of {batch} images and a "
        "checkpoint, and the same gone on from it. Measured is the most that a process has had, "
        f"beyond that of the same run with {memory.FEW:,} classes. A run that goes on has besides, "
        "while it reads, the mapped pages of a file; the system takes them when it needs them.",
        "",
        "| a run that | computed (MB) | measured, largest (MB) | checkpoint (MB) "
        "| its largest file (MB) |",
        "|---|---|---|---|---|",
        *rows,
    ]


SECTIONS = {
    "equalities": equality_section,
    "volumes": volume_section,
    "memory": memory_section,
    "runs": run_section,
}


def main() -> None:
    """Measure the parts that are named, or all, and write the report; others stay as they are."""
    asked = sys.argv[1:] or list(SECTIONS)
    path = ROOT / "benchmarks" / f"processes_{datetime.date.today()}.md"
    before = path.read_text().split("\n## ")[1:] if path.exists() else []
    parts = dict(zip(SECTIONS, ["## " + text.rstrip() for text in before], strict=False))
    parts |= {name: "\n".join(SECTIONS[name]()) for name in asked}
    head = (
        f"# Several processes beside one, {datetime.date.today()}\n\n"
        f"{machine()}. Made by `python -m benchmarks.processes`; gloo on one machine."
    )
    path.write_text("\n\n".join([head, *(parts[n] for n in SECTIONS if n in parts)]) + "\n")
    print(path.read_text())


if __name__ == "__main__":
    main()
