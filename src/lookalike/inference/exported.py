"""A folder that ``lookalike export`` wrote, as a model that embeds."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from lookalike.durable import file_sha256
from lookalike.errors import ExportError, SetupError
from lookalike.inference.export import ONNX, PROGRAM, run_onnx, run_program
from lookalike.types import ModelOutput

_CARD = "card.json"
_LARGEST_CARD = 1_000_000


class ExportedFolder(nn.Module):
    """The model of an exported folder; ONNX where onnxruntime is installed.

    Args:
        folder: Holds ``card.json`` and the files it names.
        allow_program: Run the torch.export file where ONNX cannot be; PyTorch may run code from it
            when it loads it.

    Attributes:
        card: What the folder says of itself: input, preprocessing, output, comparison.
        file: The file that computes.
        fingerprint: Tells which file it was.

    Shape:
        - images: ``[B, 3, H, W]`` float32; output: ``features`` ``[B, D]``.

    Raises:
        ExportError: If the card or a file is missing, or a file is not the one that the card
            names, or it gives no embeddings.
        SetupError: If there is nothing that can be run here, or only what is not allowed.
    """

    def __init__(self, folder: str | Path, *, allow_program: bool = False) -> None:
        super().__init__()
        folder = Path(folder)
        self.card = _read_card(folder)
        files: Mapping[str, str] = self.card["files"]
        names = [ONNX] if importlib.util.find_spec("onnxruntime") else []
        name = next((name for name in [*names, PROGRAM] if name in files), None)
        if name is None:
            raise SetupError(
                f"{folder}: holds {', '.join(files)} only, which needs onnxruntime: pip install "
                "'lookalike[onnx]'."
            )
        if name == PROGRAM and not allow_program:
            raise SetupError(
                f"{folder}: only {PROGRAM} could be run here, and a file of torch.export can run "
                f"code of whoever wrote it. Install onnxruntime for {ONNX} (pip install "
                "'lookalike[onnx]'), or, if you know whose file it is, add --allow-program."
            )
        if self.card["output"]["key"] == "logits":
            raise ExportError(
                f"{folder}: gives logits, not embeddings; export with "
                "-o Arch.infer_output_key=features."
            )
        self.file = folder / name
        self.fingerprint = _verified(self.file, files[name])
        try:
            self._run = run_onnx(self.file) if name == ONNX else run_program(self.file)
        except SetupError:
            raise
        except Exception as error:  # noqa: BLE001 - a damaged file fails in every way
            first = (str(error) or type(error).__name__).splitlines()[0]
            raise ExportError(f"{self.file}: cannot be loaded ({first[:160]}).") from error

    def forward(self, images: Tensor) -> ModelOutput:
        return {"features": self._run(images)}


def _read_card(folder: Path) -> dict[str, Any]:
    path = folder / _CARD
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST_CARD + 1)
        card = json.loads(text) if len(text) <= _LARGEST_CARD else {}
        if isinstance(card["files"], dict) and isinstance(card["output"]["key"], str):
            return dict(card)
    except OSError as error:
        raise ExportError(
            f"{path}: cannot be read ({error.strerror}); write it with lookalike export."
        ) from error
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise ExportError(f"{path}: not a card that lookalike export writes.")


def _verified(path: Path, digest: str) -> str:
    """Return the start of a file's hash, if it is the hash on the card."""
    try:
        found = file_sha256(path)
    except OSError as error:
        raise ExportError(f"{path}: cannot be read ({error.strerror}).") from error
    if found != digest:
        raise ExportError(
            f"{path}: not the file its card.json was written for (SHA-256 {found[:12]} instead of "
            f"{str(digest)[:12]}); export again."
        )
    return found[:16]
