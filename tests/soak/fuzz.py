"""Feeds the YAML loader and every list reader, by the hundred thousand, with what nobody writes.

``python -m tests.soak.fuzz --count 100000 --json build/soak/fuzz.json``. Each input must give a
result or an error for people, within ten seconds; anything else is kept in the JSON file with the
input, and the exit code is 1. The same seed and first number make the same inputs.
"""

import argparse
import base64
import contextlib
import json
import random
import resource
import signal
import sys
import tempfile
import time
import warnings
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as with_seed
from hypothesis import strategies as st

from lookalike.assembly.load import check_document, load_run
from lookalike.config.overrides import apply_overrides
from lookalike.config.read import Document, read_yaml, read_yaml_text
from lookalike.data.datasets import label_file, table, veri_wild
from lookalike.data.datasets.lists import comp_cars, icartoon, label_from_transform, logo
from lookalike.data.datasets.person_reid import market1501
from lookalike.errors import ConfigError, DataError

ROOT = Path(__file__).parents[2]
SECONDS = 10
MEGABYTES = 500
# writing small files to a disk takes most of the time
IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
PEOPLE = (ConfigError, DataError)

SEEDS = sorted([*(ROOT / "configs").glob("*.yaml"), *(ROOT.parent / "shared").rglob("*.yaml")])
PIECES = [
    b"\0", b"\t", b"\xef\xbb\xbf", b"\r", b"\r\n", b"\n", b"&a ", b"*a", b"!", b"<<: ", b"{", b"}",
    b"[", b"!!python/object:os.system", b"]", b"- ", b"? ", b": ", b",", b"#", b"'", b'"',
    b"|\n", b">2\n",
    b"%TAG ! x\n", b"---\n", b"...\n", b"9" * 30, b"-1", b"1e999", b".nan", b"null", b"True", b"0x",
    b"1.0/0", b"../", b"/etc/passwd", b"C:\\a.jpg", b"\\", "车".encode("gbk"), "车".encode(),
    b"\xe2\x80\xa8", b"\xff", b"\x1b[2J", b" ", b"\xc2\xa0", b"\xd9\xa3", b"a.jpg 0 1\n",
    b"a.jpg\t3\n",
]  # fmt: skip
LISTS = [
    b"a.jpg 0 1\na.jpg 1 2\n", b"a.jpg 0\na.jpg 5\n", b"a.jpg\t0\na.jpg\t1\n", b"a.jpg\n", b"",
    b"a.jpg,0\na.jpg,1\n", b"path,label,camera\na.jpg,0,1\na.jpg,1,2\n", b"1 1\n0 0 8 8\n",
    b"image_id\tclass\tx\tpath\n1\t1\tx\ta.jpg\n", b"path\tlabel\tcamera\na.jpg\tcat\t1\n",
]  # fmt: skip


