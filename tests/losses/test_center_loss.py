"""The loss of learned centres, up to the last class and not beyond."""

import pytest
import torch

from lookalike import build


def centers(number=3):
    loss = build("loss", {"CenterLoss": {"num_classes": number, "feat_dim": 2}})
    with torch.no_grad():
        loss.centers.copy_(torch.arange(2.0 * number).view(number, 2))
    return loss


def test_the_first_and_the_last_class_have_a_centre():
    # centres (0, 1) and (4, 5): distances 1 + 4 and 9 + 0
    found = centers()(torch.tensor([[1.0, 3.0], [1.0, 5.0]]), torch.tensor([0, 2]))
    assert found.item() == (5.0 + 9.0) / 2


@pytest.mark.parametrize("label", [-1, 3, 4])
def test_a_label_next_to_them_has_none(label):
    with pytest.raises(ValueError, match=f"for labels 0 to 2; the batch holds.*{label}"):
        centers()(torch.zeros(2, 2), torch.tensor([1, label]))


def test_features_of_another_width_are_told():
    with pytest.raises(ValueError, match="'features' has 3 numbers, the centres .* have 2"):
        centers()(torch.zeros(1, 3), torch.tensor([1]))
