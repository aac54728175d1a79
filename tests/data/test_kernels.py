"""Compiled kernels and the plain code give the same images, bit by bit; so does Pillow."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from lookalike.data import transforms
from lookalike.data.randomness import seeded
from lookalike.data.transforms import affine, kernels
from lookalike.data.transforms import value_tables as tables
from lookalike.data.transforms.cv2_resize import resize_like_cv2
from lookalike.data.transforms.flip import flip
from lookalike.data.transforms.pipeline import Pipeline, to_chw_tensor

BILINEAR = Image.Resampling.BILINEAR
seeds = st.integers(0, 10_000)
many = settings(max_examples=60, deadline=None)


@st.composite
def images(draw, largest=40):
    """Noise, smooth or flat colours, or few values."""
    rng = np.random.default_rng(draw(seeds))
    shape = (draw(st.integers(1, largest)), draw(st.integers(1, largest)), 3)
    kind = draw(st.sampled_from(["noise", "flat", "few", "narrow"]))
    if kind == "noise":
        return rng.integers(0, 256, shape, dtype=np.uint8)
    if kind == "flat":
        return np.full(shape, rng.integers(0, 256, 3), dtype=np.uint8)
    if kind == "few":
        return rng.choice(np.array([0, 7, 255], dtype=np.uint8), shape)
    return rng.integers(90, 120, shape, dtype=np.uint8)


def both_ways(make, image):
    """Return what comes out with the kernels and without; the image stays as it is."""
    before = image.copy()
    compiled = make(image)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "compiled", lambda: None)
        plain = make(image)
    assert (image == before).all()
    assert compiled.dtype == plain.dtype
    np.testing.assert_array_equal(compiled, plain)
    return compiled


def test_the_kernels_are_there_and_ask_for_whole_byte_images():
    pytest.importorskip("numba")
    whole = np.zeros((4, 5, 3), dtype=np.uint8)
    assert kernels.kernels_for(whole) is not None
    frozen = whole.copy()
    frozen.flags.writeable = False
    for other in (whole[:, ::-1], whole[:, :, :1], whole.astype(np.float32), whole[:0], frozen):
        assert kernels.kernels_for(other) is None
    assert kernels.kernels_for(Image.fromarray(whole)) is None


@many
@given(images(), st.integers(1, 60), st.integers(1, 60))
def test_resizing(image, width, height):
    both_ways(lambda pixels: resize_like_cv2(pixels, (width, height)), image)


@many
@given(images())
def test_mirroring(image):
    np.testing.assert_array_equal(both_ways(lambda pixels: flip(pixels, 1), image), image[:, ::-1])


@many
@given(images(), st.sampled_from([None, 0.00392157, 1.0]), st.booleans(), st.sampled_from([3, 4]))
def test_normalising(image, scale, half, channels):
    norm = transforms.NormalizeImage(
        scale, [0.4, 0.5, 0.1], [0.2, 0.3, 7.0], "hwc", output_fp16=half, channel_num=channels
    )
    made = both_ways(norm, image)
    assert made.shape == (*image.shape[:2], channels)
    assert to_chw_tensor(made).is_contiguous()


@many
@given(images())
def test_to_tensor(image):
    both_ways(lambda pixels: transforms.ToTensor()(pixels).numpy(), image)


@many
@given(images(), st.sampled_from(["x", "y"]), st.floats(-0.9, 0.9), st.integers(-9, 9))
def test_shearing_and_shifting(image, axis, slope, shift):
    slopes, shifts = ((slope, 0), (shift, 0)) if axis == "x" else ((0, slope), (0, shift))
    for matrix in (
        (1, slopes[0], 0, slopes[1], 1, 0),
        (1, 0, shifts[0], 0, 1, shifts[1]),
        (1, slopes[0], shifts[0] + slope, slopes[1], 1, shifts[1]),
    ):
        found = both_ways(lambda pixels, matrix=matrix: affine.warp(pixels, matrix), image)
        picture = Image.fromarray(image)
        expected = picture.transform(picture.size, Image.Transform.AFFINE, matrix, BILINEAR)
        np.testing.assert_array_equal(found, np.asarray(expected))


@many
@given(images(), st.one_of(st.integers(-400, 400), st.floats(-400, 400)))
def test_rotating(image, angle):
    found = both_ways(lambda pixels: affine.rotate(pixels, angle), image)
    expected = Image.fromarray(image).rotate(angle, BILINEAR)
    np.testing.assert_array_equal(found, np.asarray(expected))


@many
@given(images(), st.integers(1, 8), st.integers(0, 257))
def test_tables_of_values(image, bits, threshold):
    def of(make):
        return lambda pixels: tables.look_up(pixels, make(tables.count_values(pixels)))

    picture = Image.fromarray(image)
    for make, expected in (
        (tables.autocontrast, ImageOps.autocontrast(picture)),
        (tables.equalizing, ImageOps.equalize(picture)),
        (lambda counts: tables.posterizing(bits), ImageOps.posterize(picture, bits)),
        (lambda counts: tables.solarizing(threshold), ImageOps.solarize(picture, threshold)),
    ):
        np.testing.assert_array_equal(both_ways(of(make), image), np.asarray(expected))


def mixed_by_pillow(image, width, depth, severity):
    """Mix as AugMix does, one Pillow call for each distortion."""
    pixels = np.asarray(image)
    random.random()
    share = random.betavariate(0.1, 0.1)
    draws = [random.gammavariate(0.1, 1.0) for _ in range(width)]
    mixture = np.zeros(pixels.shape, dtype=np.float32)
    for draw in draws:
        made = Image.fromarray(pixels)
        for _ in range(depth if depth > 0 else random.randint(1, 3)):
            made = distorted(made, random.uniform(0.1, severity))
        mixture += np.float32(draw / sum(draws)) * np.asarray(made)
    return ((1.0 - share) * pixels + share * mixture).astype(np.uint8)


def distorted(picture, level):
    def either(value):
        return -value if random.random() > 0.5 else value

    def warped(*matrix):
        return picture.transform(picture.size, Image.Transform.AFFINE, matrix, resample=BILINEAR)

    kind, shift = random.choice(range(9)), int(level * picture.width / 30)
    return (
        lambda: ImageOps.autocontrast(picture),
        lambda: ImageOps.equalize(picture),
        lambda: ImageOps.posterize(picture, 4 - int(0.4 * level)),
        lambda: picture.rotate(either(int(3 * level)), resample=BILINEAR),
        lambda: ImageOps.solarize(picture, 256 - int(25.6 * level)),
        lambda: warped(1, either(0.03 * level), 0, 0, 1, 0),
        lambda: warped(1, 0, 0, either(0.03 * level), 1, 0),
        lambda: warped(1, 0, either(shift), 0, 1, 0),
        lambda: warped(1, 0, 0, 0, 1, either(shift)),
    )[kind]()


@settings(max_examples=250, deadline=None)
@given(images(), seeds, st.integers(1, 4), st.integers(0, 3), st.sampled_from([1.0, 7.4]))
def test_aug_mix_is_the_mixture_that_pillow_gives(image, seed, width, depth, severity):
    mix = transforms.AugMix(1.0, width=width, depth=depth, severity=severity)

    def make(pixels):
        with seeded(seed):
            return mix(pixels)

    found = both_ways(make, image)
    with seeded(seed):
        expected = mixed_by_pillow(image, width, depth, severity)
    np.testing.assert_array_equal(found, expected)


def test_aug_mix_of_gray():
    gray = np.random.default_rng(0).integers(0, 256, (20, 30), dtype=np.uint8)
    for seed in range(30):
        with seeded(seed):
            found = transforms.AugMix(1.0)(gray)
        with seeded(seed):
            np.testing.assert_array_equal(found, mixed_by_pillow(gray, 3, 1, 1.0))


@pytest.mark.parametrize("mode", ["const", "rand", "pixel"])
@pytest.mark.parametrize("last", [None, transforms.ToCHWImage()])
def test_erasing_in_place_changes_only_what_is_the_chains_own(mode, last):
    """Behind a normalisation the image is changed itself, elsewhere a copy; the result is one."""
    norm = transforms.NormalizeImage(order="hwc")
    erase = transforms.RandomErasing(1.0, fill=[1.0, 2.0, 3.0], mode=mode)
    image = np.random.default_rng(1).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    steps = [norm, erase, *([last] if last else [])]
    for seed in range(20):
        with seeded(seed):
            found = to_chw_tensor(Pipeline(steps)(image))
        with seeded(seed):
            normed = norm(image)
            before = normed.copy()
            expected = erase(normed)
        assert (normed == before).all()
        assert torch.equal(found, to_chw_tensor(expected))
        for given_image in (image, torch.from_numpy(before.transpose(2, 0, 1).copy())):
            kept = (
                given_image.copy() if isinstance(given_image, np.ndarray) else given_image.clone()
            )
            Pipeline([erase])(given_image)
            assert (given_image == kept).all()


@settings(max_examples=20, deadline=None)
@given(images(largest=70), seeds)
def test_the_seed_documents_chain(image, seed):
    chain = Pipeline(
        [
            transforms.ResizeImage(48),
            transforms.RandomFlip(),
            transforms.AugMix(0.5),
            transforms.NormalizeImage(0.00392157, order=""),
            transforms.RandomErasing(0.5),
        ]
    )

    def make(pixels):
        with seeded(seed):
            return chain(pixels)

    both_ways(make, image)
