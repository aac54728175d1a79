"""Transforms against the recorded numbers, and what must hold whatever is drawn."""

import math
import random

import numpy as np
import pytest
import torch
from golden_cases import GOLDEN, arrays, cases, yaml_args
from PIL import Image
from scipy.stats import ks_2samp

import lookalike
from lookalike.data import transforms
from lookalike.data.randomness import seeded
from lookalike.data.transforms.cv2_resize import resize_like_cv2
from lookalike.data.transforms.pipeline import to_chw_tensor

PHOTO = np.array(
    Image.fromarray(np.random.default_rng(7).integers(0, 256, (9, 7, 3), dtype=np.uint8)).resize(
        (32, 40), Image.Resampling.BICUBIC
    )
)
# every pixel of 60 x 40 says where it is
PLACES = np.zeros((60, 40, 3), dtype=np.uint8)
PLACES[:, :, 0], PLACES[:, :, 1] = np.indices((60, 40))
WINDOW = ("left", "top", "width", "height")


def build(*ops):
    return lookalike.build("transform", list(ops))


def given(case, data):
    if "in.bytes" in data:
        return data["in.bytes"].tobytes()
    image = data["in.image"]
    return Image.fromarray(image) if case["params"]["_input"] == "PIL" else image


@pytest.mark.parametrize("case", cases("transform"))
def test_the_recorded_result(case, monkeypatch):
    data = arrays(case)
    if "_forced" in case["params"]:
        monkeypatch.setattr("random.random", lambda: 0.0)
    found = build(*case["params"]["transform_ops"])(given(case, data))
    kind = {"PIL": Image.Image, "Tensor": torch.Tensor, "ndarray": np.ndarray}
    assert isinstance(found, kind[case["params"]["_output"]])
    found, expected = np.asarray(found), data["out.image"]
    assert found.dtype == expected.dtype
    tolerance = case["tolerance"]["forward"]
    np.testing.assert_allclose(
        found.astype(np.float64),
        expected.astype(np.float64),
        rtol=tolerance["rtol"],
        atol=tolerance["atol"],
    )
    assert (found == expected).mean() >= tolerance.get("fraction_exact", 0.0)


def of_a_photo(chain):
    """The recorded photo is not in the archive; its colours are not compared."""
    found = chain(PHOTO)
    assert found.dtype == np.uint8
    changed = bool((found != PHOTO).any())
    return {"changed": changed, "out_h": found.shape[0], "out_w": found.shape[1]}


def of_a_window(chain):
    left, top, width, height = chain.transforms[0].window(40, 60)
    found = dict(zip(WINDOW, (left, top, width, height), strict=True))
    found |= {"area_fraction": width * height / 2400, "aspect": width / height}
    return found | dict(zip(("out_h", "out_w"), chain(PLACES).shape, strict=False))


def of_a_crop(chain):
    found = chain(PLACES)
    top, left = (int(value) for value in found[0, 0, :2])
    height, width = found.shape[:2]
    assert (found == PLACES[top : top + height, left : left + width]).all()
    return dict(zip(WINDOW, (left, top, width, height), strict=True))


def of_an_erasure(chain):
    image = np.full((60, 40, 3), 7.0, dtype=np.float32)
    found = chain(image)
    where = np.argwhere((found != image).any(axis=2))
    if not len(where):
        return {"applied": False}
    (top, left), (bottom, right) = where.min(axis=0), where.max(axis=0) + 1
    patch = found[top:bottom, left:right]
    return {
        "applied": True,
        "area_fraction": (bottom - top) * (right - left) / 2400,
        "fill_mean_ch0": patch[:, :, 0].mean(),
        "fill_mean_ch2": patch[:, :, 2].mean(),
        "fill_std_spatial": patch[:, :, 0].std(),
        **dict(zip(WINDOW, (left, top, right - left, bottom - top), strict=True)),
    }


def of_a_flip(chain):
    return {"applied": bool((chain(PHOTO) != PHOTO).any())}


