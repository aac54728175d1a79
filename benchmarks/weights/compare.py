"""Compare our models with what the reference computed with the same weights.

``python benchmarks/weights/compare.py DIR`` reads the weight files that ``record.py --files DIR``
wrote, prints the table of ``docs/weights.md`` and writes it there with ``--write``.
"""

from __future__ import annotations

import argparse
import copy
import gc
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent))
from components import COMPONENTS, Component, inputs_of, kept, labels_of
from numbering import orders

from lookalike import build
from lookalike.assembly.weight_files import Receiver, read_model
from lookalike.errors import CheckpointError
from lookalike.models import cut_backbone
from lookalike.models.downscale_dropout import DownscaleDropout
from lookalike.models.loading import load_state
from lookalike.paddleclas import stop_layer_candidates
from lookalike.paddleclas.weight_keys import translate_weights

PAGE = Path(__file__).parents[2] / "docs" / "weights.md"
LIMIT = 1e-4
Numbers = Mapping[str, Any]


def reference_state(component: Component, entry: Numbers) -> dict[str, Any]:
    """Return every array the reference had, by its key, from the keys and shapes alone."""
    return {key: component.fill(key, tuple(shape)) for key, (_, *shape) in entry["keys"].items()}


def translated(component: Component, arrays: Numbers) -> dict[str, Tensor]:
    """Return tensors under our keys and in our layout."""
    found = translate_weights(arrays, component.name)
    return {key: torch.from_numpy(array.copy()) for key, array in found.arrays.items()}


def make(component: Component, state: Mapping[str, Tensor]) -> nn.Module:
    """Build our module and load the weights completely or not at all."""
    runtime = {"image_shape": component.shape[1:]} if component.kind == "model" else {}
    module: nn.Module = build(component.kind, dict(component.spec), **runtime)
    load_state(module, state, source=component.id)
    return module


def compute(component: Component, module: nn.Module) -> dict[str, Any]:
    """Return outputs and statistics under the names the recording has."""
    cut = copy.deepcopy(module) if component.stop else None
    found = _run(component, module, "last")
    after = {key: value.numpy() for key, value in module.state_dict().items()}
    if cut is not None:
        candidates, numbered = stop_layer_candidates(component.stop, component.name)
        shape = component.shape[1:]
        cut = cut_backbone(
            cut, candidates, numbered=numbered, image_shape=shape, wanted=component.stop
        )
        found |= _run(component, cut, "stop")
    return found | {f"statistics.{key}": value for key, value in after.items()}


@torch.no_grad()
def _run(component: Component, module: nn.Module, part: str) -> dict[str, Any]:
    inputs = [torch.from_numpy(inputs_of(component))]
    if component.kind in ("head", "model"):
        inputs.append(torch.from_numpy(labels_of(component)))
    found = {}
    for mode in component.modes:
        module.train(mode == "train")
        if mode == "train":
            _drop_nothing(module)
        output = module(*inputs)
        named = output if isinstance(output, dict) else {part: output}
        found |= {f"{mode}.{name}": value.numpy() for name, value in named.items()}
    return found


def _drop_nothing(module: nn.Module) -> None:
    for layer in module.modules():
        if isinstance(layer, DownscaleDropout):
            layer.probability = 0.0
        elif isinstance(layer, nn.Dropout):
            layer.p = 0.0


def errors(component: Component, found: Numbers, recorded: Numbers) -> dict[str, float]:
    """Return the largest difference over the largest value for each part of the recording.

    Args:
        component: What was run.
        found: Ours, complete.
        recorded: The reference's, complete or the part of it that was kept.
    """
    worst: dict[str, float] = {}
    for key, theirs in recorded.items():
        if key.startswith("peak."):
            continue
        part, _, name = key.partition(".")
        if part == "statistics":
            (ours,) = translate_weights({name: theirs}, component.name).arrays
            name = ours
        limit = kept(theirs, None).shape[1]
        difference = np.abs(kept(found[f"{part}.{name}"], limit) - kept(theirs, None)).max()
        peak = recorded.get(f"peak.{key}", np.abs(theirs).max())
        worst[part] = max(worst.get(part, 0.0), float(difference / peak))
    return worst


def weights(folder: Path, component: Component) -> dict[str, Tensor]:
    """Read a component's weight file; one without weights has none."""
    path = folder / f"{component.id}.pdparams"
    receiver = Receiver(component.name, nn.Module())  # needed for exported models only
    return read_model(str(path), {"": receiver}) if path.is_file() else {}


def measure(folder: Path, name: str) -> dict[str, float]:
    """Load a real weight file of a folder and compare."""
    component = COMPONENTS[name]
    state = weights(folder, component)
    with np.load(folder / f"{name}.npz") as recorded:
        return errors(component, compute(component, make(component, state)), dict(recorded))


def table(folder: Path) -> tuple[list[str], int]:
    """Return the table's lines and how many components are not within the limit."""
    index = json.loads((folder / "index.json").read_text())
    versions = ", ".join(f"{name} {version}" for name, version in index["versions"].items())
    lines = [
        f"Reference: {versions}. Here: torch {torch.__version__}, numpy {np.__version__}.",
        "",
        "| component | kind | parameters | evaluation | training | statistics | below 1e-4 |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    failed = 0
    recorded = index["components"]
    for name, entry in [(name, recorded[name]) for name in COMPONENTS if name in recorded]:
        try:
            found = measure(folder, name)
            cells = [_cell(found.get(part)) for part in ("eval", "train", "statistics")]
            good = max(found.values()) < LIMIT
        except CheckpointError as error:
            print(name, error, file=sys.stderr)
            cells, good = ["not loaded", "", ""], False
        failed += not good
        row = [name, entry["kind"], f"{entry['parameters']:,}", *cells, "yes" if good else "**no**"]
        lines.append(f"| {' | '.join(row)} |")
        print(lines[-1], flush=True)
        gc.collect()
    return lines, failed


def _cell(error: float | None) -> str:
    return "–" if error is None else f"{error:.1e}"


def write_page(lines: list[str]) -> None:
    """Put the table between its marks; the rest of the page stays."""
    page = PAGE.read_text(encoding="utf-8")
    pattern = re.compile(r"(<!-- table -->\n).*?(<!-- end of table -->)", re.S)
    text = "\n".join(lines)
    PAGE.write_text(pattern.sub(lambda m: f"{m[1]}{text}\n{m[2]}", page), encoding="utf-8")


def main() -> None:
    """Compare everything in a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--write", action="store_true", help="write the table to docs/weights.md")
    parser.add_argument("--order", action="store_true", help="report the numbering of exports")
    options = parser.parse_args()
    if options.order:
        for name in json.loads((options.folder / "index.json").read_text())["components"]:
            exported = options.folder / name / "inference.pdiparams"
            if exported.is_file():
                component = COMPONENTS[name]
                module = make(component, weights(options.folder, component))
                print(name, orders(module, exported), flush=True)
        return
    lines, failed = table(options.folder)
    if options.write:
        write_page(lines)
    sys.exit(f"{failed} components differ by {LIMIT} or more" if failed else 0)


if __name__ == "__main__":
    main()
