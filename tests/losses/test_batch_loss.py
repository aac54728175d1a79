"""Every loss refuses tensors and labels that are not one per image, and is 0 for no image."""

import pytest
import torch

from lookalike import build
from lookalike.assembly.catalog import CATALOG
from lookalike.assembly.components import load_path
from lookalike.losses.batch_loss import BatchLoss

CLASSES, WIDTH = 5, 4
PAIR = {"model_name_pairs": [["Student", "Teacher"]]}
XBM = {"xbm_size": 16, "xbm_weight": 1.0, "start_iter": 0, "embedding_size": WIDTH}
NEEDED = {
    "CenterLoss": {"num_classes": CLASSES, "embedding_size": WIDTH},
    "ContrastiveLoss": {"margin": 0.3},
    "ContrastiveLossXBM": {"margin": 0.3, **XBM},
    "DCHLoss": {"gamma": 20.0, "quantization_weight": 0.1},
    "DSHSDLoss": {"alpha": 0.5},
    "DistillationCELoss": PAIR,
    "DistillationDISTLoss": PAIR,
    "DistillationDKDLoss": PAIR,
    "DistillationDMLLoss": PAIR,
    "DistillationDistanceLoss": PAIR,
    "DistillationGTCELoss": {"model_names": ["Student"]},
    "DistillationKLDivLoss": PAIR,
    "DistillationMultiLabelLoss": {"model_names": ["Student"]},
    "DistillationPairLoss": {**PAIR, "base_loss": "DMLLoss"},
    "DistillationRKDLoss": {"student_keepkeys": ["features"], "teacher_keepkeys": ["features"]},
    "DistillationSKDLoss": PAIR,
    "DistillationWSLLoss": PAIR,
    "LCDSHLoss": {"quantization_weight": 3.0},
    "MGDLoss": {"student_channels": WIDTH, "teacher_channels": WIDTH},
    "PEFDLoss": {"student_channel": WIDTH, "teacher_channel": WIDTH},
    "PairwiseCosface": {"margin": 0.25, "gamma": 16.0},
    "SKDLoss": {"temperature": 1.0},
    "TripletAngularMarginLossXBM": XBM,
}
MAPS = {"MGDLoss": (WIDTH, 3, 3)}
OF_TWO = (
    *("DISTLoss", "DKDLoss", "DMLLoss", "DistanceLoss", "KLDivLoss", "MGDLoss", "PEFDLoss"),
    *("RkdAngle", "RkdDistance", "SKDLoss", "WSLLoss"),
)
WITH_LABELS = ("DKDLoss", "SKDLoss", "WSLLoss")
LOSSES = [*CATALOG["loss"], "pml.ContrastiveLoss", "pml.CrossBatchMemory"]
PML = {
    "pml.ContrastiveLoss": {},
    "pml.CrossBatchMemory": {"embedding_size": WIDTH, "memory_size": 16, "loss": "NTXentLoss"},
}


def made(name):
    if name.startswith("pml."):
        pytest.importorskip("pytorch_metric_learning")
    torch.manual_seed(0)
    return build("loss", {name: {**NEEDED, **PML}.get(name, {})})


def leaf(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1)).requires_grad_()


