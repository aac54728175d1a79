"""Images listed in a table file: CSV or Parquet."""

from __future__ import annotations

import csv
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lookalike.archives import check_rows
from lookalike.data.datasets.image_dataset import Backend, ImageDataset
from lookalike.data.label_files import (
    ImageList,
    ListProblems,
    inside_root,
    left_out_as_junk,
)
from lookalike.data.transforms.pipeline import with_backend
from lookalike.errors import DataError, SetupError
from lookalike.names import is_junk, numbered

_ROWS = 4096
_MAX_NAMED = 8
_EXPECTED = {
    "all rows are in this split": {"split", "subset", "set", "is_query", "is_gallery", "is_train"},
    "whole images are used, without boxes": {
        *("x_1", "x_2", "y_1", "y_2", "x1", "x2", "y1", "y2", "bbox", "box", "boxes"),
        *("xmin", "xmax", "ymin", "ymax", "left", "top", "right", "bottom"),
    },
    "no cameras are used (set camera_column)": {"camera", "cam", "camid", "camera_id", "cam_id"},
}


def table(
    image_root: str,
    table_file: str,
    *,
    path_column: str = "path",
    label_column: str = "label",
    camera_column: str | None = None,
    transforms: Callable[[Any], Any] | None = None,
    backend: Backend = "cv2",
    relabel: bool = False,
) -> ImageDataset:
    """Read a CSV file with a header, or a Parquet file.

    Labels and cameras are whole numbers of at most 18 digits, or, if one of a column is not, names.
    Rows with the label -1 are junk and left out. Columns that are not read are reported.

    Args:
        image_root: Folder the paths are relative to.
        table_file: ``.csv``, ``.tsv`` or ``.parquet`` (which needs pyarrow).
        path_column: Name of the column with the paths.
        label_column: Name of the column with the labels.
        camera_column: Name of the column with cameras, if there is one.
        transforms: Applied to each file's bytes.
        backend: What the transforms see: ``cv2`` an RGB array, ``pil`` a PIL image.
        relabel: Number the labels 0 to C - 1 in sorted order.

    Raises:
        DataError: If a column or an image is missing, or a row is malformed.
        SetupError: If Parquet is to be read without pyarrow.
    """
    problems = ListProblems(table_file)
    columns: dict[str, list[Any]] = {"paths": [], "labels": [], "cameras": []}
    lines, num_junk = list[int](), 0
    header: list[str] = []
    for line, row in _rows(table_file):
        header = header or [str(name) for name in row if name]
        missing = [c for c in (path_column, label_column, camera_column) if c and c not in row]
        if missing:
            raise DataError(
                f"{table_file}: no column '{missing[0]}'; it has {', '.join(map(str, row))}."
            )
        cells = [row[path_column], row[label_column], row[camera_column] if camera_column else -1]
        empty = [
            name
            for name, cell in zip(("path", "label", "camera"), cells, strict=True)
            if cell is None or not str(cell).strip()
        ]
        if empty:
            problems.add(line, f"has no {' and no '.join(empty)}.")
        elif is_junk(cells[1]):
            num_junk += 1
        elif inside_root(str(cells[0]), line, problems):
            for column, cell in zip(columns.values(), cells, strict=True):
                column.append(cell)
            lines.append(line)
    labels, class_names = numbered(columns["labels"], lines, "label", problems.add)
    cameras, camera_names = numbered(columns["cameras"], lines, "camera", problems.add)
    problems.raise_if_any()
    if not lines:
        reason = "every image has the label -1 (junk)" if num_junk else "the table is empty"
        raise DataError(f"{table_file}: {reason}.")
    images = ImageList(
        [str(path) for path in columns["paths"]],
        labels,
        cameras if camera_column else None,
        lines,
        class_names=class_names,
        camera_names=camera_names,
        notes=[
            *([left_out_as_junk(num_junk)] if num_junk else []),
            *_unused(header, {path_column, label_column, camera_column}),
        ],
    )
    if relabel:
        images = images.relabelled()
    return ImageDataset(
        image_root, images, transforms=with_backend(transforms, backend), source=table_file
    )


def _unused(header: Sequence[str], used: Container[str | None]) -> Iterator[str]:
    """Yield notes on columns that are not read, first on those that users expect to be."""
    unused = [name for name in header if name not in used]
    for meaning, words in _EXPECTED.items():
        if found := [name for name in unused if name.lower() in words]:
            yield f"{meaning}: the column{'s' * (len(found) > 1)} {', '.join(found)} not used."
    known = set().union(*_EXPECTED.values())
    if others := [name for name in unused if name.lower() not in known]:
        shown = ", ".join(others[:_MAX_NAMED]) + (", ..." if len(others) > _MAX_NAMED else "")
        yield f"other columns are not used: {shown}."


def _rows(file: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        if Path(file).suffix.lower() == ".parquet":
            yield from enumerate(_parquet(file), start=1)
            return
        with open(file, encoding="utf-8-sig", newline="") as stream:
            delimiter = "\t" if Path(file).suffix.lower() == ".tsv" else ","
            reader = csv.DictReader(stream, delimiter=delimiter)
            try:
                for row in reader:
                    yield reader.line_num, row
            except csv.Error as error:
                # the line that fails is not counted
                where = f"{file}:{reader.line_num + 1}"
                raise DataError(f"{where}: not a row of a table ({error}).") from error
    except OSError as error:
        raise DataError(f"{file}: the table cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: not a table in UTF-8 ({error.reason}).") from error


def _parquet(file: str) -> Iterator[dict[str, Any]]:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise SetupError(f"{file}: Parquet needs the package: pip install pyarrow") from error
    try:
        with pyarrow.parquet.ParquetFile(file) as source:
            check_rows(source.metadata.num_rows, file)
            for batch in source.iter_batches(_ROWS):
                yield from batch.to_pylist()
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 - a damaged file fails in every way
        raise DataError(f"{file}: no Parquet file, or damaged ({str(error)[:120]}).") from error
