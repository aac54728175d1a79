"""Images listed in a table file: CSV or Parquet."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lookalike.archives import check_rows
from lookalike.data.datasets.image_dataset import Backend, ImageDataset
from lookalike.data.label_files import ImageList, ListProblems, inside_root, is_whole
from lookalike.data.transforms.pipeline import with_backend
from lookalike.errors import DataError, SetupError

_ROWS = 4096


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

    Labels that are not all numbers, of at most 18 digits, are names; they are numbered in sorted
    order.

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
    paths, labels, cameras, lines = [], [], [], []
    for line, row in _rows(table_file):
        missing = [c for c in (path_column, label_column, camera_column) if c and c not in row]
        if missing:
            raise DataError(
                f"{table_file}: no column '{missing[0]}'; it has {', '.join(map(str, row))}."
            )
        path, camera = str(row[path_column]), row.get(camera_column) if camera_column else -1
        if row[path_column] in (None, ""):
            problems.add(line, "has no path.")
        elif row[label_column] in (None, "") or not is_whole(str(camera)):
            problems.add(line, f"label {row[label_column]!r} or camera {camera!r} is malformed.")
        elif inside_root(path, line, problems):
            paths.append(path)
            labels.append(row[label_column])
            cameras.append(int(str(camera)))
            lines.append(line)
    problems.raise_if_any()
    if not paths:
        raise DataError(f"{table_file}: the table is empty.")
    images = ImageList(paths, _numbers(labels), cameras if camera_column else None, lines)
    if relabel:
        images = images.relabelled()
    return ImageDataset(
        image_root, images, transforms=with_backend(transforms, backend), source=table_file
    )


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


def _numbers(labels: list[Any]) -> list[int]:
    if all(is_whole(str(label)) and int(str(label)) >= 0 for label in labels):
        return [int(str(label)) for label in labels]
    order = {name: number for number, name in enumerate(sorted({str(label) for label in labels}))}
    return [order[str(label)] for label in labels]