def labels_for(name, count):
    labels = torch.arange(count) % 2
    if "MultiLabel" in name or name == "SoftTargetCrossEntropy":
        return torch.eye(CLASSES)[labels]
    if "Domain" in name:
        return {"label": labels, "domain": torch.arange(count) // 2 % 2}
    return labels


def value_of(name, images, others):
    """Return a loss of so many images and so many labels, or rows of a teacher."""
    loss = made(name)
    shape = MAPS.get(name, (WIDTH,))
    if name in WITH_LABELS:
        logits = leaf(images, CLASSES)
        return [logits], loss(logits, leaf(images, CLASSES), labels_for(name, others))
    if name in OF_TWO:
        student = leaf(images, *shape)
        return [student], loss(student, leaf(others, *shape))
    output = {"features": leaf(images, WIDTH), "logits": leaf(images, CLASSES)}
    leaves = list(output.values())
    if name.startswith("Distillation"):
        teacher = {"features": leaf(images, WIDTH), "logits": leaf(images, CLASSES)}
        output = {"Student": output, "Teacher": teacher}
    return leaves, loss(output, labels_for(name, others))


@pytest.mark.parametrize("name", CATALOG["loss"])
def test_it_is_one(name):
    assert issubclass(load_path(CATALOG["loss"][name]), BatchLoss)


@pytest.mark.parametrize("others", [0, 1, 3, 5, 7, 12])
@pytest.mark.parametrize("name", LOSSES)
def test_another_number_of_labels_is_refused(name, others):
    with pytest.raises(ValueError, match=f"6 rows and .* {others}; each needs one per image"):
        value_of(name, 6, others)


@pytest.mark.parametrize("name", LOSSES)
def test_a_batch_without_images_is_0(name):
    leaves, value = value_of(name, 0, 0)
    terms = list(value.values()) if isinstance(value, dict) else [value]
    assert terms
    assert all(term.item() == 0.0 for term in terms)
    torch.stack(terms).sum().backward()
    assert any(one.grad is not None for one in leaves)


@pytest.mark.parametrize("name", LOSSES)
def test_equal_numbers_are_finite(name):
    for images in (1, 6):
        _, value = value_of(name, images, images)
        terms = list(value.values()) if isinstance(value, dict) else [value]
        assert all(torch.isfinite(term).all() for term in terms)


@pytest.mark.parametrize("reduction", ["none", "sum"])
@pytest.mark.parametrize(
    "name", ["CrossEntropy", "TripletAngularMarginLoss", "MultiLabelAsymmetricLoss", "DistanceLoss"]
)
def test_of_no_images_the_other_reductions_are_0_too(name, reduction):
    loss = build("loss", {name: {"reduction": reduction}})
    second = torch.zeros(0, CLASSES)
    if name in ("CrossEntropy", "TripletAngularMarginLoss"):
        second = torch.zeros(0, dtype=torch.int64)
    assert loss(torch.zeros(0, CLASSES), second).sum() == 0.0


HEADS = {name: {"embedding_size": WIDTH, "num_classes": CLASSES} for name in CATALOG["head"]}
HEADS["CircleMargin"] |= {"margin": 0.25, "scale": 16.0}
HEADS["CosMargin"] |= {"margin": 0.25, "scale": 16.0}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("count", [0, 1, 5, 7, 12])
@pytest.mark.parametrize("name", HEADS)
def test_a_head_refuses_another_number_of_labels(name, count, training):
    head = build("head", {name: HEADS[name]}).train(training)
    with pytest.raises(ValueError, match=f"got {count} labels for 6 embeddings"):
        head(torch.zeros(6, WIDTH), torch.zeros(count, dtype=torch.int64))


@pytest.mark.parametrize("name", HEADS)
def test_a_head_gives_no_logits_for_no_images_and_keeps_its_statistics(name):
    head = build("head", {name: HEADS[name]})
    before = {key: value.clone() for key, value in head.state_dict().items()}
    logits = head(torch.zeros(0, WIDTH), torch.zeros(0, dtype=torch.int64))
    assert logits.shape == (0, CLASSES)
    assert all(torch.equal(value, before[key]) for key, value in head.state_dict().items())


@pytest.mark.parametrize("name", ["ArcMargin", "CosMargin", "SubCenterArcMargin"])
def test_a_head_in_parts_refuses_them_too(name):
    head = build("head", {name: HEADS[name] | {"chunk_size": 2}})
    with pytest.raises(ValueError, match="got 5 labels for 6 embeddings"):
        head(torch.zeros(6, WIDTH), torch.zeros(5, dtype=torch.int64))
    parts = head(torch.zeros(0, WIDTH), torch.zeros(0, dtype=torch.int64))
    labels = torch.zeros(0, dtype=torch.int64)
    assert build("loss", {"CELoss": {}})({"logits": parts}, labels) == 0.0
