"""``lookalike pack``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lookalike.assembly.load import load_run
from lookalike.assembly.packing import packable_split
from lookalike.cli.evaluate_tables import read_bytes
from lookalike.data.pack import pack_images
from lookalike.training import RunLog


def run_pack(
    config: str,
    split: str,
    folder: str,
    overrides: Sequence[str],
    *,
    shard_size: str,
    allow_import: Sequence[str],
) -> None:
    """Write the images of one split of a YAML into a few large files."""
    size = read_bytes(shard_size, "--shard-size")
    dataset = packable_split(load_run(config, overrides, allow_import=allow_import), split)
    log = RunLog(None, "pack")
    with log.bar(f"packing {split.lower()}", len(dataset)) as bar:
        shards = pack_images(dataset, Path(folder), shard_bytes=size, advance=bar.advance)
    total = sum(shard.stat().st_size for shard in shards)
    log.line(
        f"Packed {len(dataset):,} images, {total / 1e6:,.1f} MB, into {len(shards)} files in "
        f"{folder}. Read them with: dataset: {{name: PackedDataset, image_root: {folder}, ...}}"
    )