def of_a_turn(chain):
    found = chain(PLACES)
    return {"orientation": found["random_rot90_orientation"], "out_h": found["image"].shape[0]}


def of_a_rotation(chain):
    angles = []

    class Picture(Image.Image):
        def rotate(self, angle, *args, **kwargs):
            angles.append(angle)
            return self

    chain(Picture())
    return {"applied": True, "angle": angles[0]} if angles else {"applied": False}


def of_a_batch(mix):
    images = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 3, 16, 16)
    mixed, targets = mix(images, torch.arange(4))
    assert mixed.shape == images.shape
    assert targets.shape == (4, 4)
    # the pixels and the target tell the same mixture
    torch.testing.assert_close(mixed.mean(dim=(1, 2, 3)), targets @ torch.arange(4.0))
    return {
        "n_fields": 2,
        "own_label_weight": targets[0, 0].item(),
        "pixel_mean_of_sample0": mixed[0].mean().item(),
        "target_sum": targets[0].sum().item(),
    }


DRAWS = {
    "AugMix": of_a_photo,
    "ColorJitter": of_a_photo,
    "RandomGrayscale": of_a_photo,
    "RandomInterpolationAugment": of_a_photo,
    "TimmAutoAugment": of_a_photo,
    "RandCropImage": of_a_window,
    "RandomResizedCrop": of_a_window,
    "RandomCropImage": of_a_crop,
    "RandomErasing": of_an_erasure,
    "RandFlipImage": of_a_flip,
    "RandomHorizontalFlip": of_a_flip,
    "RandomRot90": of_a_turn,
    "RandomRotation": of_a_rotation,
    "MixupOperator": of_a_batch,
    "CutmixOperator": of_a_batch,
}
# depend on the photo, or on float rounding
NOT_COMPARED = {"mean", "std", "mean_abs_diff"}


def drawn(case, count):
    component = case["component"]
    spec = {component: yaml_args(case)}
    # a mixture is no link of a chain
    made = lookalike.build("transform", spec) if component.endswith("Operator") else build(spec)
    with seeded(11):
        return [DRAWS[component](made) for _ in range(count)]


@pytest.mark.parametrize("case", cases("transform_distribution"))
def test_the_recorded_distribution(case):
    recorded = {k.removeprefix("stat."): v for k, v in arrays(case).items()}
    count = len(next(iter(recorded.values())))
    samples = drawn(case, count)
    compared = set(recorded) - NOT_COMPARED
    assert compared
    for name in sorted(compared):
        expected = recorded[name][~np.isnan(recorded[name])]
        found = np.array([one[name] for one in samples if name in one], dtype=np.float32)
        if name in ("applied", "changed"):
            rate = (expected.mean() + found.mean()) / 2
            error = np.sqrt(2 * rate * (1 - rate) / count)
            assert abs(expected.mean() - found.mean()) <= 4 * error, name
        elif np.ptp(expected) < 1e-6:
            np.testing.assert_allclose(found, expected[0], atol=1e-6, err_msg=name)
        else:
            assert ks_2samp(found, expected).pvalue > 1e-4, name


def test_darkening_is_distributed_as_recorded():
    """Below 1 nothing is clipped, so the factor can be read off the mean of any photo."""
    with np.load(GOLDEN / "transforms" / "ColorJitter_default_prob.npz") as data:
        before = data["stat.mean"][data["stat.changed"] == 0][0]
        expected = data["stat.mean"] / before
    jitter = transforms.ColorJitter(brightness=0.4)
    with seeded(3):
        found = np.array([jitter(PHOTO).mean() / PHOTO.mean() for _ in range(1000)])
    assert ks_2samp(found[found < 0.99], expected[expected < 0.99]).pvalue > 1e-4


