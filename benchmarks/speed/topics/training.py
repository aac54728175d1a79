"""A training step: forward, losses, backward, update, from images in memory."""

from benchmarks.speed.plan import Case, System, Topic

_SYSTEMS = (
    System("Lookalike", "training_ours:update", role="ours", package="lookalike"),
    System("torch, channels last, fused SGD", "training_torch:channels_last", role="bare"),
    System("torch, channels first", "training_torch:channels_first", role="bare"),
    System("PaddleClas", "training_paddleclas:step", "paddle", package="paddleclas"),
    System("matrix products alone", "training_torch:products", role="limit"),
)
_WHAT = (
    "A step is what training does with a batch in memory: forward, cross-entropy and SupCon, "
    "backward, momentum with L2. Lookalike's is `Update` of a model from the YAML's sections; the "
    "loops in plain torch are torchvision's backbone with neck, head and losses written out. The "
    "limit is the multiplications of the step (counted by torch) at the best speed of one product "
    "of 2048 x 2048."
)


def _sizes(backbone: str, size: int, classes: int, batch: int) -> dict[str, object]:
    return {"backbone": backbone, "size": size, "classes": classes, "batch": batch}


RESNET50 = Topic(
    name="train_resnet50",
    title="Training ResNet50",
    unit="images/s",
    what=_WHAT,
    cases=(Case("224 px, 30,671 classes, batch 32", _sizes("resnet50", 224, 30_671, 32), "step"),),
    quick=(Case("224 px, 30,671 classes, batch 8", _sizes("resnet50", 224, 30_671, 8), "step"),),
    systems=_SYSTEMS,
    warm=True,
    rounds=3,
)
MOBILENET = Topic(
    name="train_mobilenet",
    title="Training MobileNetV3-small",
    unit="images/s",
    what=_WHAT,
    cases=(Case("112 px, 5,000 classes, batch 64", _sizes("mobilenet", 112, 5000, 64), "step"),),
    quick=(Case("112 px, 5,000 classes, batch 32", _sizes("mobilenet", 112, 5000, 32), "step"),),
    systems=_SYSTEMS,
    least=2,
    warm=True,
)
