"""Cut a backbone at any of its layers.

Three ways. A chain of steps (``nn.Sequential``) loses the steps behind the layer and stays what it
was. Where the model can be traced symbolically (torchvision's feature extraction), the graph up to
the layer is kept: parallel branches that the layer does not need are gone, and functional steps
such as ``flatten`` can be named too. Where it cannot, one forward pass is observed: the modules
that ran before the layer stay, the rest is removed, and the forward pass ends at the layer. No way
leaves an unused parameter behind.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lookalike.errors import ConfigError, nearest
from lookalike.models.evaluating import evaluating


class _Stop(Exception):  # noqa: N818 - control flow, never seen outside
    def __init__(self, output: Tensor) -> None:
        self.output = output


class FeatureTap(nn.Module):
    """Run a model up to one of its modules and return what that module returns.

    Args:
        model: The whole network; modules that do not run before the layer are removed.
        layer: Dotted name of a submodule.
        used: Names of the modules that run up to and including the layer.
    """

    def __init__(self, model: nn.Module, layer: str, used: Iterable[str]) -> None:
        super().__init__()
        _keep_only(model, set(used))
        self.model, self.layer = model, layer
        model.get_submodule(layer).register_forward_hook(_stop_here)

    def forward(self, images: Tensor) -> Tensor:
        try:
            self.model(images)
        except _Stop as stop:
            return stop.output
        raise AssertionError(f"the forward pass never reached '{self.layer}'")


def _stop_here(module: nn.Module, inputs: Any, output: Tensor) -> None:
    raise _Stop(output)


def cut_backbone(
    model: nn.Module,
    candidates: Sequence[str],
    *,
    numbered: tuple[str, int] | None = None,
    image_shape: Sequence[int] = (3, 224, 224),
    wanted: str = "",
) -> nn.Module:
    """Return the part of ``model`` that computes a layer's output.

    Args:
        model: The whole network; parts of it are reused.
        candidates: Layer names to try, best first. A name may be a module (``layer3.5``) or,
            where the model can be traced, a functional step (``flatten``).
        numbered: ``(class name, n)``: the n-th module of that class, if no candidate exists.
        image_shape: ``[3, H, W]`` of the pass that is observed.
        wanted: The name as the user wrote it, for messages.

    Raises:
        ConfigError: If no candidate names a layer; tells the nearest names.
    """
    by_class = numbered_layer(model, *numbered) if numbered else None
    names = [*candidates, *([by_class] if by_class else [])]
    for name in names:
        if _shorten_chain(model, name):
            return model
    nodes = _graph_nodes(model)
    for name in names:
        if name in nodes or _is_traced_module(name, nodes):
            return _traced_cut(model, name)
    modules = observe_layers(model, image_shape)
    for name in names:
        if name in modules:
            return FeatureTap(model, name, _up_to(name, modules))
    raise _no_layer(wanted or candidates[0], modules, nodes)


def freeze_up_to(
    model: nn.Module,
    candidates: Sequence[str],
    *,
    numbered: tuple[str, int] | None = None,
    image_shape: Sequence[int] = (3, 224, 224),
) -> None:
    """Stop a layer, and all that runs before it, from learning; running statistics still move.

    Args:
        model: Changed.
        candidates: Names of the layer to try, best first.
        numbered: As in :func:`cut_backbone`.
        image_shape: ``[3, H, W]`` of the pass that is observed.

    Raises:
        ConfigError: If no candidate names a layer; tells the nearest names.

    Example:
        >>> model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1))
        >>> freeze_up_to(model, ["0"], image_shape=(3, 8, 8))
        >>> [p.requires_grad for p in model.parameters()]
        [False, False, True, True]
    """
    modules = observe_layers(model, image_shape)
    by_class = numbered_layer(model, *numbered) if numbered else None
    found = [name for name in [*candidates, by_class] if name in modules]
    if not found:
        raise _no_layer(candidates[0], modules, ())
    for name in _up_to(str(found[0]), modules):
        model.get_submodule(name).requires_grad_(False)


def _no_layer(wanted: str, modules: Iterable[str], steps: Iterable[str]) -> ConfigError:
    shown = [name for name in modules if "." not in name]
    return ConfigError(
        f"the backbone has no layer '{wanted}'.{nearest(wanted, [*modules, *steps])} Its top "
        f"level: {', '.join(shown)}; every dotted name inside them works too."
    )


def observe_layers(
    model: nn.Module, image_shape: Sequence[int] = (3, 224, 224)
) -> dict[str, tuple[int, ...]]:
    """Run one forward pass; return the modules in the order they returned, with their shapes."""
    shapes: dict[str, tuple[int, ...]] = {}
    handles = []
    for name, module in model.named_modules():
        if name:

            def note(_: nn.Module, __: Any, output: Any, name: str = name) -> None:
                if isinstance(output, Tensor):
                    shapes.setdefault(name, tuple(output.shape))

            handles.append(module.register_forward_hook(note))
    try:
        with evaluating(model):
            parameter = next(model.parameters(), torch.empty(0))
            model(torch.zeros(1, *image_shape, device=parameter.device))
    finally:
        for handle in handles:
            handle.remove()
    return shapes


def numbered_layer(model: nn.Module, class_name: str, number: int) -> str | None:
    """Return the n-th module of a class, in the order they were made.

    Example:
        >>> numbered_layer(nn.Sequential(nn.ReLU(), nn.Flatten()), "Flatten", 0)
        '1'
    """
    found = [name for name, m in model.named_modules() if type(m).__name__ == class_name]
    return found[number] if number < len(found) else None


def _shorten_chain(model: nn.Module, name: str) -> bool:
    """Remove the steps behind a layer, if every module around it is a chain; tell whether."""
    removed: list[tuple[nn.Module, str]] = []
    here = model
    for part in name.split("."):
        steps = dict(here.named_children())
        if type(here).forward is not nn.Sequential.forward or part not in steps:
            return False
        removed += [(here, step) for step in list(steps)[list(steps).index(part) + 1 :]]
        here = steps[part]
    for chain, step in removed:
        delattr(chain, step)
    return True


def _leaves(model: nn.Module) -> dict[str, Any]:
    """Return what the tracer must not look into: its hooks or switches would be lost."""
    leaves = {
        type(module)
        for module in model.modules()
        if module is not model
        and (module._forward_hooks or module._forward_pre_hooks or hasattr(module, "keep_whole"))
    }
    return {"leaf_modules": list(leaves)}


def _graph_nodes(model: nn.Module) -> list[str]:
    """Return the names the traced graph gives to its steps; nothing if it cannot be traced."""
    from torchvision.models.feature_extraction import get_graph_node_names

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            train, evaluation = get_graph_node_names(model, tracer_kwargs=_leaves(model))
    except Exception:  # noqa: BLE001 - tracing runs the model's own code, which may raise anything
        return []
    inputs = {train[0], evaluation[0]}
    return [name for name in train if name in set(evaluation) and name not in inputs]


def _is_traced_module(name: str, nodes: Sequence[str]) -> bool:
    return any(node.startswith(f"{name}.") for node in nodes)


def _traced_cut(model: nn.Module, name: str) -> nn.Module:
    """Keep the graph up to a node; the node's value is returned as it is, not in a mapping."""
    from torchvision.models.feature_extraction import create_feature_extractor

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        extractor = create_feature_extractor(
            model, {name: "features"}, tracer_kwargs=_leaves(model)
        )
        for graph in (extractor.train_graph, extractor.eval_graph):
            end = next(node for node in graph.nodes if node.op == "output")
            end.args = (end.args[0]["features"],)
        extractor.train(model.training)
        extractor.recompile()
    return extractor  # type: ignore[no-any-return]


def _up_to(layer: str, modules: Iterable[str]) -> list[str]:
    """Return the modules that began to run before the layer returned.

    Hooks fire when a module returns, so a parent that is still running when the layer returns
    comes later in the order; it is kept as the parent of something kept.
    """
    used = []
    for name in modules:
        used.append(name)
        if name == layer:
            break
    return used


def _keep_only(model: nn.Module, used: set[str]) -> None:
    """Replace every module with parameters that is not used, nor around a used one, by Identity."""
    for name, module in list(model.named_modules()):
        inside = any(name == u or u.startswith(f"{name}.") for u in used)
        below = any(name.startswith(f"{u}.") for u in used)
        if not name or inside or below or not _exists(model, name):
            continue
        if any(True for _ in module.parameters()):
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, nn.Identity())


def _exists(model: nn.Module, name: str) -> bool:
    """Tell whether a module is still there; a replaced parent takes its children along."""
    return re.fullmatch(r"[\w.]+", name) is not None and name in dict(model.named_modules())
