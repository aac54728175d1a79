"""Whether two runs have come to the same, to the last bit."""

import torch

from lookalike.training import load_checkpoint


def same(one, other):
    """Tell whether two checkpoints hold the same model and go on in the same way."""
    one, other = load_checkpoint(one), load_checkpoint(other)
    return equal(one.model, other.model) and equal(one.state, other.state)


def equal(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == other
