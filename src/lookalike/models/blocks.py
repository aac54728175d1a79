"""The blocks of a backbone: the equal parts it is stacked from."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn
from torch.fx import GraphModule

from lookalike.models.feature_tap import FeatureTap


def blocks_of(backbone: nn.Module) -> list[nn.Module]:
    """Return the blocks that a backbone calls one after the other.

    A block is a module made of others that stands in a sequence or list: a residual block, a
    transformer layer.

    Args:
        backbone: Cut or whole.

    Returns:
        Nothing if it has no such blocks, or runs as a traced graph that does not call them.

    Example:
        >>> layer = nn.TransformerEncoderLayer(2, 1, batch_first=True)
        >>> len(blocks_of(nn.Sequential(layer, nn.Linear(2, 2))))
        1
    """
    if isinstance(backbone, GraphModule):
        return []
    # a cut backbone leaves the block it is cut in by an exception: no hook behind it would run
    around = f"model.{backbone.layer}" if isinstance(backbone, FeatureTap) else ""
    return [b for name, b in _blocks(backbone) if not around.startswith(f"{name}.")]


def _blocks(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    listed = isinstance(module, nn.Sequential | nn.ModuleList)
    for name, child in module.named_children():
        composed = any(True for _ in child.children())
        if listed and composed and not isinstance(child, nn.Sequential | nn.ModuleList):
            if any(True for _ in child.parameters()):
                yield prefix + name, child
        else:
            yield from _blocks(child, f"{prefix}{name}.")