# one setting of every transform of images, with arguments in the reference's words
EVERY = [
    {"AugMix": {"prob": 1.0}},
    {"AutoAugment": {"fillcolor": [128, 128, 128]}},
    {"CenterCrop": {"size": 20}},
    {"ColorJitter": {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "hue": 0.1}},
    {"CropImage": {"size": [16, 20]}},
    {"CropImageAtRatio": {"size": 24, "pad": 4, "interpolation": "bicubic"}},
    {"CropWithPadding": {"prob": 1, "padding_num": 0, "size": [112, 112], "scale": [0.2, 1.0]}},
    {"Cutout": {"n_holes": 2, "length": 8, "fill_value": "none"}},
    {"GridMask": {"d1": 4, "d2": 12, "rotate": 90, "ratio": 0.5, "mode": 0, "prob": 1.0}},
    {"HideAndSeek": None},
    {"PCALighting": None},
    {"RandAugmentV2": {"num_layers": 2, "fillcolor": [9, 9, 9]}},
    {"RandAugmentV3": {"magnitude": 9, "interpolation": "bilinear"}},
    {"RandAugmentV4": None},
    {"Pad": {"padding": 10, "backend": "cv2", "padding_mode": "constant"}},
    {"RandAugment": {"num_layers": 2, "magnitude": 5}},
    {"RandCropImage": {"size": [16, 20], "interpolation": "random", "use_log_aspect": True}},
    {"RandCropImage": {"size": 16, "backend": "pil", "interpolation": "lanczos"}},
    {"RandCropImageV2": {"size": [16, 20]}},
    {"RandFlipImage": {"flip_code": -1}},
    {"RandomCropImage": {"size": 20}},
    {"RandomErasing": {"EPSILON": 1.0, "mode": "pixel"}},
    {"RandomGrayscale": {"p": 0.5}},
    {"RandomHorizontalFlip": {"prob": 0.5}},
    {"RandomInterpolationAugment": {"prob": 1.0}},
    {"RandomResizedCrop": {"size": 16, "scale": [0.2, 1.0], "interpolation": "bicubic"}},
    {"RandomRotation": {"prob": 1.0, "degrees": 90, "interpolation": "bicubic"}},
    {"Resize": {"size": [16, 20]}},
    {"ResizeImage": {"size": 16, "interpolation": "random"}},
    {"TimmAutoAugment": {"prob": 1.0, "config_str": "rand-m9-mstd0.5-inc1", "img_size": 40}},
]


def name_of(op):
    return next(iter(op))


@pytest.mark.parametrize("op", EVERY, ids=name_of)
def test_bytes_stay_bytes_and_the_seed_decides(op):
    chain = build(op)
    before = PHOTO.copy()
    results = []
    for seed in (5, 5, 6):
        with seeded(seed):
            results.append(np.asarray(chain(PHOTO)))
    assert (before == PHOTO).all()
    assert results[0].dtype == np.uint8
    np.testing.assert_array_equal(results[0], results[1])
    assert results[0].shape == results[2].shape


@pytest.mark.parametrize(
    "op", [op for op in EVERY if name_of(op) not in ("RandomErasing", "Resize")], ids=name_of
)
def test_a_pil_image_gives_what_the_array_gives(op):
    chain = build(op)
    with seeded(5):
        of_array = chain(PHOTO)
    with seeded(5):
        of_picture = chain(Image.fromarray(PHOTO))
    np.testing.assert_array_equal(of_array, np.asarray(of_picture))
    if name_of(op) != "ResizeImage":
        assert isinstance(of_picture, Image.Image)


def test_the_reference_names_are_all_there_and_no_others():
    for name in ("RandomCrop", "BlurImage", "BrightnessJitter"):
        with pytest.raises(lookalike.ConfigError, match=f"no transform is called '{name}'"):
            build({name: {"size": 8}})


