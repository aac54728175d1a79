"""Readers: a folder and a list in some layout become an :class:`ImageDataset`."""

from lookalike.data.datasets.image_dataset import ImageDataset
from lookalike.data.datasets.label_file import label_file
from lookalike.data.datasets.veri_wild import veri_wild

__all__ = ["ImageDataset", "label_file", "veri_wild"]