class Hang(BaseException):
    """An input took too long; no error for people, and no code may catch it."""


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Return a file with one to eight changes."""
    for _ in range(chance.choice((1, 1, 1, 2, 3, 5, 8))):
        place, other = chance.randrange(len(data) + 1), chance.randrange(len(data) + 1)
        kind = chance.randrange(7)
        if kind == 0:
            data = data[:place] + chance.choice(PIECES) + data[place:]
        elif kind == 1:
            data = data[:place] + chance.choice(PIECES) + data[place + chance.randrange(9) :]
        elif kind == 2:
            data = data[:place] + bytes([chance.randrange(256)]) + data[place + 1 :]
        elif kind == 3:
            data = data[:place] + data[place + chance.randrange(60) :]
        elif kind == 4:
            data = data[:place]
        elif kind == 5:
            start, stop = sorted((place, other))
            data = data[:stop] + data[start:stop][:3000] + data[stop:]
        else:
            rows = data.splitlines(keepends=True) or [b""]
            chance.shuffle(rows) if len(rows) < 20 else rows.insert(
                chance.randrange(len(rows)), chance.choice(rows)
            )
            data = b"".join(rows)
    return data


odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(
        ["1.0/0", "os:system", "ArcMargin", "../x", "(a+)+$", "https://a:b@c", "a" * 500]
    ),
)
odd_tree = st.recursive(
    odd,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
yaml_text = st.lists(
    st.sampled_from([piece.decode("utf-8", "replace") for piece in PIECES]) | st.text(max_size=8),
    max_size=30,
).map("".join)
row = st.tuples(
    st.sampled_from(["a.jpg", "b.jpg", "../a.jpg", "/a.jpg", "a b.jpg", ""]) | st.text(max_size=8),
    odd.map(str),
    odd.map(str),
)
rows_text = st.tuples(st.sampled_from([" ", "\t", ",", ";"]), st.lists(row, max_size=8)).map(
    lambda made: "\n".join(made[0].join(cells) for cells in made[1])
)


@dataclass
class Fuzz:
    """Counts what came of the inputs, and keeps those that nobody foresaw."""

    folder: Path
    chance: random.Random
    inputs: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    failures: list[dict[str, str]] = field(default_factory=list)
    slowest: float = 0.0

    def __post_init__(self) -> None:
        (self.folder / "images").mkdir()
        (self.folder / "images" / "a.jpg").write_bytes(b"never decoded")
        self.documents = [read_yaml(path) for path in SEEDS]
        self.texts = [path.read_bytes() for path in SEEDS]

    def attempt(self, family: str, data: bytes, *reads) -> None:
        """Let each reader have the input; only errors for people may come of it."""
        self.inputs[family] = self.inputs.get(family, 0) + 1
        started = time.monotonic()
        for read in reads:
            signal.setitimer(signal.ITIMER_REAL, SECONDS)
            try:
                read()
            except PEOPLE as error:
                name = type(error).__name__
                self.refused[name] = self.refused.get(name, 0) + 1
            except (Hang, Exception) as error:  # noqa: BLE001 - whatever nobody foresaw
                self._keep(family, data, error)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        self.slowest = max(self.slowest, time.monotonic() - started)

    def _keep(self, family: str, data: bytes, error: BaseException) -> None:
        if len(self.failures) < 50:
            what = f"{type(error).__name__}: {str(error)[:300]}"
            content = base64.b64encode(data[:100_000]).decode()
            self.failures.append({"family": family, "error": what, "input": content})

    def yaml_file(self) -> None:
        """Change a YAML of ours or of the reference, and check it as the command does."""
        data = mutated(self.chance.choice(self.texts), self.chance)
        path = self.folder / "run.yaml"
        path.write_bytes(data)
        self.attempt("yaml file", data, lambda: load_run(path))

    def yaml_text(self, text: str) -> None:
        """Read a text that is made of YAML's own signs."""
        data = text.encode("utf-8", "surrogatepass")
        self.attempt("yaml text", data, lambda: check_document(read_yaml_text(text)))

    def yaml_values(self, value) -> None:
        """Put values into a sound YAML in place of its own, and check all of it."""
        document = deepcopy(self.chance.choice(self.documents))
        for _ in range(self.chance.choice((1, 1, 2, 4))):
            _put(document.data, value, self.chance)
        data = repr(value).encode("utf-8", "surrogatepass")
        self.attempt("yaml values", data, lambda: check_document(document))

    def override(self, text: str) -> None:
        """Assign a text on the command line."""
        key = self.chance.choice(["Global.epochs", "Arch.Head", "+a.b", "Loss.Train.0", "x", ""])
        document = Document("x.yaml", "", {"Global": {"epochs": 1}, "Loss": {"Train": [{}]}}, {})
        assignment = f"{key}={text}"
        apply = lambda: apply_overrides(document, [assignment], knows=lambda _: ["epochs"])  # noqa: E731
        self.attempt("override", assignment.encode("utf-8", "surrogatepass"), apply)

    def list_bytes(self, data: bytes, family: str) -> None:
        """Read a list in four of all the layouts there are."""
        root, name = str(self.folder / "images"), str(self.folder / "list.txt")
        csv, tsv, cars = (str(self.folder / file) for file in ("list.csv", "list.tsv", "cars.txt"))
        for file in (name, csv, tsv, self.folder / "images" / "a.txt"):
            Path(file).write_bytes(data)
        readers = [
            lambda: veri_wild(root, name, relabel=True).check_labels(6),
            lambda: label_file(root, name),
            lambda: label_file(root, name, delimiter=","),
            lambda: icartoon(root, name),
            lambda: logo(root, name),
            lambda: label_from_transform(root, name, delimiter=" "),
            lambda: comp_cars(root, cars, root, bbox_crop=True),
            lambda: table(root, csv),
            lambda: table(root, tsv, camera_column="camera"),
        ]
        self.attempt(family, data, *self.chance.sample(readers, 4))

    def file_name(self, name: str) -> None:
        """Read person and camera from the name of a file."""
        folder = self.folder / "market1501" / "Market-1501-v15.09.15" / "query"
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError, ValueError):
            path = folder / f"{name}.jpg"
            path.touch()
            read = lambda: market1501(str(self.folder), "query")  # noqa: E731
            self.attempt("file name", name.encode("utf-8", "surrogatepass"), read)
            path.unlink()


