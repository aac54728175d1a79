"""What the reference would have written for a model on PPLCNet_x0_25, in its own layout."""

import functools

import numpy as np

from lookalike.paddleclas.pickles import NAMES_KEY
from lookalike.paddleclas.weight_keys import translate_weights

WORDS = {"running_mean": "_mean", "running_var": "_variance"}


@functools.cache
def their_backbone_names():
    """Our keys of the small backbone to the reference's."""
    blocks = {"blocks2": 1, "blocks3": 2, "blocks4": 2, "blocks5": 6, "blocks6": 2}
    convs = ["conv1"]
    for block, depth in blocks.items():
        convs += [f"{block}.{i}.{part}w_conv" for i in range(depth) for part in "dp"]
    leaves = ("conv.weight", "bn.weight", "bn.bias", "bn._mean", "bn._variance")
    theirs = [f"{conv}.{leaf}" for conv in convs for leaf in leaves]
    attention = [f"blocks6.{i}.se.conv{n}" for i in (0, 1) for n in (1, 2)]
    theirs += [f"{conv}.{leaf}" for conv in attention for leaf in ("weight", "bias")]
    theirs += ["last_conv.weight", "fc.weight", "fc.bias"]
    ours = translate_weights({name: np.zeros(1) for name in theirs}, "PPLCNet_x0_25").arrays
    return dict(zip(ours, theirs, strict=True))


def their_name(key):
    """Our key of a recognition model to the reference's."""
    path, _, leaf = key.rpartition(".")
    inside = key.removeprefix("backbone.")
    if inside != key:
        return f"backbone.{their_backbone_names()[inside]}"
    return f"{path}.{WORDS.get(leaf, leaf)}"


def as_theirs(model, **more):
    """The state of a model as the reference would have saved it."""
    arrays = {}
    for key, tensor in model.state_dict().items():
        if not key.endswith("num_batches_tracked"):
            array = tensor.numpy()
            arrays[their_name(key)] = np.ascontiguousarray(array.T if array.ndim == 2 else array)
    return {**arrays, **more, NAMES_KEY: {}}