@pytest.mark.parametrize("name", ["RandCropImageV2", "RandomCropImage"])
@pytest.mark.parametrize("kind", [np.asarray, Image.fromarray])
def test_a_random_crop_is_whole_and_reaches_every_place(name, kind):
    crop = build({name: {"size": [37, 58]}})
    with seeded(0):
        found = {tuple(np.asarray(crop(kind(PLACES)))[0, 0, :2]) for _ in range(200)}
        sizes = {np.asarray(crop(kind(PLACES))).shape for _ in range(50)}
    assert found == {(y, x) for y in range(3) for x in range(4)}
    assert sizes == {(58, 37, 3)}
    with pytest.raises(ValueError, match="does not fit into an image of 40 x 60"):
        build({name: {"size": 50}})(PLACES)


def test_a_center_crop_larger_than_the_image():
    with pytest.raises(ValueError, match="does not fit"):
        build({"CropImage": {"size": 70}})(PHOTO)
    padded = build({"CenterCrop": {"size": [44, 36]}})(PHOTO)
    np.testing.assert_array_equal(padded[2:42, 2:34], PHOTO)
    assert padded[:2].sum() == 0


@pytest.mark.parametrize("size", [(1, 1), (3, 400), (400, 3), (5, 7)])
def test_windows_lie_inside_images_of_any_shape(size):
    for op in ({"RandCropImage": {"size": 8}}, {"RandomResizedCrop": {"size": 8}}):
        chain = build(op)
        with seeded(1):
            for _ in range(50):
                left, top, width, height = chain.transforms[0].window(*size)
                assert min(left, top) >= 0
                assert min(width, height) >= 1
                assert left + width <= size[0]
                assert top + height <= size[1]
            assert chain(np.zeros((size[1], size[0], 3), dtype=np.uint8)).shape == (8, 8, 3)


@pytest.mark.parametrize("code", [1, 0, -1])
def test_a_flip_is_the_same_for_every_kind_and_undoes_itself(code, monkeypatch):
    monkeypatch.setattr("random.random", lambda: 0.0)
    flip = transforms.RandomFlip(code)
    of_array = flip(PHOTO)
    np.testing.assert_array_equal(np.asarray(flip(Image.fromarray(PHOTO))), of_array)
    of_tensor = flip(torch.from_numpy(PHOTO).permute(2, 0, 1))
    np.testing.assert_array_equal(of_tensor.permute(1, 2, 0), of_array)
    np.testing.assert_array_equal(flip(of_array), PHOTO)
    assert (of_array != PHOTO).any()


@pytest.mark.parametrize("rule", ["nearest", "bilinear", "bicubic", "lanczos", "area"])
@pytest.mark.parametrize("size", [(16, 20), (10, 13), (50, 61), (64, 20), (20, 64), (1, 1)])
def test_floats_are_resized_as_bytes_are(rule, size):
    of_bytes = resize_like_cv2(PHOTO, size, rule)
    of_floats = resize_like_cv2(PHOTO.astype(np.float32), size, rule)
    assert of_bytes.dtype == np.uint8
    assert of_floats.dtype == np.float32
    assert of_bytes.shape == of_floats.shape == (size[1], size[0], 3)
    assert np.abs(np.clip(of_floats, 0, 255) - of_bytes).max() <= 1.1
    gray = resize_like_cv2(np.ascontiguousarray(PHOTO[:, :, 0]), size, rule)
    np.testing.assert_array_equal(gray, of_bytes[:, :, 0])


@pytest.mark.parametrize("rule", ["bilinear", "bicubic", "lanczos", "area"])
def test_a_flat_image_stays_flat(rule):
    flat = np.full((17, 23, 3), 200, dtype=np.uint8)
    for size in ((5, 9), (40, 31), (23, 40)):
        assert np.abs(resize_like_cv2(flat, size, rule).astype(int) - 200).max() <= 1


def test_an_interpolation_of_the_other_backend_is_refused():
    for backend, rule in (("cv2", "hamming"), ("pil", "area")):
        with pytest.raises(lookalike.ConfigError, match="is not one of backend"):
            build({"ResizeImage": {"size": 8, "backend": backend, "interpolation": rule}})


