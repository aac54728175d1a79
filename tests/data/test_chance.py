"""Which transforms leave something to chance is found out by trying them."""

import random

import numpy as np
import pytest
import torch

from lookalike import build
from lookalike.data.chance import Watched, random_transforms
from lookalike.data.transforms import Pipeline
from lookalike.errors import DataError
from lookalike.types import Sample


def chance(*specs):
    return random_transforms(build("transform", list(specs)))


def test_steady_chains_are_free_of_it():
    steady = [{"DecodeImage": {}}, {"ResizeImage": {"resize_short": 64}},
              {"CropImage": {"size": 48}}, {"NormalizeImage": {"order": ""}},
              {"ToCHWImage": None}]  # fmt: skip
    assert chance(*steady) == []
    assert chance({"v2.Resize": {"size": [32, 32]}}, {"ToTensor": None}) == []
    assert random_transforms(lambda image: image[:, ::-1]) == []


def test_drawing_transforms_of_any_library_are_named_in_order():
    found = chance(
        {"RandCropImage": {"size": 32}},
        {"RandFlipImage": {"flip_code": 1}},
        {"AugMix": {"prob": 0.0}},
        {"NormalizeImage": {"order": ""}},
        {"RandomErasing": {"EPSILON": 0.5}},
    )
    assert len(found) == 4 and found[-2:] == ["AugMix", "RandomErasing"]
    assert chance({"ToTensor": None}, {"v2.RandomHorizontalFlip": None}) == ["RandomHorizontalFlip"]


def test_a_generator_of_its_own_shows_in_the_picture():
    class Hidden:
        rng = np.random.default_rng()

        def __call__(self, image):
            return image + self.rng.integers(0, 9, image.shape, dtype=np.uint8)

    assert random_transforms(Pipeline([Hidden()])) == ["Hidden"]


@pytest.mark.parametrize("draw", [torch.rand, np.random.rand, random.gauss])
def test_a_watched_data_set_may_not_draw(draw):
    class Images:
        paths, labels, cameras = ["a.png"], [0], None

        def __len__(self):
            return 1

        def __getitem__(self, index):
            for _ in range(index):
                draw(*([0, 1] if draw.__name__ == "gauss" else [1]))
            return Sample(torch.zeros(3, 1, 1), 0, -1, index)

    watched = Watched(Images())
    watched[0]
    Images.paths = ["a.png", "b.png"]
    with pytest.raises(DataError, match=r"b\.png: its transforms draw random numbers"):
        watched[1]
