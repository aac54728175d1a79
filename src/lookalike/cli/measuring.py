"""The commands that embed and measure: ``eval``, ``compare``, ``embed``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lookalike.cli.guard import guarded
from lookalike.cli.importing import importing
from lookalike.cli.options import (
    AllowImport,
    AllowMissing,
    Augment,
    Codes,
    Debug,
    Expand,
    JsonFile,
    Memory,
    Metrics,
    Normalize,
    OptionalConfigFile,
    Overrides,
    ProtocolName,
    ReRank,
    StrictDevice,
    TieRule,
    TrainedModel,
)
from lookalike.errors import ConfigError

if TYPE_CHECKING:
    from lookalike.cli.evaluate_tables import TableOptions


def evaluate(
    config: Annotated[
        str | None, typer.Option("-c", "--config", help="YAML whose model and data are measured.")
    ] = None,
    model: TrainedModel = None,
    override: Overrides = None,
    query: Annotated[
        str | None, typer.Option("--query", help="Embedding table of the queries, without a YAML.")
    ] = None,
    gallery: Annotated[
        str | None, typer.Option("--gallery", help="Table of the gallery; the queries by default.")
    ] = None,
    metric: Metrics = None,
    protocol: ProtocolName = None,
    ties: TieRule = "pessimistic",
    normalize: Normalize = True,
    binarize: Codes = None,
    augment: Augment = 0,
    expand: Expand = 0,
    re_rank: ReRank = False,
    memory: Memory = "1GB",
    slice_by: Annotated[
        str | None, typer.Option("--slice", help="Also by camera or label; the worst first.")
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show how other libraries would score the tables.")
    ] = False,
    curve: Annotated[
        str | None,
        typer.Option("--curve", help="Draw recall against bytes of codes into this picture."),
    ] = None,
    json_file: JsonFile = None,
    tables: Annotated[
        str | None,
        typer.Option("--tables", help="Keep the embeddings as query.npz and gallery.npz here."),
    ] = None,
    allow_import: AllowImport = None,
    allow_missing: AllowMissing = None,
    strict_device: StrictDevice = False,
    debug: Debug = False,
) -> None:
    """Measure retrieval: of a model (-c, --model), or of embedding tables (--query, --gallery)."""
    with guarded(debug):
        if (config is None and model is None) == (query is None):
            raise ConfigError("give a YAML (-c), a model (--model), or tables (--query).")
        if query is not None:
            with importing():
                from lookalike.cli.evaluate_tables import run_table_evaluation

            run_table_evaluation(
                query,
                gallery,
                _table_options(
                    metric, protocol, ties, normalize, binarize, augment, expand, re_rank, memory
                ),
                json_file=json_file,
                slice_by=slice_by,
                explain=explain,
                curve=curve,
            )
            return
        with importing():
            from lookalike.cli.evaluate import run_evaluation

        only_tables = {
            "--metric": metric,
            "--protocol": protocol,
            "--gallery": gallery,
            "--binarize": binarize,
            "--augment": augment,
            "--expand": expand,
            "--re-rank": re_rank,
            "--slice": slice_by,
            "--explain": explain,
            "--curve": curve,
        }
        if given := [name for name, value in only_tables.items() if value]:
            raise ConfigError(
                f"{', '.join(given)} belongs to tables (--query); else the YAML decides."
            )
        run_evaluation(
            config,
            override or [],
            model=model,
            json_file=json_file,
            tables=tables,
            allow_import=allow_import or [],
            allow_missing=allow_missing or [],
            strict_device=strict_device,
        )


def compare(
    first: Annotated[str, typer.Argument(help="A: a table, or a folder of eval --tables.")],
    second: Annotated[str, typer.Argument(help="B: the same of another model.")],
    metric: Metrics = None,
    protocol: ProtocolName = None,
    ties: TieRule = "pessimistic",
    normalize: Normalize = True,
    binarize: Codes = None,
    augment: Augment = 0,
    expand: Expand = 0,
    re_rank: ReRank = False,
    memory: Memory = "1GB",
    json_file: JsonFile = None,
    debug: Debug = False,
) -> None:
    """Tell which of two models is better, if the difference is no noise."""
    with guarded(debug):
        with importing():
            from lookalike.cli.compare import run_comparison

        options = _table_options(
            metric, protocol, ties, normalize, binarize, augment, expand, re_rank, memory
        )
        run_comparison(first, second, options, json_file=json_file)


def _table_options(
    metric: Metrics,
    protocol: ProtocolName,
    ties: TieRule,
    normalize: Normalize,
    binarize: Codes,
    augment: Augment,
    expand: Expand,
    re_rank: ReRank,
    memory: Memory,
) -> TableOptions:
    from lookalike.cli.evaluate_tables import TableOptions, read_bytes
    from lookalike.retrieval.rules import Rules

    rules = Rules(
        ties=ties,
        normalize=normalize,
        binarize=binarize,
        augment=augment,
        expand=expand,
        re_rank=re_rank,
        memory=read_bytes(memory),
    )
    return TableOptions(metric or (), protocol, rules)


def embed(
    out: Annotated[str, typer.Option("--out", help="The table: .npz or .safetensors.")],
    split: Annotated[str, typer.Option("--split", help="Query, Gallery, Eval or Train.")] = "Query",
    config: OptionalConfigFile = None,
    model: TrainedModel = None,
    exported: Annotated[
        str | None,
        typer.Option("--exported", help="A folder of lookalike export; as --model."),
    ] = None,
    allow_program: Annotated[
        bool,
        typer.Option(
            "--allow-program", help="Run its torch.export file, which can run code, without ONNX."
        ),
    ] = False,
    override: Overrides = None,
    allow_import: AllowImport = None,
    allow_missing: AllowMissing = None,
    strict_device: StrictDevice = False,
    debug: Debug = False,
) -> None:
    """Write the embeddings of a split as a table."""
    with guarded(debug):
        with importing():
            from lookalike.cli.embed import run_embed

        run_embed(
            config,
            split,
            out,
            override or [],
            model=model,
            exported=exported,
            allow_program=allow_program,
            allow_import=allow_import or [],
            allow_missing=allow_missing or [],
            strict_device=strict_device,
        )