def _put(node, value, chance: random.Random) -> None:
    """Put a value somewhere into nested containers."""
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return
        key = chance.choice(keys)
        inner = node[key]
        if not isinstance(inner, dict | list) or not inner or chance.random() < 0.15:
            break
        node = inner
    if isinstance(node, dict) and chance.random() < 0.1:
        node[str(value)[:20]] = inner
    else:
        node[key] = deepcopy(value)


def _made(strategy, use, count: int, seed: int) -> None:
    """Give ``count`` examples of a strategy to a function."""
    quiet = settings(
        max_examples=count, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip

    @with_seed(seed)
    @quiet
    @given(strategy)
    def run(example):
        use(example)

    if count:
        run()


# of a thousand inputs; the first three take most of the time
SHARES = {"file": 60, "values": 90, "text": 170, "override": 110, "lists": 390, "rows": 130}
NAMES = 50


def run(count: int, seed: int, folder: Path) -> Fuzz:
    """Make and try about ``count`` inputs."""
    fuzz = Fuzz(folder, random.Random(seed))
    (folder / "cars.txt").write_text("a.jpg 0\n")
    share = {name: count * part // 1000 for name, part in SHARES.items()}
    for _ in range(share["file"]):
        fuzz.yaml_file()
    for _ in range(share["lists"]):
        base = b"".join(fuzz.chance.choices(LISTS, k=fuzz.chance.choice((1, 1, 2, 5))))
        fuzz.list_bytes(mutated(base, fuzz.chance), "list file")
    _made(odd_tree, fuzz.yaml_values, share["values"], seed)
    _made(yaml_text, fuzz.yaml_text, share["text"], seed)
    _made(yaml_text, fuzz.override, share["override"], seed)
    encoded = rows_text.map(lambda text: text.encode("utf-8", "surrogatepass"))
    _made(encoded, lambda data: fuzz.list_bytes(data, "list rows"), share["rows"], seed)
    names = st.from_regex(r"-?\d{1,240}_c\d{1,3}", fullmatch=True) | st.text(max_size=60)
    _made(names, fuzz.file_name, count * NAMES // 1000, seed)
    return fuzz


def _stop(*_) -> None:
    raise Hang(f"more than {SECONDS} seconds")


def measured(count: int, seed: int, *, warm: bool = True) -> dict:
    """Run, and return the figures; ``warm`` imports first what YAMLs name, no input's doing."""
    signal.signal(signal.SIGALRM, _stop)
    for path in SEEDS if warm else []:
        with contextlib.suppress(ConfigError):
            load_run(path)
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fuzz = run(count, seed, Path(folder))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1000
    return {
        "seed": seed,
        "inputs": sum(fuzz.inputs.values()),
        "by_family": fuzz.inputs,
        "refused": fuzz.refused,
        "failures": fuzz.failures,
        "slowest_seconds": round(fuzz.slowest, 3),
        "megabytes_grown": round(grown, 1),
        "seconds": round(time.monotonic() - started, 1),
    }


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "soak" / "fuzz.json")
    options = parser.parse_args()
    found = measured(options.count, options.seed)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(found, indent=1))
    print(json.dumps({**found, "failures": len(found["failures"])}))
    return int(bool(found["failures"]) or found["megabytes_grown"] > MEGABYTES)


if __name__ == "__main__":
    sys.exit(main())
