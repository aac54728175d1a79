"""Unquoted words of a YAML file to the values they mean."""

from __future__ import annotations

import re
from typing import Any

_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL, _HEX = re.compile(r"0o[0-7]+"), re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, Any] = {
    **dict.fromkeys(["", "~", "null", "Null", "NULL", "None"]),
    **dict.fromkeys(["true", "True", "TRUE"], True),
    **dict.fromkeys(["false", "False", "FALSE"], False),
    **dict.fromkeys([".nan", ".NaN", ".NAN"], float("nan")),
    **dict.fromkeys([".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"], float("inf")),
    **dict.fromkeys(["-.inf", "-.Inf", "-.INF"], float("-inf")),
}


def plain_scalar(text: str) -> Any:
    """Resolve an unquoted scalar by the YAML 1.2 core schema (and Python's ``None``).

    Example:
        >>> [plain_scalar(t) for t in ["1e-3", "010", "0x1F", "no", "None", "1.0/255.0", "True"]]
        [0.001, 10, 31, 'no', None, '1.0/255.0', True]
    """
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        # int() of a very long text is slow and never a setting
        return int(text) if len(text) < 40 else float(text[:400])
    if len(text) >= 40:
        return float(text) if len(text) < 400 and _FLOAT.fullmatch(text) else text
    if _OCTAL.fullmatch(text):
        return int(text[2:], 8)
    if _HEX.fullmatch(text):
        return int(text[2:], 16)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text
