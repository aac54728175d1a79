"""``lookalike export``."""

from __future__ import annotations

from collections.abc import Sequence

from lookalike.assembly.export import export
from lookalike.assembly.job import build_job
from lookalike.assembly.run_model import run_and_model
from lookalike.assembly.untrained import parts_of_export
from lookalike.cli.trained import report_model, reported_later
from lookalike.errors import DataError
from lookalike.training import RunLog


def run_export(
    config: str | None,
    overrides: Sequence[str],
    *,
    model: str | None = None,
    onnx: bool,
    images: int,
    allow_import: Sequence[str],
    allow_missing: Sequence[str],
    allow_random_weights: bool = False,
) -> None:
    """Write a trained model to files that run without this package."""
    run, source = run_and_model(config, model, overrides, allow_import=allow_import)
    try:
        with reported_later():
            job = build_job(
                run,
                training=False,
                need_evaluation=False,
                allow_missing=allow_missing,
                model=source,
            )
    except DataError as error:
        raise DataError(
            f"{error}\nThe files are compared with the model on these images before they are kept. "
            "To compare them on noise instead: -o DataLoader.Eval=null"
        ) from error
    log = RunLog(job.folder, "export")
    report_model(job, log, parts_of_export(run.config))
    card = export(
        job,
        onnx=onnx,
        images=images,
        allow_random_weights=allow_random_weights,
        advance=lambda what: log.line(f"{what} ..."),
    )
    for name, parity in card["parity"].items():
        model, file = parity.recall1
        both = f"{model:.4f} for both" if model == file else f"{file:.4f} instead of {model:.4f}"
        log.line(
            f"{name}: 1 - cosine to the trained model is at most {parity.drift:.2g} on "
            f"{parity.images} {card['compared_on']}; Recall@1 among them is {both}"
        )
        if parity.own_drift is not None:
            log.line(
                f"note: {name} is as near to the model as the model to itself. The model amplifies "
                "rounding, as Slim.quant does: changes of a millionth in the results of its layers "
                f"move its own embeddings by up to {parity.own_drift:.2g}"
            )
    folder = run.config.Global.save_inference_dir
    log.line(f"Wrote {', '.join(card['files'])} and card.json to {folder}")
