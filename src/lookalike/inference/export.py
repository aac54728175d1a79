"""A trained model to files that run without this package: torch.export and ONNX."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lookalike.errors import SetupError
from lookalike.models.feature_tap import FeatureTap
from lookalike.models.fuse_branches import fuse_branches
from lookalike.models.quantization import fix_quantization

PROGRAM, ONNX = "model.pt2", "model.onnx"
# beyond this an ONNX file cannot hold its weights itself
_LARGEST_FILE = 1_500_000_000

Runner = Callable[[Tensor], Tensor]


class ExportedModel(nn.Module):
    """Images to one output of a model, as it is written to a file.

    Parallel branches are fused; a head that the output does not need is left out.

    Args:
        model: Returns a mapping; copied.
        key: Which of its outputs.
        softmax: Take the softmax of it.

    Shape:
        - images: ``[B, 3, H, W]``; output: ``[B, D]``.
    """

    def __init__(self, model: nn.Module, key: str = "features", *, softmax: bool = False) -> None:
        super().__init__()
        self.model = fuse_branches(model)
        fix_quantization(self.model)
        if key != "logits" and getattr(self.model, "head", None) is not None:
            self.model.head = None  # type: ignore[assignment]
        self.key, self.softmax = key, softmax
        self.requires_grad_(False).eval()

    def forward(self, images: Tensor) -> Tensor:
        return one_output(self.model, images, self.key, softmax=self.softmax)


def one_output(model: nn.Module, images: Tensor, key: str, *, softmax: bool) -> Tensor:
    """Return one of a model's outputs, ``[B, D]``, or its softmax."""
    output: Tensor = model(images)[key].flatten(1)
    return output.softmax(dim=1) if softmax else output


def traced(model: ExportedModel, image_shape: Sequence[int]) -> torch.export.ExportedProgram:
    """Return the graph that both formats are written from; the batch may have any size."""
    # a batch of one would be taken for a constant
    example = torch.zeros(2, *image_shape)
    batch = torch.export.Dim("batch", min=1, max=65536)
    # an observed cut ends its pass by an exception, which only the strict tracer follows
    strict = any(isinstance(module, FeatureTap) for module in model.modules())
    with _quiet(), torch.no_grad():
        return torch.export.export(
            model, (example,), dynamic_shapes={"images": {0: batch}}, strict=strict
        )


def write_program(program: torch.export.ExportedProgram, path: Path) -> None:
    """Write a torch.export archive."""
    with _quiet():
        torch.export.save(program, path)


def write_onnx(
    program: torch.export.ExportedProgram,
    path: Path,
    facts: Mapping[str, str],
    output: str = "features",
) -> None:
    """Write an ONNX file: ``images`` ``[batch, 3, H, W]`` to ``output`` ``[batch, D]``.

    Args:
        program: Of one input and one output.
        path: The file.
        facts: Written into its metadata.
        output: What the output is called.

    Raises:
        SetupError: If the packages of the extra ``onnx`` are missing.
    """
    _need_onnx()
    with _quiet():
        written = torch.onnx.export(program, dynamo=True, optimize=True)
    assert written is not None
    _name(written.model, output)
    written.model.metadata_props.update(facts)
    size = sum(tensor.numel() * tensor.element_size() for tensor in program.state_dict.values())
    written.save(str(path), external_data=size > _LARGEST_FILE)


def _name(model: Any, output: str) -> None:
    """Call the input ``images``, the output as it is asked for, and the batch ``batch``.

    The exporter names outputs by the last operation and the batch by a number of its own, which
    differ with the architecture.
    """
    from onnx_ir import Shape, SymbolicDim

    graph = model.graph
    (images,), (result,) = graph.inputs, graph.outputs
    symbol = re.compile(rf"\b{re.escape(str(images.shape[0]))}\b")
    values = [*graph.inputs, *(value for node in graph for value in node.outputs)]
    for value in values:
        if value.name in ("images", output):  # of something within
            value.name = f"{value.name}_within"
        if value.shape is not None:
            sizes = [
                size if isinstance(size, int) else SymbolicDim(symbol.sub("batch", str(size)))
                for size in value.shape
            ]
            value.shape = Shape(sizes)
    images.name, result.name = "images", output


def run_program(path: Path) -> Runner:
    """Return what runs a torch.export archive."""
    with _quiet():
        module = torch.export.load(path).module()

    def run(images: Tensor) -> Tensor:
        with torch.no_grad():
            output: Tensor = module(images)
            return output

    return run


def run_onnx(path: Path) -> Runner:
    """Return what runs an ONNX file, on the CPU.

    Raises:
        SetupError: If the packages of the extra ``onnx`` are missing.
    """
    _need_onnx()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(images: Tensor) -> Tensor:
        (output,) = session.run(None, {"images": images.contiguous().numpy()})
        return torch.from_numpy(output)

    return run


def _need_onnx() -> None:
    try:
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise SetupError(
            "ONNX needs more packages: pip install 'lookalike[onnx]'; or export with --no-onnx."
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporters' own progress and advice to developers off the terminal."""
    logger = logging.getLogger("torch")
    level = logger.level
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)
