"""How many bytes autograd keeps for the backward pass."""

from contextlib import contextmanager
from types import SimpleNamespace

import torch


@contextmanager
def counting_saved_bytes():
    """Count the bytes that are kept now and the most that were ever kept; memory shared by several
    tensors counts once, parameters do not."""
    count = SimpleNamespace(now=0, most=0)
    holders = {}

    class Held:
        def __init__(self, tensor):
            self.tensor, storage = tensor, tensor.untyped_storage()
            self.key, self.size = storage.data_ptr(), storage.nbytes()
            if holders.setdefault(self.key, 0) == 0:
                count.now += self.size
                count.most = max(count.most, count.now)
            holders[self.key] += 1

        def __del__(self):
            holders[self.key] -= 1
            if holders[self.key] == 0:
                count.now -= self.size

    def pack(tensor):
        return tensor if isinstance(tensor, torch.nn.Parameter) else Held(tensor)

    def unpack(held):
        return held.tensor if isinstance(held, Held) else held

    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        yield count
