"""The ``lookalike`` command. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from lookalike.cli.guard import guarded
from lookalike.cli.importing import importing
from lookalike.cli.measuring import compare, embed, evaluate
from lookalike.cli.options import (
    AllowImport,
    AllowMissing,
    CleanListTarget,
    ConfigFile,
    Debug,
    OptionalConfigFile,
    Overrides,
    Processes,
    Report,
    Restarts,
    StrictDevice,
    TrainedModel,
    Workers,
)
from lookalike.errors import ConfigError
from lookalike.screen import make_streams_last

app = typer.Typer(
    name="lookalike",
    help="Train image embedding models, measure retrieval exactly, find lookalikes.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.command()
def train(
    config: ConfigFile,
    override: Overrides = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the run folder's latest checkpoint.")
    ] = False,
    resume_or_start: Annotated[
        bool,
        typer.Option("--resume-or-start", help="As --resume; start if there is no checkpoint yet."),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the run that the run folder holds.")
    ] = False,
    nproc: Processes = 1,
    restarts: Restarts = 0,
    allow_import: AllowImport = None,
    allow_missing: AllowMissing = None,
    strict_device: StrictDevice = False,
    debug: Debug = False,
) -> None:
    """Train a model as a YAML describes."""
    with guarded(debug):
        if nproc > 1 and "WORLD_SIZE" not in os.environ:
            from lookalike.cli.launch import check_first, launch

            check_first(config, override or [], allow_import or [])
            launch(sys.argv[1:], nproc, restarts)
            return
        with importing():
            from lookalike.cli.train import run_training

        run_training(
            config,
            override or [],
            resume=resume or resume_or_start,
            or_start=resume_or_start,
            overwrite=overwrite,
            allow_import=allow_import or [],
            allow_missing=allow_missing or [],
            strict_device=strict_device,
        )


app.command(name="eval")(evaluate)
app.command()(compare)
app.command()(embed)


@app.command(name="export")
def export_model(
    config: OptionalConfigFile = None,
    model: TrainedModel = None,
    override: Overrides = None,
    onnx: Annotated[bool, typer.Option(help="Write ONNX besides the torch.export file.")] = True,
    images: Annotated[
        int, typer.Option(min=2, help="Images of the evaluation to try the files on.")
    ] = 64,
    allow_import: AllowImport = None,
    allow_missing: AllowMissing = None,
    allow_random_weights: Annotated[
        bool,
        typer.Option("--allow-random-weights", help="Export a model that is not fully trained."),
    ] = False,
    debug: Debug = False,
) -> None:
    """Write a trained model to files, compared with the model before they are kept."""
    with guarded(debug):
        with importing():
            from lookalike.cli.export import run_export

        run_export(
            config,
            override or [],
            model=model,
            onnx=onnx,
            images=images,
            allow_import=allow_import or [],
            allow_missing=allow_missing or [],
            allow_random_weights=allow_random_weights,
        )


@app.command()
def convert(
    source: Annotated[
        str, typer.Argument(help="Weights: .pdparams and .pdiparams of PaddleClas, .pth, a folder.")
    ],
    target: Annotated[
        str, typer.Argument(help="A .safetensors file, or a folder with config and card.")
    ],
    config: ConfigFile,
    override: Overrides = None,
    allow_import: AllowImport = None,
    allow_missing: AllowMissing = None,
    debug: Debug = False,
) -> None:
    """Turn a weight file into one of ours, complete or not at all."""
    with guarded(debug):
        with importing():
            from lookalike.cli.convert import run_convert

        run_convert(
            source,
            config,
            target,
            override or [],
            allow_import=allow_import or [],
            allow_missing=allow_missing or [],
        )


@app.command()
def pack(
    config: ConfigFile,
    to: Annotated[str, typer.Option("--to", help="Folder to write; new, or empty.")],
    split: Annotated[str, typer.Option("--split", help="Train, Query, Gallery or Eval.")] = "Train",
    shard_size: Annotated[
        str, typer.Option("--shard-size", help="A file that has grown beyond is closed.")
    ] = "256MB",
    override: Overrides = None,
    allow_import: AllowImport = None,
    debug: Debug = False,
) -> None:
    """Put the images of a YAML's split into a few large tar files, with an index."""
    with guarded(debug):
        with importing():
            from lookalike.cli.pack import run_pack

        run_pack(
            config,
            split,
            to,
            override or [],
            shard_size=shard_size,
            allow_import=allow_import or [],
        )


@app.command()
def check(
    config: ConfigFile,
    override: Overrides = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
    data: Annotated[
        bool, typer.Option("--data", help="Read every image and say what is wrong with the data.")
    ] = False,
    report: Report = None,
    write_clean_list: CleanListTarget = None,
    workers: Workers = None,
    allow_import: AllowImport = None,
    strict_device: StrictDevice = False,
    debug: Debug = False,
) -> None:
    """Build everything a YAML describes, without training, and tell what would run."""
    with guarded(debug):
        if data:
            with importing():
                from lookalike.cli.check_data import run_data_check

            run_data_check(
                config,
                override or [],
                report=report,
                clean_list=write_clean_list,
                workers=workers,
                as_json=as_json,
                allow_import=allow_import or [],
            )
            return
        if report or write_clean_list or workers:
            raise ConfigError("--report, --write-clean-list and --workers belong to --data.")
        with importing():
            from lookalike.cli.check import run_check

        run_check(
            config,
            override or [],
            as_json=as_json,
            allow_import=allow_import or [],
            strict_device=strict_device,
        )


@app.command(name="list")
def list_components(
    kind: Annotated[
        str, typer.Argument(help="heads, necks, backbones, losses, metrics, datasets, ...")
    ] = "",
    weights: Annotated[
        bool, typer.Option("--weights", help="Of backbones: where weights come from, and licences.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Print the components of a kind, with PaddleClas's names for them."""
    with guarded(debug):
        with importing():
            from lookalike.cli.list_components import print_components, print_weights

        if weights and kind != "backbones":
            raise ConfigError("--weights belongs to: lookalike list backbones --weights")
        print_weights() if weights else print_components(kind)


@app.command()
def version() -> None:
    """Print the version."""
    from lookalike import __version__

    typer.echo(__version__)


def main() -> None:
    """Run the command line; usage errors exit with 2 as all configuration errors do."""
    # Waiting OpenMP threads spin by default: with data workers on the same cores one training step
    # was measured to take 20 times as long. Passive waiting costs nothing measurable otherwise.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    make_streams_last()
    try:
        app(prog_name="lookalike", args=sys.argv[1:])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