@pytest.mark.parametrize("rule", ["nearest", "bilinear", "bicubic", "lanczos", "area"])
@pytest.mark.parametrize("size", [12, [30, 14], [33, 70]])
def test_arrays_are_resized_as_opencv_does_and_pictures_as_pillow_does(rule, size):
    chain = build({"Resize": {"size": size, "interpolation": rule, "keys": None}})
    width, height = (12, 15) if size == 12 else size[::-1]
    expected = resize_like_cv2(PHOTO, (width, height), rule)
    np.testing.assert_array_equal(chain(PHOTO), expected)
    if rule == "area":
        with pytest.raises(ValueError, match="is not one of backend: pil"):
            chain(Image.fromarray(PHOTO))
        return
    picture = Image.fromarray(PHOTO)
    of_pillow = picture.resize((width, height), Image.Resampling[rule.upper()])
    np.testing.assert_array_equal(np.asarray(chain(picture)), np.asarray(of_pillow))


def test_the_short_side_goes_before_the_size():
    assert build({"ResizeImage": {"size": 20, "resize_short": 16}})(PHOTO).shape == (20, 16, 3)
    assert build({"ResizeImage": {"size": [20, 22], "resize_short": 0}})(PHOTO).shape[:2] == (
        22,
        20,
    )
    for wrong in ({}, {"resize_short": 0}):
        with pytest.raises(lookalike.ConfigError, match="give size or short_side"):
            build({"ResizeImage": wrong})


def test_backend_and_interpolation_in_any_letter_case():
    for name in ("ResizeImage", "RandCropImage"):
        loud = build({name: {"size": 20, "backend": "PIL", "interpolation": "BiCubic"}})
        plain = build({name: {"size": 20, "backend": "pil", "interpolation": "bicubic"}})
        with seeded(3):
            found = loud(PHOTO)
        with seeded(3):
            np.testing.assert_array_equal(found, plain(PHOTO))


def by_the_reference(width, height, scale, aspect):
    """Return a window's width and height in the reference's order of operations."""
    a = math.sqrt(aspect)
    w, h = 1.0 * a, 1.0 / a
    bound = min((float(width) / height) / (w**2), (float(height) / width) / (h**2))
    share = random.uniform(min(scale[0], bound), min(scale[1], bound))
    edge = math.sqrt(width * height * share)
    return int(edge * w), int(edge * h)


@pytest.mark.parametrize("log_aspect", [False, True])
def test_windows_are_rounded_as_the_reference_rounds(log_aspect):
    scale, ratio = [0.9, 1.0], [0.5, 2.0]
    spec = {"size": 24, "scale": scale, "ratio": ratio, "use_log_aspect": log_aspect}
    crop = build({"RandCropImage": spec}).transforms[0]
    for seed in range(500):
        with seeded(seed):
            found = crop.window(40, 60)[2:]
        with seeded(seed):
            aspect = random.uniform(*(map(math.log, ratio) if log_aspect else ratio))
            aspect = math.exp(aspect) if log_aspect else aspect
            assert found == by_the_reference(40, 60, scale, aspect)


def test_normalising_tensors_arrays_and_pictures():
    mean, std = [1.0, 2.0, 3.0], [2.0, 4.0, 8.0]
    pixels = PHOTO.astype(np.float32)
    last = (pixels - np.float32(mean)) / np.float32(std)
    first = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    of_rows = build({"Normalize": {"mean": mean, "std": std, "data_format": "HWC"}})
    of_planes = build({"Normalize": {"mean": mean, "std": std, "keys": None}})
    np.testing.assert_array_equal(of_rows(pixels), last)
    np.testing.assert_array_equal(of_rows(Image.fromarray(PHOTO)), last)
    np.testing.assert_array_equal(of_planes(first), last.transpose(2, 0, 1))
    np.testing.assert_array_equal(of_planes(torch.from_numpy(first)), last.transpose(2, 0, 1))
    swapped = {"mean": mean, "std": std, "data_format": "HWC", "to_rgb": True}
    expected = (pixels[..., ::-1] - np.float32(mean)) / np.float32(std)
    np.testing.assert_array_equal(build({"Normalize": swapped})(pixels), expected)
    one = build({"Normalize": {"mean": 0.5, "std": 0.25}})
    np.testing.assert_array_equal(one(first), (first - np.float32(0.5)) / np.float32(0.25))
    tensor = build({"ToTensor": {"data_format": "HWC"}})(PHOTO)
    np.testing.assert_array_equal(tensor, pixels / 255)


