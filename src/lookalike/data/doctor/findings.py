"""One thing the doctor has found."""

from __future__ import annotations

from dataclasses import dataclass

from lookalike.data.doctor.kinds import KINDS, Severity


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found, about an image, a label or a whole split.

    Attributes:
        kind: A key of ``KINDS``.
        split: ``Train``, ``Query``, ``Gallery`` or ``Eval``.
        detail: What exactly, in words.
        path: The image as the list writes it, if it is about one.
        source: The list.
        line: Its line in the list, from 1; 0 where there is none.
        other: The other image, as its list writes it, if it is about two.
        file: Where the image is.
        other_file: Where the other one is.
    """

    kind: str
    split: str
    detail: str
    path: str = ""
    source: str = ""
    line: int = 0
    other: str = ""
    file: str = ""
    other_file: str = ""

    @property
    def severity(self) -> Severity:
        return KINDS[self.kind].severity
