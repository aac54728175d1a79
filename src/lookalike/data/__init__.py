"""Images and labels: reading, transforming, choosing batches. Knows no model and no YAML."""

from lookalike.data.datasets import ImageDataset, label_file, veri_wild
from lookalike.data.decode import decode_image
from lookalike.data.loader import EndlessBatches, PairedBatches, make_loader
from lookalike.data.samplers import RandomIdentitySampler, SequenceSampler

__all__ = [
    "EndlessBatches",
    "ImageDataset",
    "PairedBatches",
    "RandomIdentitySampler",
    "SequenceSampler",
    "decode_image",
    "label_file",
    "make_loader",
    "veri_wild",
]
