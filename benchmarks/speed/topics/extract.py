"""Embeddings of image files through the exported model."""

from benchmarks.speed.plan import Case, System, Topic


def _case(backbone: str, title: str, size: int, images: int, batch: int, goal: str) -> Case:
    sizes = {"backbone": backbone, "size": size, "images": images, "batch": batch}
    return Case(f"{title}, batch {batch}", sizes, goal)


_RESNET, _MOBILE = "ResNet50 224 px", "MobileNetV3-small 112 px"
TOPIC = Topic(
    name="extract",
    title="Embedding extraction",
    unit="images/s",
    what=(
        "Embeddings of JPEG files, decoding and resizing included where the system's name says "
        "files. What runs on decoded tensors is the bound that files cannot pass; "
        "`decoding alone` tells when decoding is the bound."
    ),
    cases=(
        _case("resnet50", _RESNET, 224, 32, 16, "resnet50"),
        _case("mobilenet", _MOBILE, 112, 128, 32, "mobilenet"),
    ),
    quick=(_case("mobilenet", _MOBILE, 112, 64, 32, "mobilenet"),),
    systems=(
        System("Lookalike, files to ONNX", "extract_ours:files_onnx", role="ours"),
        System("Lookalike, files to torch", "extract_ours:files_torch", role="ours"),
        System(
            "onnxruntime, tensors",
            "extract_ours:tensors_onnx",
            role="bare",
            package="onnxruntime",
            gpu=False,
        ),
        System("torch eager, tensors", "extract_ours:tensors_torch", role="bare"),
        System(
            "Paddle Inference, tensors",
            "extract_paddle:inference",
            "paddle",
            package="paddlepaddle",
            gpu=False,
        ),
        System(
            "decoding alone", "extract_ours:decoding", role="bare", package="simplejpeg", gpu=False
        ),
    ),
    prepare="extract_files:write",
)
