"""Facts of the files to findings about single images."""

from __future__ import annotations

from collections.abc import Iterator

from lookalike.data.doctor.examine import Trait
from lookalike.data.doctor.fact_table import FactTable
from lookalike.data.doctor.findings import Finding
from lookalike.data.doctor.splits import AllRows

_DETAILS = {
    Trait.CMYK: "a CMYK {kind}",
    Trait.DEEP: "a {kind} of 16 bits per value",
    Trait.PALETTE: "a {kind} with a palette",
    Trait.ANIMATED: "a {kind} of several frames",
    Trait.ROTATED: "turned by its EXIF orientation to {width} x {height}",
    Trait.GRAY: "no colours",
    Trait.TRANSPARENT: "a {kind} with transparent pixels",
    Trait.WRONG_EXTENSION: "the content is {kind}",
    Trait.CONSTANT: "all {width} x {height} pixels have one colour",
}


def find_image_faults(
    rows: AllRows, facts: FactTable, *, input_size: tuple[int, int]
) -> Iterator[Finding]:
    """Yield what is wrong with single images, or odd about them.

    Args:
        rows: Of all splits.
        facts: Of their files.
        input_size: Height and width that the network is given.
    """
    height, width = input_size
    small = (facts.rows["height"] < height) | (facts.rows["width"] < width)
    odd = facts.readable & (small | (facts.rows["traits"] > 0))
    for split, start in zip(rows.splits, rows.starts.tolist(), strict=False):
        for row in range(len(split)):
            number = int(rows.file_of[start + row])
            if number in facts.broken:
                kind, message = facts.broken[number]
                yield split.finding(row, kind, message.removeprefix(f"{split.files[row]}: "))
                continue
            if not odd[number]:
                continue
            own = facts.rows[number]
            words = {
                "kind": facts.kind(number),
                "width": int(own["width"]),
                "height": int(own["height"]),
            }
            for trait in facts.traits(number):
                yield split.finding(row, str(trait.name).lower(), _DETAILS[trait].format(**words))
            if small[number]:
                detail = f"{words['width']} x {words['height']}, the input is {width} x {height}"
                yield split.finding(row, "small", detail)
