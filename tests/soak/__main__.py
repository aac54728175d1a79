"""``make soak``: abuse that takes too long for the ordinary tests, counted.

Each part is a module of this folder with ``rows(seed)``, which yields what it found as plain
dictionaries; the last one is the part's result. A row with ``failed`` other than 0 fails the run.
"""

import argparse
import json
import sys
import time
from importlib import import_module
from pathlib import Path

PARTS = ("kills",)


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("parts", nargs="*", default=PARTS, metavar="|".join(PARTS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("output/soak.jsonl"))
    arguments = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parent.parent))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    failed = 0
    with open(arguments.out, "w") as out:
        for part in arguments.parts:
            started, row = time.time(), {}
            for row in import_module(f"soak.{part}").rows(arguments.seed):
                failed += row.get("failed", 0)
                out.write(json.dumps({"part": part, **row}) + "\n")
                out.flush()
            print(json.dumps({"part": part, "seconds": round(time.time() - started), **row}))
    print(f"Every row is in {arguments.out}.")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