@pytest.mark.parametrize(
    ("padding", "widths"), [([3], (3, 3, 3, 3)), ([1, 2], (1, 2, 1, 2)), ([1, 2, 3, 4],) * 2]
)
def test_borders_of_different_widths(padding, widths):
    left, top, right, bottom = widths
    found = build({"Pad": {"padding": padding, "fill": 9}})(PHOTO)
    expected = np.pad(PHOTO, ((top, bottom), (left, right), (0, 0)), constant_values=9)
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(lookalike.ConfigError, match="1, 2 or 4 numbers"):
        build({"Pad": {"padding": [1, 2, 3]}})


@pytest.mark.parametrize(
    "op",
    [
        {"RandomResizedCrop": {"size": 20, "keys": None}},
        {"ColorJitter": {"brightness": 0.1, "keys": None}},
        {"RandomRotation": {"degrees": 30, "keys": None}},
        {"CropWithPadding": {"key": None}},
    ],
    ids=name_of,
)
def test_the_keys_of_a_transform_mean_nothing(op):
    build(op)(PHOTO)


def test_crop_with_padding_keeps_the_place():
    white = np.full((60, 40, 3), 255, dtype=np.uint8)
    with seeded(2):
        found = build({"CropWithPadding": {"prob": 1.0, "scale": [0.2, 0.8]}})(white)
    share = (found == 255).all(axis=2).mean()
    assert 0.15 < share < 0.85
    assert set(np.unique(found)) == {0, 255}


def test_pad_to_size_without_a_size_takes_the_next_multiple():
    assert build({"Padv2": {"size_divisor": 16}})(PHOTO).shape == (48, 32, 3)
    with pytest.raises(ValueError, match="does not fit on a canvas"):
        build({"Padv2": {"size": 16}})(PHOTO)
    with pytest.raises(lookalike.ConfigError, match="offsets are needed"):
        build({"Padv2": {"size": 64, "pad_mode": -1}})


def test_the_orientation_survives_the_chain():
    chain = build(
        {"RandomRot90": None},
        {"ResizeImage": {"size": 16}},
        {"NormalizeImage": {"order": ""}},
        {"ToCHWImage": None},
    )
    with seeded(4):
        found = chain(PHOTO)
    assert sorted(found) == ["image", "random_rot90_orientation"]
    assert found["image"].shape == (3, 16, 16)
    turned = transforms.RandomRot90()(PHOTO)
    turns = turned["random_rot90_orientation"]
    np.testing.assert_array_equal(np.rot90(turned["image"], -turns), PHOTO)


@pytest.mark.parametrize(
    "op",
    [
        {"Cutout": {"length": 8}},
        {"GridMask": {"d1": 4, "d2": 12}},
        {"HideAndSeek": {"grid_sizes": [8]}},
    ],
    ids=name_of,
)
def test_masks_hide_the_same_places_in_every_layout(op):
    chain = build(op)
    tensor = to_chw_tensor(PHOTO) + 1.0
    found = []
    for image in (tensor.permute(1, 2, 0).numpy(), tensor.numpy(), tensor):
        with seeded(9):
            found.append(chain(image))
    np.testing.assert_array_equal(found[0].transpose(2, 0, 1), found[1])
    np.testing.assert_array_equal(found[1], found[2].numpy())
    hidden = (found[0] == 0).all(axis=2)
    assert 0 < hidden.mean() < 1
    np.testing.assert_array_equal(found[0][~hidden], tensor.permute(1, 2, 0).numpy()[~hidden])


