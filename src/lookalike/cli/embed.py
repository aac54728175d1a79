"""``lookalike embed``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lookalike.assembly.embedding import embedded_by_export, embedded_split
from lookalike.assembly.job import build_job
from lookalike.assembly.load import load_run
from lookalike.durable import whole_file
from lookalike.errors import ConfigError
from lookalike.inference.table_files import save_table
from lookalike.training import RunLog

SUFFIXES = (".npz", ".safetensors")


def run_embed(
    config: str,
    split: str,
    out: str,
    overrides: Sequence[str],
    *,
    exported: str | None,
    allow_program: bool,
    allow_import: Sequence[str],
    allow_missing: Sequence[str],
    strict_device: bool,
) -> None:
    """Write the embeddings of one split of a YAML as a table."""
    path = Path(out)
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"--out {out}: tables are written as {' or '.join(SUFFIXES)}.")
    read = ("Train",) if split == "Train" else ()
    run = load_run(config, overrides, allow_import=allow_import, training=False, splits=read)
    log = RunLog(Path(run.config.Global.output_dir), "embed")
    try:
        if exported is not None:
            notes = list(run.notes)
            table = embedded_by_export(
                run, exported, split, log, notes, allow_program=allow_program
            )
        else:
            job = build_job(
                run,
                training=False,
                strict_device=strict_device,
                need_evaluation=False,
                allow_missing=allow_missing,
            )
            for note in job.notes:
                log.line(f"note: {note}")
            table = embedded_split(job, split, log)
        with whole_file(path) as unfinished:
            save_table(table, unfinished)
        width = table.embeddings.shape[1]
        log.line(f"Wrote {len(table):,} embeddings of {width} numbers to {path}")
    finally:
        log.close()
