"""Which images make a batch."""

from lookalike.data.samplers.domain_shuffle import DomainShuffleSampler
from lookalike.data.samplers.mix import MixSampler
from lookalike.data.samplers.naive_identity import NaiveIdentitySampler
from lookalike.data.samplers.pk import PKSampler
from lookalike.data.samplers.random_identity import RandomIdentitySampler
from lookalike.data.samplers.sequence import SequenceSampler

__all__ = [
    "DomainShuffleSampler",
    "MixSampler",
    "NaiveIdentitySampler",
    "PKSampler",
    "RandomIdentitySampler",
    "SequenceSampler",
]
