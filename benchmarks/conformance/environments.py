"""The interpreters that the systems run in, and the machine."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the interpreters of the peers, where the Makefile puts them by default."""
    for name, what in (("peers", "peers.txt"), ("paddle", "peers-paddle.txt")):
        parser.add_argument(
            f"--{name}",
            default=f"build/{name}/bin/python",
            help=f"an interpreter with benchmarks/{what} installed",
        )


def interpreters(arguments: argparse.Namespace) -> dict[str, str | None]:
    """Return the interpreter of each environment; None for one that is not there."""
    # not resolved: a link to the interpreter is what makes an environment of it
    paths = {name: ROOT / getattr(arguments, name) for name in ("peers", "paddle")}
    found = {name: str(path) if path.exists() else None for name, path in paths.items()}
    return {"own": sys.executable, **found}


def run_module(
    interpreter: str, module: str, arguments: list[str], threads: int, timeout: float = 3600.0
) -> subprocess.CompletedProcess[str]:
    """Run a module of the benchmarks in another process."""
    count = str(threads)
    environment = os.environ | {
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    return subprocess.run(
        [interpreter, "-m", module, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def busy_seconds() -> float:
    """Return the seconds of all processors that were not idle, since the start."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    numbers = [int(field) for field in fields]
    return (sum(numbers) - numbers[3] - numbers[4]) / os.sysconf("SC_CLK_TCK")


def wait_until_quiet(seconds: float) -> None:
    """Wait until others leave the machine alone, or the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        before = busy_seconds()
        time.sleep(2.0)
        if busy_seconds() - before < 0.2:
            return


def machine() -> str:
    """Describe the machine in a line."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        model = names[0] if names else model
    return (
        f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"torch {version('torch')}, numpy {version('numpy')}, numba {_version('numba')}"
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except ImportError:
        return "missing"
