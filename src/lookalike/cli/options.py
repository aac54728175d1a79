"""Options that several commands take."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

ConfigFile = Annotated[str, typer.Option("-c", "--config", help="YAML that describes the run.")]
OptionalConfigFile = Annotated[
    str | None,
    typer.Option("-c", "--config", help="YAML; by default the one stored with --model."),
]
TrainedModel = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="Run folder (its best model), checkpoint or weight file; by default of the YAML's "
        "run folder.",
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("-o", "--override", help="Section.key=value, repeatable; +path=value adds a key."),
]
AllowImport = Annotated[
    list[str] | None,
    typer.Option("--allow-import", help="Module that components may be imported from, repeatable."),
]
Processes = Annotated[
    int, typer.Option("--nproc", min=1, help="Processes of this machine to train in.")
]
Restarts = Annotated[
    int,
    typer.Option(
        "--restarts", min=0, help="With --nproc: how often to go on when a process has failed."
    ),
]
StrictDevice = Annotated[
    bool, typer.Option("--strict-device", help="Refuse to fall back to the CPU.")
]
AllowMissing = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-missing",
        help="Pattern of tensors that pretrained weights may lack or have too many, repeatable.",
    ),
]
JsonFile = Annotated[
    str | None, typer.Option("--json", help="Write the metrics to this file; - prints them.")
]
Metrics = Annotated[
    list[str] | None,
    typer.Option("--metric", help="recall@1, mAP, mAP@R, mINP, TPR@FPR=1e-3, ...; repeatable."),
]
ProtocolName = Annotated[
    str | None, typer.Option("--protocol", help="market1501, veri776, sop, inshop, vehicleid, ...")
]
TieRule = Annotated[
    Literal["pessimistic", "optimistic", "expected"],
    typer.Option("--ties", help="Order of items of the same similarity."),
]
Normalize = Annotated[bool, typer.Option(help="Compare by cosine, or by inner product.")]
Codes = Annotated[
    Literal["round", "sign"] | None, typer.Option("--binarize", help="Compare codes.")
]
Augment = Annotated[
    int, typer.Option("--augment", min=0, help="Average each gallery image with its nearest, N.")
]
Expand = Annotated[
    int, typer.Option("--expand", min=0, help="Average each query with its nearest items, N.")
]
ReRank = Annotated[
    bool, typer.Option("--re-rank", help="Rank by k-reciprocal neighbours (20, 6, 0.3).")
]
Memory = Annotated[str, typer.Option("--memory", help="To use beside the tables, such as 2GB.")]
Report = Annotated[
    str | None,
    typer.Option("--report", help="Folder of report.html; <output_dir>/data_doctor by default."),
]
CleanListTarget = Annotated[
    str | None,
    typer.Option("--write-clean-list", help="Lists without broken or contradictory images."),
]
Workers = Annotated[
    int | None, typer.Option("--workers", min=1, help="Processes that read images.")
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
