"""Losses over pairs of half-precision embeddings whose cosine is exactly 1, -1 or 0."""

import pytest
import torch
from test_pair_losses import NAMES, make, value_of


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", NAMES)
def test_values_are_those_of_float32_and_gradients_are_finite(name, dtype):
    one, other = torch.eye(4)[:2]
    rows = torch.stack([one, one, -one, -one, other, other, -other, 4 * one])
    labels = [0, 0, 1, 1, 2, 2, 3, 3]
    torch.manual_seed(0)
    expected = value_of(name, make(name), rows, labels)
    features = rows.to(dtype).requires_grad_()
    torch.manual_seed(0)
    with torch.autocast("cpu", dtype=dtype):
        found = value_of(name, make(name), features, labels)
    found.backward()
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected)
    assert torch.isfinite(features.grad).all()