def test_lighting_shifts_every_pixel_alike():
    tensor = torch.zeros(3, 4, 5)
    with seeded(8):
        of_tensor = transforms.PCALighting()(tensor)
    with seeded(8):
        of_array = transforms.PCALighting()(tensor.permute(1, 2, 0).numpy())
    np.testing.assert_array_equal(of_tensor.permute(1, 2, 0), of_array)
    assert len(np.unique(of_array.reshape(-1, 3), axis=0)) == 1
    assert 0 < np.abs(of_array).max() < 0.2


def test_every_policy_of_timm_runs_with_this_pillow():
    """Posterize to zero bits, which Pillow refuses, is black."""
    strings = (
        "rand-m9-mstd0.5-inc1",
        "rand-m0",
        "rand-m10-inc1",
        "augmix-m5-w4-d2",
        "original",
        "v0",
    )
    for string in strings:
        chain = build({"TimmAutoAugment": {"config_str": string, "interpolation": "random"}})
        with seeded(1):
            for _ in range(60):
                assert chain(PHOTO).shape == PHOTO.shape
    with pytest.raises(lookalike.ConfigError, match="timm has no policy 'nonsense'"):
        build({"TimmAutoAugment": {"config_str": "nonsense"}})


@pytest.mark.parametrize("name", ["RandAugment", "RandAugmentV2", "RandAugmentV3"])
def test_randaugment_at_both_ends(name):
    for magnitude in (0, 10):
        chain = build({name: {"magnitude": magnitude, "num_layers": 3}})
        with seeded(1):
            made = [chain(PHOTO) for _ in range(100)]
        assert all(one.shape == PHOTO.shape and one.dtype == np.uint8 for one in made)
    assert len({one.tobytes() for one in made}) > 20  # at the strong end
    with pytest.raises(lookalike.ConfigError, match="magnitude must be in 0 to 10"):
        build({name: {"magnitude": 11}})


def test_randaugment_draws_all_its_distortions():
    from lookalike.data.transforms import rand_augment

    for table, size in ((rand_augment._EFFICIENT_NET, 16), (rand_augment._PAIRS, 15)):
        assert len(table) == size
        with seeded(3):
            made = [distort(Image.fromarray(PHOTO), 0.7, (9, 9, 9)) for distort in table]
        # the photo's contrast is full already
        assert len({one.tobytes() for one in made}) >= size - 1
    with seeded(3):
        untouched = [
            np.array_equal(build({"RandAugmentV4": None})(PHOTO), PHOTO) for _ in range(400)
        ]
    assert 0.15 < np.mean(untouched) < 0.4  # a quarter, and what changes nothing


def test_distortions_by_hand():
    from lookalike.data.transforms import distortions as d

    gray = Image.new("RGB", (8, 8), (100, 200, 40))
    assert d.brighten_shadows(gray, 0.5, (0,)).getpixel((0, 0)) == (155, 200, 95)
    assert d.posterize(gray, 1.0, (0,)).getpixel((0, 0)) == (96, 192, 32)
    assert d.posterize(gray, 0.5, (0,), falls=False).getpixel((0, 0)) == (64, 192, 0)
    assert d.solarize(gray, 0.5, (0,)).getpixel((0, 0)) == (100, 55, 40)
    assert d.solarize(gray, 0.2, (0,), falls=False).getpixel((0, 0)) == (155, 55, 215 - 175)
    with seeded(1):
        hole = np.asarray(d.cut_out(gray, 1.0, (7, 0, 0), most=2))
    assert (hole == 7).all(axis=2).sum() in range(1, 17)


