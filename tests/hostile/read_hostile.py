"""Reads hostile files one after the other, as the command would, and tells what came of each.

Run as ``python read_hostile.py FOLDER``, where ``FOLDER/plan.json`` lists (name, reader, path). One
line of JSON per file: name, exit code, message, seconds of the processor, megabytes of memory at
most beyond what there was before.
"""

import contextlib
import io
import json
import resource
import signal
import sys
import time
import warnings
from pathlib import Path

import onnxruntime  # noqa: F401 - takes its address space before the limit is set
import pyarrow.parquet  # noqa: F401

from lookalike.assembly.embedding_model import EmbeddingModel
from lookalike.assembly.load import load_run
from lookalike.cli.guard import guarded
from lookalike.data.datasets import label_file, table, veri_wild
from lookalike.data.datasets.face_pairs import FacePairs
from lookalike.data.datasets.lists import icartoon, label_from_transform, logo
from lookalike.data.datasets.person_reid import market1501
from lookalike.data.feature_store import FeatureStore
from lookalike.data.shards import Shards
from lookalike.inference.exported import ExportedFolder
from lookalike.inference.table_files import load_table
from lookalike.models.weights import read_weights
from lookalike.paddleclas.files import read_reference
from lookalike.training import load_checkpoint

SECONDS = 60
MEGABYTES = 3000  # of address space; an allocator of pyarrow reserves a third of it
ROOT = "images"


def renamed(path, suffix):
    target = path.with_suffix(suffix)
    path.rename(target)
    return target


READERS = {
    "run": load_run,
    "list": lambda path: veri_wild(ROOT, str(path)).check_labels(6),
    "delimited": lambda path: label_file(ROOT, str(path), delimiter=","),
    "logo": lambda path: logo(ROOT, str(path)),
    "cartoon": lambda path: icartoon(ROOT, str(path)),
    "unlabelled": lambda path: label_from_transform(ROOT, str(path)),
    "table": lambda path: table(ROOT, str(path)),
    "weights": read_weights,
    "reference": read_reference,
    "checkpoint": load_checkpoint,
    "published": EmbeddingModel.from_pretrained,
    "exported": ExportedFolder,
    "embeddings": load_table,
    "embeddings_map": lambda path: load_table(renamed(path, ".safetensors")),
    "embeddings_columns": lambda path: load_table(renamed(path, ".parquet")),
    "shards": Shards,
    "faces": lambda path: FacePairs(str(path)),
    "features": lambda path: FeatureStore(path, [2]),
    "persons": lambda path: market1501(str(path), "query"),
}


def memory(field):
    """Return a number of /proc/self/status in megabytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1000
    raise LookupError(field)


def outcome(reader, path):
    """Return exit code and message, as the command line would give them."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            with guarded(debug=False):
                READERS[reader](path)
            code = 0
        except SystemExit as end:
            code = end.code
    return code, said.getvalue()


def main(folder):
    warnings.simplefilter("error")
    used = int(memory("VmSize") * 1e6)
    limit = used + MEGABYTES * 1_000_000
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for name, reader, path in json.loads((folder / "plan.json").read_text()):
        Path("/proc/self/clear_refs").write_text("5")  # the highest memory from now on
        before, started = memory("VmRSS"), time.process_time()
        signal.alarm(SECONDS)
        code, text = outcome(reader, Path(path))
        signal.alarm(0)
        seconds, grown = time.process_time() - started, memory("VmHWM") - before
        print(json.dumps([name, code, text, seconds, grown]), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
