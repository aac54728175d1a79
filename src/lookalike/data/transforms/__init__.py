"""From decoded pixels to the network's input. Random ones draw from the per-sample stream."""

from lookalike.data.transforms.aug_mix import AugMix
from lookalike.data.transforms.auto_augment import AutoAugment
from lookalike.data.transforms.center_crop import CenterCrop, CropImage, CropImageAtRatio
from lookalike.data.transforms.colour import ColorJitter, PCALighting, RandomGrayscale
from lookalike.data.transforms.decode_image import DecodeImage
from lookalike.data.transforms.flip import RandomFlip
from lookalike.data.transforms.low_resolution import RandomLowResolution
from lookalike.data.transforms.masking import Cutout, GridMask, HideAndSeek
from lookalike.data.transforms.normalize import NormalizeImage
from lookalike.data.transforms.pad import Pad, PadToSize
from lookalike.data.transforms.pipeline import Pipeline
from lookalike.data.transforms.rand_augment import (
    EfficientNetRandAugment,
    MobileViTRandAugment,
    RandAugment,
    RandomPairAugment,
)
from lookalike.data.transforms.random_crop import RandomCropImage
from lookalike.data.transforms.random_erasing import RandomErasing
from lookalike.data.transforms.random_resized_crop import (
    CropWithPadding,
    RandCropImage,
    RandomResizedCrop,
)
from lookalike.data.transforms.resize import Resize, ResizeImage
from lookalike.data.transforms.rotation import RandomRot90, RandomRotation
from lookalike.data.transforms.timm_auto_augment import TimmAutoAugment
from lookalike.data.transforms.to_chw import ToCHWImage
from lookalike.data.transforms.to_tensor import Normalize, ToTensor

__all__ = [
    "AugMix",
    "AutoAugment",
    "CenterCrop",
    "ColorJitter",
    "CropImage",
    "CropImageAtRatio",
    "CropWithPadding",
    "Cutout",
    "DecodeImage",
    "EfficientNetRandAugment",
    "GridMask",
    "HideAndSeek",
    "MobileViTRandAugment",
    "Normalize",
    "NormalizeImage",
    "PCALighting",
    "Pad",
    "PadToSize",
    "Pipeline",
    "RandAugment",
    "RandCropImage",
    "RandomCropImage",
    "RandomErasing",
    "RandomFlip",
    "RandomGrayscale",
    "RandomLowResolution",
    "RandomPairAugment",
    "RandomResizedCrop",
    "RandomRot90",
    "RandomRotation",
    "Resize",
    "ResizeImage",
    "TimmAutoAugment",
    "ToCHWImage",
    "ToTensor",
]
