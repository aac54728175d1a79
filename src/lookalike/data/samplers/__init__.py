"""Which images make a batch."""

from lookalike.data.samplers.random_identity import RandomIdentitySampler
from lookalike.data.samplers.sequence import SequenceSampler

__all__ = ["RandomIdentitySampler", "SequenceSampler"]
