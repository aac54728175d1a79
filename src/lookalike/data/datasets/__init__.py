"""Readers: a folder and a list in some layout become an :class:`ImageDataset`."""

from lookalike.data.datasets.face_pairs import FACE_SETS, FacePairs
from lookalike.data.datasets.image_dataset import ImageDataset
from lookalike.data.datasets.image_folder import image_folder
from lookalike.data.datasets.label_file import label_file
from lookalike.data.datasets.lists import (
    comp_cars,
    face_list,
    icartoon,
    label_from_transform,
    logo,
)
from lookalike.data.datasets.mixed import MixedDataset
from lookalike.data.datasets.packed import packed
from lookalike.data.datasets.person_reid import duke_mtmc, market1501, msmt17
from lookalike.data.datasets.table import table
from lookalike.data.datasets.veri_wild import veri_wild

__all__ = [
    "FACE_SETS",
    "FacePairs",
    "ImageDataset",
    "MixedDataset",
    "comp_cars",
    "duke_mtmc",
    "face_list",
    "icartoon",
    "image_folder",
    "label_file",
    "label_from_transform",
    "logo",
    "market1501",
    "msmt17",
    "packed",
    "table",
    "veri_wild",
]
