"""Everything the doctor can find, how serious it is, what it does to a run and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Kind:
    """One kind of finding.

    Attributes:
        severity: An ``error`` stops a run or makes its numbers wrong; a ``warning`` may cost
            quality; a ``note`` tells how an odd but readable image is read.
        title: A few words.
        meaning: What it does to a run, and what to do.
    """

    severity: Severity
    title: str
    meaning: str


KINDS: dict[str, Kind] = {
    "list": Kind(
        "error",
        "List cannot be used",
        "No run can start from it. A split whose list cannot be read is not looked at further.",
    ),
    "missing": Kind(
        "error", "Missing file", "Training refuses to start. Restore it or take out the line."
    ),
    "empty": Kind("error", "Empty file", "The file has no bytes; a copy was cut short."),
    "not_an_image": Kind(
        "error",
        "Not an image",
        "The content is of no kind that is read (JPEG, PNG, WebP, BMP, GIF, AVIF, TIFF), whatever "
        "the name says.",
    ),
    "truncated": Kind(
        "error", "Cut off", "The file ends before the image does. Fetch it again from its source."
    ),
    "damaged": Kind(
        "error", "Damaged image", "It cannot be decoded. Fetch it again from its source."
    ),
    "too_large": Kind(
        "error",
        "Too large",
        "Refused before it is decoded, because a small file could fill the memory. Shrink it.",
    ),
    "unreadable": Kind(
        "error",
        "File cannot be read",
        "A folder, a pipe, a file without permission, or one that stops its reader.",
    ),
    "label_out_of_range": Kind(
        "error",
        "Label without a class",
        "The head has no output for it: training stops. Raise Arch.Head.class_num, or relabel.",
    ),
    "conflict": Kind(
        "error",
        "One image, two labels",
        "The very same pixels stand under different labels; at most one can be right.",
    ),
    "leak": Kind(
        "error",
        "Evaluated on a training image",
        "The very same pixels are trained on, so the metrics are too good. Take out one of them.",
    ),
    "sampler": Kind("error", "No batches can be made", "Training stops before its first step."),
    "no_answer": Kind(
        "error",
        "No query has an answer",
        "Every retrieval metric is undefined. Do both lists use the same label numbers?",
    ),
    "same_images": Kind(
        "warning",
        "Evaluated on the training set",
        "All images are trained on: the metrics tell how well they are remembered.",
    ),
    "near_conflict": Kind(
        "warning",
        "Almost one image, two labels",
        "Look at them: one label may be wrong, or two labels mean the same.",
    ),
    "near_leak": Kind(
        "warning",
        "Almost a training image",
        "A re-saved or slightly changed copy is trained on; the metrics may be too good.",
    ),
    "copy_in_gallery": Kind(
        "warning",
        "Query has its copy in the gallery",
        "It finds its own pixels first, which is no achievement; no rule of the evaluation "
        "excludes the pair.",
    ),
    "duplicate": Kind(
        "warning",
        "Image listed twice",
        "The same pixels under the same label: it counts double.",
    ),
    "single_image": Kind(
        "warning",
        "Label with one image",
        "A loss over pairs never finds it a partner; an identity sampler repeats it.",
    ),
    "unreachable_query": Kind(
        "warning",
        "Query without an answer",
        "Nothing in the gallery may answer it, so it is left out of the metrics.",
    ),
    "constant": Kind("warning", "One colour", "There is nothing to see in it."),
    "sampler_weak": Kind("warning", "Few partners in a batch", "Pairs are rare; learning is slow."),
    "label_gap": Kind(
        "warning",
        "Labels without images",
        "The head keeps an output for each of them that only ever learns to say no. "
        "relabel: True closes gaps.",
    ),
    "near_duplicate": Kind(
        "note",
        "Almost the same image, same label",
        "Frames of a video or re-saved copies: they add little.",
    ),
    "near_copy_in_gallery": Kind(
        "note", "Query has almost its copy in the gallery", "It is an easy one."
    ),
    "small": Kind("note", "Smaller than the input", "It is enlarged, and stays blurred."),
    "wrong_extension": Kind(
        "note", "Name and content differ", "The content decides; other programs may stumble."
    ),
    "cmyk": Kind("note", "CMYK", "Converted to RGB without a colour profile."),
    "deep": Kind("note", "16 bits", "The upper 8 bits of each value are used."),
    "palette": Kind("note", "Palette", "Converted to RGB."),
    "animated": Kind("note", "More than one frame", "The first one is used."),
    "rotated": Kind("note", "Turned by EXIF", "Turned upright, in training and in serving alike."),
    "gray": Kind("note", "Grey", "The three colours are equal."),
    "transparent": Kind(
        "note", "Transparent", "Transparency is dropped: hidden colours become visible."
    ),
}

BROKEN = ("missing", "empty", "not_an_image", "truncated", "damaged", "too_large", "unreadable")
LEFT_OUT = (*BROKEN, "conflict")
"""Kinds whose images a clean list leaves out."""
