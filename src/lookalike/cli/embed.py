"""``lookalike embed``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lookalike.assembly.embedding import embedded_by_export, embedded_split
from lookalike.assembly.job import build_job
from lookalike.assembly.model_source import ModelSource
from lookalike.assembly.run_model import run_and_model
from lookalike.assembly.untrained import parts_of_embeddings
from lookalike.cli.trained import report_model, reported_later
from lookalike.durable import whole_file
from lookalike.errors import ConfigError
from lookalike.inference.table_files import save_table
from lookalike.training import RunLog

SUFFIXES = (".npz", ".safetensors")


def run_embed(
    config: str | None,
    split: str,
    out: str,
    overrides: Sequence[str],
    *,
    model: str | None = None,
    exported: str | None,
    allow_program: bool,
    allow_import: Sequence[str],
    allow_missing: Sequence[str],
    strict_device: bool,
) -> None:
    """Write the embeddings of one split of a YAML as a table.

    Raises:
        ConfigError: If both ``model`` and ``exported`` are given, or ``--out`` is no table.
    """
    path = Path(out)
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"--out {out}: tables are written as {' or '.join(SUFFIXES)}.")
    read = ("Train",) if split == "Train" else ()
    if model is not None and exported is not None:
        raise ConfigError("--exported is another name of --model; give one of them.")
    run, source = run_and_model(config, model, overrides, allow_import=allow_import, splits=read)
    if exported is not None:
        source = ModelSource(exported, "exported")
    log = RunLog(Path(run.config.Global.output_dir), "embed")
    try:
        if source is not None and source.kind == "exported":
            table = embedded_by_export(
                run, source.place, split, log, list(run.notes), allow_program=allow_program
            )
        else:
            with reported_later():
                job = build_job(
                    run,
                    training=False,
                    strict_device=strict_device,
                    need_evaluation=False,
                    allow_missing=allow_missing,
                    model=source,
                )
            report_model(job, log, parts_of_embeddings(run.config))
            table = embedded_split(job, split, log)
        with whole_file(path) as unfinished:
            save_table(table, unfinished)
        width = table.embeddings.shape[1]
        log.line(f"Wrote {len(table):,} embeddings of {width} numbers to {path}")
    finally:
        log.close()