def test_colours_after_the_normalisation_are_refused():
    with pytest.raises(ValueError, match="ColorJitter needs uint8 pixels"):
        build({"NormalizeImage": {"order": ""}}, {"ColorJitter": {"hue": 0.1}})(PHOTO)
    with pytest.raises(ValueError, match="got a tensor"):
        build({"ToTensor": None}, {"RandomGrayscale": {"p": 1.0}})(PHOTO)


@pytest.mark.parametrize("name", ["FmixOperator", "MixupOperator", "CutmixOperator"])
def test_pixels_and_targets_are_mixed_alike(name):
    images = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 3, 16, 12)
    labels = torch.arange(4).view(4, 1)
    mixture = lookalike.build("mixture", {name: {"class_num": 5}})
    with seeded(2):
        for _ in range(20):
            mixed, targets = mixture(images, labels)
            torch.testing.assert_close(mixed.mean(dim=(1, 2, 3)), targets @ torch.arange(5.0))
    with pytest.raises(lookalike.ConfigError, match="alpha must be above 0"):
        lookalike.build("mixture", {name: {"class_num": 5, "alpha": 0.0}})


def test_one_mixture_is_drawn_by_its_probability():
    images, labels = torch.rand(4, 3, 4, 4), torch.arange(4)
    parts = {"MixupOperator": {"alpha": 0.2, "prob": 0.3}, "CutmixOperator": {"prob": 0.2}}
    mixture = lookalike.build("mixture", {"OpSampler": parts}, num_classes=4)
    with seeded(2):
        pure = [torch.equal(mixture(images, labels)[0], images) for _ in range(400)]
    # a mixture can leave the batch as it is
    assert 0.45 < np.mean(pure) < 0.75
    native = {"MixOneOf": {"mixtures": [{"Mixup": {"alpha": 0.2, "prob": 0.3}}, {"CutMix": None}]}}
    assert lookalike.build("mixture", native, num_classes=4).mixtures[0][1] == 0.3
    parts["MixupOperator"]["prob"] = 1.5
    with pytest.raises(lookalike.ConfigError, match="sum to at most 1"):
        lookalike.build("mixture", {"OpSampler": parts}, num_classes=4)


def test_wrong_words_inside_a_mixture_are_told_with_their_place():
    spec = {"OpSampler": {"MixupOperator": {"alfa": 0.2}, "NoOperator": {}}}
    with pytest.raises(lookalike.ConfigError) as caught:
        lookalike.build("mixture", spec, num_classes=4)
    assert "mixtures.0.MixupOperator.alfa: unknown argument. Did you mean 'alpha'?" in str(
        caught.value
    )
    assert "no mixture is called 'NoOperator'" in str(caught.value)
    with pytest.raises(lookalike.ConfigError, match="num_classes: is missing"):
        lookalike.build("mixture", {"FmixOperator": {}})


def test_mixup_or_cutmix_is_timms():
    images, labels = torch.rand(6, 3, 8, 8), torch.arange(6)
    spec = {"MixupCutmixHybrid": {"cutmix_alpha": 1.0, "num_classes": 6, "label_smoothing": 0.0}}
    mixture = lookalike.build("mixture", spec)
    with seeded(5):
        mixed, targets = mixture(images, labels)
    assert mixed.shape == images.shape
    assert not torch.equal(mixed, images)
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(6))
    with pytest.raises(ValueError, match="in pairs"):
        mixture(images[:5], labels[:5])


def test_only_the_seeded_generators_are_drawn_from():
    """The same state of the three global generators gives the same chain of everything."""
    chain = build(*[op for op in EVERY if "Crop" not in name_of(op)])
    with seeded(21):
        first = np.asarray(chain(PHOTO))
    random.random()
    with seeded(21):
        np.testing.assert_array_equal(np.asarray(chain(PHOTO)), first)


def test_a_sliver_is_not_blown_up_beyond_any_image():
    sliver = np.zeros((1, 5000, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match="resizing would make"):
        lookalike.build("transform", {"ResizeImage": {"resize_short": 224}})(sliver)
