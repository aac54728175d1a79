"""Keys of a stranger's dictionary are checked before they are hashed, which may take for ever."""

import pickle
import subprocess
import sys
from collections import OrderedDict

import pytest
import torch

from lookalike.errors import CheckpointError
from lookalike.models.weights import read_weights

READ = """
import sys
from pathlib import Path
from lookalike.errors import CheckpointError
from lookalike.paddleclas.files import read_reference
from lookalike.models.weights import read_weights
path = sys.argv[1]
try:
    read_weights(path) if path.endswith(".pt") else read_reference(Path(path))
except CheckpointError as error:
    print(error)
"""


def doubled(times):
    """Return a pickle whose one key is a tuple of twice itself, so hashing takes 2**times steps."""
    body = b"\x80\x02}" + b")" + b"".join(b"2\x86" for _ in range(times))
    return body + b"K\x01s."


def nested(depth):
    """Return a pickle whose one key is a tuple in a tuple in a tuple ..."""
    return b"\x80\x02})" + b"\x85" * depth + b"K\x01s."


@pytest.mark.parametrize("suffix", [".pt", ".pdparams"])
@pytest.mark.parametrize("content", [doubled(60), nested(200_000)], ids=["doubled", "nested"])
def test_keys_that_cannot_be_hashed_in_time_are_refused_at_once(tmp_path, suffix, content):
    path = tmp_path / f"bomb{suffix}"
    if suffix == ".pt":
        # the format of PyTorch before zip archives: a magic number, a version, facts, the pickle
        head = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
        content = b"".join(pickle.dumps(one, protocol=2) for one in head) + content
    path.write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "a key that is neither a name nor a number" in done.stdout


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"state_dict": s, "epoch": 3},
                                  lambda s: {"model": OrderedDict(s)}])  # fmt: skip
def test_files_of_pytorch_are_read_as_before(tmp_path, legacy, wrap):
    state = {"a.weight": torch.arange(6.0).view(2, 3), "b": torch.tensor(7)}
    torch.save(wrap(state), tmp_path / "w.pth", _use_new_zipfile_serialization=not legacy)
    found = read_weights(tmp_path / "w.pth")
    assert found.keys() == state.keys()
    assert all(torch.equal(found[key], state[key]) for key in state)


def test_a_global_that_runs_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("run",))

    torch.save({"a": Evil()}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError):
        read_weights(tmp_path / "w.pth")
