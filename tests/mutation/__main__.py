"""Plant each fault of ``mutants`` in a copy of the tree, and see whether the nearest tests notice.

    python -m tests.mutation                      # all of them, about half an hour on one core
    python -m tests.mutation optim losses/center  # those of some rooms or files
    python -m tests.mutation --stale              # only say which no longer fit the source

A fault that no test notices is printed, and the exit status is 1 if more than one in twenty is.
Every fault runs in a process forked from one that has imported the heavy packages already.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.mutation.mutants import MUTANTS, tests_of

ROOT = Path(__file__).parents[2]
PACKAGE = "src/lookalike"
SHARE = 0.95
TIMEOUT = 240.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("places", nargs="*", help="beginnings of files, as in mutants.py")
    parser.add_argument("--stale", action="store_true", help="only look whether they still fit")
    options = parser.parse_args()
    planted = [
        (file, *change)
        for file, changes in MUTANTS.items()
        for change in changes
        if not options.places or file.startswith(tuple(options.places))
    ]
    stale = [one for one in planted if (ROOT / PACKAGE / one[0]).read_text().count(one[1]) != 1]
    for file, old, _ in stale:
        print(f"stale: {file}: {old!r} is not in it once")
    if options.stale:
        return bool(stale)
    with tempfile.TemporaryDirectory() as folder:
        tree = copied(Path(folder) / "tree")
        survivors = run(tree, [one for one in planted if one not in stale])
    number = len(planted) - len(stale)
    caught = number - len(survivors)
    print(f"{caught} of {number} planted faults were noticed ({caught / max(number, 1):.1%}).")
    return caught < SHARE * number


def copied(tree: Path) -> Path:
    """Copy what is under version control, or new, without caches."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    found = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, found.decode().split("\0")):
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)
    shared = ROOT.parent / "shared"
    if shared.is_dir():
        (tree.parent / "shared").symlink_to(shared)
    return tree


def run(tree: Path, planted: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    warm_up()
    survivors, passing = [], set()
    for number, (file, old, new) in enumerate(planted, start=1):
        source = tree / PACKAGE / file
        tests = tuple(one for one in tests_of(file) if (tree / one).exists())
        if tests not in passing:
            if not passes(tree, tests):
                raise SystemExit(f"{' '.join(tests)}: fails without a planted fault")
            passing.add(tests)
        whole, started = source.read_text(), time.monotonic()
        source.write_text(whole.replace(old, new))
        try:
            noticed = not passes(tree, (f"{PACKAGE}/{file}", *tests))
        finally:
            source.write_text(whole)
        if not noticed:
            survivors.append((file, old, new))
        print(
            f"{number}/{len(planted)} {'noticed ' if noticed else 'SURVIVED'} "
            f"{time.monotonic() - started:5.1f} s {file}: {old!r} -> {new!r}",
            flush=True,
        )
    return survivors


def warm_up() -> None:
    """Import what every test needs, but not the package under test, before processes are forked."""
    import hypothesis  # noqa: F401
    import numpy  # noqa: F401
    import pytest  # noqa: F401
    import timm  # noqa: F401
    import torch
    import torchvision.transforms.v2  # noqa: F401

    torch.set_num_threads(1)
    assert "lookalike" not in sys.modules


def passes(tree: Path, tests: tuple[str, ...]) -> bool:
    child = os.fork()
    if child == 0:
        os._exit(in_child(tree, tests))
    deadline = time.monotonic() + TIMEOUT
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        if time.monotonic() > deadline:
            os.killpg(child, 9)
            os.waitpid(child, 0)
            return False
        time.sleep(0.05)


def in_child(tree: Path, tests: tuple[str, ...]) -> int:
    import pytest

    os.setsid()
    os.chdir(tree)
    sys.dont_write_bytecode = True
    paths = [str(tree / "src")]
    sys.path[:] = [*paths, *(one for one in sys.path if one not in ("", str(ROOT)))]
    os.environ |= {"PYTHONPATH": paths[0], "PYTHONDONTWRITEBYTECODE": "1"}
    with open(tree.parent / "log", "w") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        arguments = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
        return int(pytest.main([*arguments, *tests]))


if __name__ == "__main__":
    sys.exit(main())
