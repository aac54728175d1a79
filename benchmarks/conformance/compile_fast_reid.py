"""Compile the evaluator whose Cython source is in the package ``fastreid``.

``pip install --no-deps fastreid cython``, a C compiler, then
``python -m benchmarks.conformance.compile_fast_reid``. The package pins a torch of 2022, hence
``--no-deps``; its evaluator needs numpy only.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path


def folder() -> Path:
    """Return its folder of evaluators, without importing the package."""
    found = find_spec("fastreid")
    if found is None or found.origin is None:
        raise ImportError("fastreid is not installed: pip install --no-deps fastreid cython")
    return Path(found.origin).parent / "evaluation"


def main() -> None:
    """Compile in place."""
    command = [sys.executable, "setup.py", "build_ext", "--inplace"]
    subprocess.run(command, cwd=folder() / "rank_cylib", check=True, capture_output=True)


if __name__ == "__main__":
    main()
