"""Record what the reference computes with given weights. Runs where Paddle is installed.

``python benchmarks/weights/record.py`` writes the vectors of ``tests/golden_weights``. With
``--files DIR`` it writes real weight files, exported models and complete outputs into a folder
for ``compare.py`` instead.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import json
import logging
import platform
import sys
import warnings
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from components import COMPONENTS, KEPT, Component, inputs_of, kept, labels_of

VECTORS = Path(__file__).parents[2] / "tests" / "golden_weights"
_STATISTICS = ("_mean", "_variance", "batch_mean", "batch_std")


def reference() -> Any:
    """Import the reference's models; its package keeps them in a folder of its own."""
    spec = importlib.util.find_spec("paddleclas")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("paddleclas is not installed here: pip install paddlepaddle paddleclas")
    sys.path.insert(0, spec.submodule_search_locations[0])
    warnings.simplefilter("ignore")
    importlib.import_module("ppcls.utils.logger").init_logger(log_level=logging.ERROR)
    return importlib.import_module("ppcls.arch")


class Recorder:
    """The reference's side of the comparison."""

    def __init__(self) -> None:
        self.arch = reference()
        self.paddle = importlib.import_module("paddle")

    def build(self, component: Component) -> Any:
        """Make a model with names that start at zero, filled."""
        spec = copy.deepcopy(dict(component.spec))
        with self.paddle.utils.unique_name.guard():
            if component.kind == "model":
                model = self.arch.RecModel(**spec)
            elif component.kind == "backbone":
                model = getattr(self.arch.backbone, spec.pop("name"))(**spec)
            else:
                model = self.arch.build_gear(spec)
        for key, tensor in model.state_dict().items():
            tensor.set_value(component.fill(key, tuple(tensor.shape)))
        return model

    def run(self, component: Component, model: Any, part: str) -> dict[str, Any]:
        """Return the outputs of each mode; dropout drops nothing in training."""
        found: dict[str, Any] = {}
        for mode in component.modes:
            if mode == "train":
                model.train()
                for layer in model.sublayers():
                    if isinstance(layer, self.paddle.nn.Dropout):
                        layer.p = 0.0
            else:
                model.eval()
            output = self.forward(component, model)
            named = output if isinstance(output, dict) else {part: output}
            found |= {f"{mode}.{name}": value.numpy() for name, value in named.items()}
        return found

    def forward(self, component: Component, model: Any) -> Any:
        """Run the model once on the component's inputs."""
        inputs = [self.paddle.to_tensor(inputs_of(component))]
        if component.kind in ("head", "model"):
            inputs.append(self.paddle.to_tensor(labels_of(component)))
        with self.paddle.no_grad():
            return model(*inputs)

    def record(self, component: Component) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return a component's entry in the index, and its outputs and statistics."""
        model = self.build(component)
        state = model.state_dict()
        entry = {
            "kind": component.kind,
            "parameters": sum(int(p.size) for p in model.parameters() if not p.stop_gradient),
            "keys": {key: [tensor.name, *tensor.shape] for key, tensor in state.items()},
        }
        outputs = self.run(component, model, "last")
        after = {
            f"statistics.{key}": tensor.numpy()
            for key, tensor in model.state_dict().items()
            if key.rpartition(".")[2] in _STATISTICS
        }
        if component.stop:
            cut = self.build(component)
            if not cut.stop_after(component.stop):
                raise ValueError(f"{component.id} has no layer {component.stop}")
            outputs |= self.run(component, cut, "stop")
        return entry, outputs | after

    def export(self, component: Component, folder: Path) -> None:
        """Save a weight file and, of what has layers to number, an exported model."""
        model = self.build(component)
        if state := model.state_dict():
            self.paddle.save(state, str(folder / f"{component.id}.pdparams"))
        if component.kind not in ("backbone", "model"):
            return
        model.eval()
        for layer in model.sublayers():
            if hasattr(layer, "re_parameterize"):
                layer.re_parameterize()
        shape = [None, *component.shape[1:]]
        if component.kind == "model":
            model = _only_features(self.paddle, model)
        spec = [self.paddle.static.InputSpec(shape, dtype="float32")]
        static = self.paddle.jit.to_static(model, input_spec=spec, full_graph=True)
        self.paddle.jit.save(static, str(folder / component.id / "inference"))


def _only_features(paddle: Any, model: Any) -> Any:
    class Features(paddle.nn.Layer):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, images: Any) -> Any:
            return self.model(images)["features"]

    return Features()


def shortened(arrays: dict[str, Any]) -> dict[str, Any]:
    """Keep a part of each output, with the largest value of the whole, and two norms."""
    norms = [key for key in arrays if key.startswith("statistics.")]
    ends = {*norms[:2], *norms[-2:]}
    short: dict[str, Any] = {}
    for key, array in arrays.items():
        if key not in norms or key in ends:
            short[key] = kept(array, KEPT).astype(np.float32)
            short[f"peak.{key}"] = np.float32(np.abs(array).max())
    return short


def write(
    components: Iterable[Component],
    folder: Path,
    save: Callable[[Recorder, Component, dict[str, Any]], None],
) -> None:
    """Record components and write the index of a folder."""
    recorder, index = Recorder(), {}
    for component in components:
        entry, arrays = recorder.record(component)
        save(recorder, component, arrays)
        index[component.id] = entry
        spread = {key: f"{array.std():.3g}" for key, array in arrays.items() if key[0] in "et"}
        print(component.id, spread, flush=True)
    versions = {name: metadata.version(name) for name in ("paddlepaddle", "paddleclas", "numpy")}
    versions["python"] = platform.python_version()
    lines = [f' "{name}": {json.dumps(entry)}' for name, entry in index.items()]
    (folder / "index.json").write_text(
        f'{{"versions": {json.dumps(versions)},\n"components": {{\n' + ",\n".join(lines) + "\n}}\n"
    )


def main() -> None:
    """Read the command line and write a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=Path, help="write weight files and exported models here")
    parser.add_argument("--only", nargs="*", default=list(COMPONENTS), help="components by id")
    options = parser.parse_args()
    folder: Path = options.files or VECTORS
    folder.mkdir(parents=True, exist_ok=True)

    def save(recorder: Recorder, component: Component, arrays: dict[str, Any]) -> None:
        if options.files:
            np.savez(folder / f"{component.id}.npz", **arrays)
            recorder.export(component, folder)
        else:
            np.savez_compressed(folder / f"{component.id}.npz", **shortened(arrays))

    chosen = [COMPONENTS[name] for name in options.only]
    light = [component for component in chosen if options.files or not component.heavy]
    write(light, folder, save)


if __name__ == "__main__":
    main()
