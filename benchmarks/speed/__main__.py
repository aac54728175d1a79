"""Run the topics and write ``benchmarks/latest.json`` and the dated report with its pictures.

``make bench``, or ``python -m benchmarks.speed --quick`` from the root of the repository. Every run
of a system is a process of its own, and the systems take turns. On one thread what counts is
processor time, which a busy machine disturbs least; with more threads, or on a GPU, it is the clock
on the wall.
"""

from __future__ import annotations

import argparse
import datetime
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.conformance.environments import ROOT, add_arguments, interpreters, machine
from benchmarks.speed import pictures, report, rows, scale
from benchmarks.speed.goals import verdicts
from benchmarks.speed.plan import Topic
from benchmarks.speed.rounds import Settings, run_topic
from benchmarks.speed.topics import TOPICS
from benchmarks.speed.work import cpu_seconds


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read what to run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    add_arguments(parser)
    parser.add_argument("--topics", default=",".join(TOPICS), help="by name, with commas")
    parser.add_argument("--systems", help="only those whose name contains one of these, commas")
    parser.add_argument("--cases", help="only those whose name contains one of these, commas")
    parser.add_argument("--rounds", type=int, help="turns of every system (3, quick: 1)")
    parser.add_argument("--seconds", type=float, help="how long a case is repeated in a process")
    parser.add_argument("--quick", action="store_true", help="small sizes, one round, five minutes")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--timeout", type=float, default=900.0, help="seconds of a process at most")
    parser.add_argument(
        "--quiet", type=float, default=0.0, help="seconds to wait at most for an idle machine"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks")
    parser.add_argument("--work", type=Path, help="where files for the topics go; else temporary")
    asked = parser.parse_args(arguments)
    asked.rounds = asked.rounds or (1 if asked.quick else 3)
    asked.seconds = asked.seconds or (0.5 if asked.quick else 1.0)
    if unknown := set(asked.topics.split(",")) - set(TOPICS):
        parser.error(f"no topic {', '.join(sorted(unknown))}; topics: {', '.join(TOPICS)}")
    return asked


def chosen(asked: argparse.Namespace) -> list[Topic]:
    """Return the topics with the systems and cases that were asked for, in ``cases``."""

    def wanted(name: str, words: str | None) -> bool:
        return words is None or any(word.lower() in name.lower() for word in words.split(","))

    topics = []
    for topic in (TOPICS[name] for name in asked.topics.split(",")):
        cases = topic.quick if asked.quick else topic.cases
        topics.append(
            replace(
                topic,
                cases=tuple(case for case in cases if wanted(case.name, asked.cases)),
                systems=tuple(one for one in topic.systems if wanted(one.name, asked.systems)),
            )
        )
    return topics


def head(asked: argparse.Namespace, started: float, load: float) -> str:
    """Return what the report begins with."""
    clock = (
        "Values are by processor time"
        if asked.threads == 1 and asked.device == "cpu"
        else "Values are by the clock on the wall"
    )
    command = "--quick" if asked.quick else "the full sizes"
    minutes = (time.time() - started) / 60, cpu_seconds("children") / 60
    return (
        f"{machine()}; {asked.threads} thread(s), device {asked.device}; {command}, "
        f"{asked.rounds} round(s); {minutes[0]:.0f} minutes, {minutes[1]:.0f} of processor time; "
        "load average "
        f"{load:.2f} before, {os.getloadavg()[0]:.2f} at the end. Made by `make bench`.\n\n"
        f"{clock}; every run is a process of its own, in rounds in which the systems take turns; "
        "medians of the rounds. A ratio is taken within each round, and its spread is that of the "
        "rounds. Machines differ and are shared: only ratios of one run mean anything. \"Others' "
        'cores" is what other processes used meanwhile.'
    )


def run(asked: argparse.Namespace, folder: Path) -> None:
    """Run everything and write the results after each topic."""
    started, load = time.time(), os.getloadavg()[0]
    settings = Settings(
        interpreters(asked),
        rounds=asked.rounds,
        seconds=asked.seconds,
        least=1 if asked.quick else 2,
        threads=asked.threads,
        device=asked.device,
        timeout=asked.timeout,
        quiet=asked.quiet,
        seed=asked.seed,
    )
    how = {"threads": asked.threads, "device": asked.device, "quick": asked.quick}
    made: list[rows.Row] = []
    topics = chosen(asked)
    asked.out.mkdir(parents=True, exist_ok=True)
    for topic in topics:
        found = run_topic(
            topic, topic.cases, settings, folder / topic.name, lambda line: print(line, flush=True)
        )
        made += rows.rows_of(topic, topic.cases, found, how=how)
        if made:
            rows.save(made, asked.out / "latest.json")
    write(topics, made, asked.out, head(asked, started, load))


def write(topics: list[Topic], made: list[rows.Row], out: Path, beginning: str) -> None:
    """Write the report and its pictures, and print the goals."""
    today = datetime.date.today().isoformat()
    curves = scale.curves([*made, *rows.of_topic("retrieval", out / "latest.json")])
    pictures.draw_ratios(topics, made, out / f"speed_{today}.png")
    pictures.draw_curves(curves, out / f"speed_{today}_growth.png")
    written = report.text(topics, made, curves, head=beginning, today=today)
    (out / f"speed_{today}.md").write_text(written)
    print(report.goals_table(verdicts(made)))


def main() -> None:
    """Run in the given folder, or in a temporary one."""
    asked = parse()
    if asked.work:
        run(asked, asked.work.resolve())
    else:
        with tempfile.TemporaryDirectory() as folder:
            run(asked, Path(folder))


if __name__ == "__main__":
    main()
