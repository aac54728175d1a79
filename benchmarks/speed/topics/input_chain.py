"""From JPEG files to a batch."""

from benchmarks.speed.plan import Case, System, Topic

_WITH, _WITHOUT, _DECODE = "with AugMix", "without AugMix", "decoding alone"


def _sizes(images: int, *, augmix: bool) -> dict[str, object]:
    return {"images": images, "batch": 16, "augmix": augmix, "size": 224}


TOPIC = Topic(
    name="input",
    title="Input chain",
    unit="images/s",
    what=(
        "From JPEG files (made of noise of all scales, sides of 400 to 1,000 px, about 140 kB) to "
        "a batch of float32: decode, resize to 224, flip, AugMix 0.5 (three chains of one "
        "distortion), normalise, erase 0.5. Lookalike's is the training stream of a YAML without "
        "workers. AugMix of the libraries is theirs with three chains of depth one; albumentations "
        "has none, so its own distortions are mixed by hand. The limit is libjpeg-turbo alone."
    ),
    cases=(
        Case(_WITH, _sizes(128, augmix=True), "chain"),
        Case(_WITHOUT, _sizes(128, augmix=False), "plain"),
    ),
    quick=(Case("with AugMix, 32 images", _sizes(32, augmix=True), "chain"),),
    systems=(
        System("Lookalike", "input_ours:stream", role="ours", package="lookalike", gpu=False),
        System("PaddleClas", "input_paddleclas:read", "paddle", package="paddleclas", gpu=False),
        System(
            "albumentations",
            "input_albumentations:chain",
            "peers",
            package="albumentations",
            gpu=False,
        ),
        System("torchvision, tensors", "input_torch:tensors", package="torchvision", gpu=False),
        System("torchvision, Pillow", "input_torch:pillow", package="torchvision", gpu=False),
        System("timm, Pillow", "input_torch:timm_chain", package="timm", gpu=False),
        System("full decode", "input_decode:full", role="limit", package="simplejpeg", gpu=False),
        System(
            "decode at half size where it may",
            "input_decode:scaled",
            role="bare",
            package="simplejpeg",
            gpu=False,
        ),
    ),
    prepare="input_files:write",
)
