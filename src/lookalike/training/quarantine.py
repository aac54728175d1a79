"""Images that could not be read, left out of training: counted, named, and not too many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lookalike.data.loader import EndlessBatches
from lookalike.durable import whole_file
from lookalike.errors import DataError, writing
from lookalike.training.run_log import RunLog
from lookalike.types import Batch

FILE = "quarantine.tsv"
_HEAD = "iteration\twhat\tpath\treason\n"


class QuarantinedBatches:
    """A stream of batches that leaves out bad images, and an account of them.

    The account is the file ``quarantine.tsv``: a row for each image when it is first met, and one
    for each batch that had to be left out whole. A stream that starts at batch n keeps the rows
    from before n and meets the others again, so a resumed run counts as the uninterrupted one.

    Args:
        batches: Made with ``skip_bad``.
        folder: The run folder.
        limit: So many different images may be bad.
        log: Where to tell.

    Raises:
        DataError: From the stream, when one image more is bad.
    """

    def __init__(self, batches: EndlessBatches, folder: Path, *, limit: int, log: RunLog) -> None:
        self.batches, self.limit, self.log = batches, limit, log
        self.file = folder / FILE
        self.known: set[str] = set()
        self.left_out = 0

    def __len__(self) -> int:
        return len(self.batches)

    @property
    def sampler(self) -> Any:
        return self.batches.sampler

    @property
    def num_workers(self) -> int:
        return self.batches.num_workers

    def plan_of(self, batch: int) -> Any:
        """Return the plan that a batch of the stream is in, or one before; for :meth:`start`."""
        return self.batches.plan_of(batch)

    def start(self, batch: int = 0, plan: Any = None) -> Iterator[Batch]:
        """Yield the batches from the given place of the stream on; those left out are empty."""
        self._reopen(batch)
        for number, one in enumerate(self.batches.start(batch, plan), start=batch):
            if one.bad:
                self._note(one, number)
            yield one

    def _reopen(self, start: int) -> None:
        rows = _read(self.file, start)
        self.known = {path for what, path in map(_what_and_path, rows) if what == "image"}
        self.left_out = len(rows) - len(self.known)
        if rows or self.file.exists():
            with whole_file(self.file) as unfinished:
                unfinished.write_text(_HEAD + "".join(rows), encoding="utf-8")

    def _note(self, batch: Batch, number: int) -> None:
        for one in batch.bad:
            path = _cell(self.batches.dataset.paths[one.index])
            if path in self.known:
                continue
            self.known.add(path)
            self._append(number, "image", path, one.message)
            self.log.line(f"left out: {one.message} ({len(self.known)}, {self.limit} allowed)")
            self.log.record("bad_image", {"step": number, "path": path, "known": len(self.known)})
            if len(self.known) > self.limit:
                raise DataError(
                    f"{len(self.known)} images are bad, and Global.bad_images_limit allows "
                    f"{self.limit} of {len(self.batches.dataset):,}; all are in {self.file}. "
                    "lookalike check --data finds every one and writes a list without them."
                )
        if not len(batch.labels):
            self.left_out += 1
            self._append(number, "batch", "", f"{len(batch.bad)} bad images")
            self.log.line(
                f"left out: batch {number}, too few images are left in it ({self.left_out} so far)"
            )

    def _append(self, *cells: object) -> None:
        with writing(self.file):
            new = not self.file.exists()
            with open(self.file, "a", encoding="utf-8") as file:
                file.write((_HEAD if new else "") + "\t".join(map(_cell, cells)) + "\n")


def _cell(value: object) -> str:
    return " ".join(str(value).encode("utf-8", "backslashreplace").decode().split())


def _what_and_path(row: str) -> Sequence[str]:
    return row.split("\t")[1:3]


def _read(file: Path, start: int) -> list[str]:
    """Return the rows from before a batch; a last one that was cut short is no row."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)[1:]
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read ({error}).") from error
    whole = [line for line in lines if line.endswith("\n") and line.count("\t") == 3]
    return [line for line in whole if line.split("\t")[0].isdecimal() and _before(line, start)]


def _before(row: str, start: int) -> bool:
    return int(row.split("\t")[0]) < start
