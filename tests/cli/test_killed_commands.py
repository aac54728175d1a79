"""``embed``, ``pack`` and ``convert``, killed: a whole result is left, or none."""

import shutil
import signal

import pytest
from conftest import trainer_of
from killed import killed_at, points_passed
from safetensors.torch import save_file

from lookalike.cli.convert import run_convert
from lookalike.cli.embed import run_embed
from lookalike.cli.pack import run_pack
from lookalike.data.datasets import packed
from lookalike.types import EmbeddingTable


def embed(root):
    run_embed(
        str(root / "run.yaml"), "Query", str(root / "t.npz"), [],
        model=None, exported=None, allow_program=False, allow_import=(), allow_missing=(),
        strict_device=False,
    )  # fmt: skip


def pack(root):
    run_pack(
        str(root / "run.yaml"), "Train", str(root / "p"), [], shard_size="20KB", allow_import=()
    )


def convert(root):
    source = str(root / "source.safetensors")
    run_convert(
        source, str(root / "run.yaml"), str(root / "hub"), [], allow_import=(), allow_missing=()
    )


def make_source(root):
    state = trainer_of(root).update.model.state_dict()
    save_file({k: t.contiguous() for k, t in state.items()}, root / "source.safetensors")


COMMANDS = {
    "embed": (embed, "t.npz", lambda path: len(EmbeddingTable.load(path).labels) == 24),
    "pack": (pack, "p", lambda path: len(packed(str(path)).labels) == 24),
    "convert": (convert, "hub", lambda path: (path / "config.json").stat().st_size > 100),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_kill_at_any_point_leaves_a_whole_result_or_none(tiny, name):
    command, result, is_whole = COMMANDS[name]
    make_source(tiny)
    total = points_passed(lambda: command(tiny))
    assert total >= 3
    assert is_whole(tiny / result)
    (tiny / result).rename(tiny / "first")
    seen = []
    for nth in sorted({1, 2, total // 2, total - 2, total - 1, total}):
        if (tiny / result).exists():
            (tiny / result).rename(tiny / f"result{nth}")
        for left in tiny.glob(".*"):
            shutil.rmtree(left)  # whose removal would be one more point
        assert killed_at(lambda: command(tiny), f"file.*:{nth}:kill") == -signal.SIGKILL
        seen.append((tiny / result).exists())
        assert not seen[-1] or is_whole(tiny / result)
    assert (seen[0], seen[-1]) == (False, True)
    (tiny / result).rename(tiny / "last")
    command(tiny)
    assert is_whole(tiny / result)
    assert not list(tiny.glob(".*")), "the next call removes what the kills have left"
