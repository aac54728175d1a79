"""From decoded pixels to the network's input. Random ones draw from the per-sample stream."""

from lookalike.data.transforms.aug_mix import AugMix
from lookalike.data.transforms.decode_image import DecodeImage
from lookalike.data.transforms.flip import RandomFlip
from lookalike.data.transforms.normalize import NormalizeImage
from lookalike.data.transforms.pipeline import Pipeline
from lookalike.data.transforms.random_erasing import RandomErasing
from lookalike.data.transforms.resize import ResizeImage
from lookalike.data.transforms.to_tensor import Normalize, ToTensor

__all__ = [
    "AugMix",
    "DecodeImage",
    "Normalize",
    "NormalizeImage",
    "Pipeline",
    "RandomErasing",
    "RandomFlip",
    "ResizeImage",
    "ToTensor",
]
