"""The diagnosis as one HTML page that needs nothing beside it."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from PIL import Image

from lookalike.data.decode import decode_image, read_image_bytes
from lookalike.data.doctor.charts import histogram
from lookalike.data.doctor.diagnosis import Diagnosis
from lookalike.data.doctor.findings import Finding
from lookalike.data.doctor.kinds import BROKEN, KINDS, SEVERITIES
from lookalike.data.doctor.processes import over_files
from lookalike.data.doctor.statistics import HEAD, TAIL, SplitStatistics
from lookalike.durable import whole_file
from lookalike.errors import DataError

MAX_LISTED = 300
"""Findings of one kind on the page; the rest is in the table beside it."""

MAX_PICTURED = 48
"""Findings of one kind that are shown as pictures."""

_SIDE = 160


def write_page(
    diagnosis: Diagnosis, path: Path, *, title: str, table: str, workers: int = 0
) -> None:
    """Write the page.

    Args:
        diagnosis: What to show.
        path: The file.
        title: What was examined.
        table: Name of the table with all findings, beside the page.
        workers: Processes that make the pictures.

    Raises:
        SetupError: If the file cannot be written.
    """
    from jinja2 import Environment, StrictUndefined

    by_kind: dict[str, list[Finding]] = {}
    for finding in diagnosis.findings:
        by_kind.setdefault(finding.kind, []).append(finding)
    pictures = _pictures(by_kind, workers)
    template = files("lookalike.data.doctor").joinpath("page.html.j2").read_text("utf-8")
    # names of files are a stranger's text: everything is escaped
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    text = environment.from_string(template).render(
        title=title,
        table=table,
        num_files=diagnosis.num_files,
        severities=[(name, diagnosis.of_severity(name)) for name in SEVERITIES],
        sections=[_section(kind, found, pictures) for kind, found in by_kind.items()],
        splits=[_split(one) for one in diagnosis.statistics],
        bounds=(HEAD, TAIL),
    )
    with whole_file(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8", errors="backslashreplace")


def _section(kind: str, found: Sequence[Finding], pictures: Mapping[str, str]) -> dict[str, Any]:
    return {
        "kind": kind,
        "about": KINDS[kind],
        "number": len(found),
        "rest": max(0, len(found) - MAX_LISTED),
        "findings": [
            {
                "finding": one,
                "pictures": [
                    pictures[file] for file in (one.file, one.other_file) if file in pictures
                ],
            }
            for one in found[:MAX_LISTED]
        ],
    }


def _split(one: SplitStatistics) -> dict[str, Any]:
    return {
        "facts": one,
        "smallest": int(one.per_label[0]),
        "median": float(
            (one.per_label[(one.num_labels - 1) // 2] + one.per_label[one.num_labels // 2]) / 2
        ),
        "largest": int(one.per_label[-1]),
        "charts": [
            ("images per label, from", histogram(one.per_label, f"{one.name}: images per label")),
            ("shorter side in pixels, from", histogram(one.sides, f"{one.name}: shorter side")),
        ],
    }


def _pictures(by_kind: Mapping[str, Sequence[Finding]], workers: int) -> dict[str, str]:
    """Return small pictures of the images that findings are about, as data URIs."""
    broken = {one.file for kind in BROKEN for one in by_kind.get(kind, ())}
    wanted = [
        file
        for found in by_kind.values()
        for one in found[:MAX_PICTURED]
        for file in (one.file, one.other_file)
        if file and file not in broken
    ]
    names = list(dict.fromkeys(wanted))
    made = over_files(_picture, names, workers=workers, lost=lambda _: b"")
    return {
        names[number]: f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
        for number, jpeg in made
        if jpeg
    }


def _picture(file: str) -> bytes:
    try:
        image = Image.fromarray(decode_image(read_image_bytes(file)))
    except DataError:
        return b""
    image.thumbnail((_SIDE, _SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()
