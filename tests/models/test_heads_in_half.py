"""Margin heads under autocast compute in float32: a margin needs digits that half does not have."""

import pytest
import torch
import torch.nn.functional as F
from test_gears import BEYOND, HEADS

from lookalike import build

MARGINS = [name for name in (*HEADS, *BEYOND) if name != "FC"]
HALF = [torch.bfloat16, torch.float16]


def head_of(name):
    torch.manual_seed(0)
    extra = {"margin": 0.35, "scale": 64.0} if name == "CircleMargin" else {}
    return build("head", {name: {"embedding_size": 16, "class_num": 7, **extra}})


def run(head, embeddings, labels, dtype=None):
    """Return logits, loss, and the gradients of embeddings and weights."""
    torch.manual_seed(1)  # some margins are drawn
    embeddings = embeddings.detach().clone().requires_grad_()
    with torch.autocast("cpu", dtype=dtype or torch.bfloat16, enabled=dtype is not None):
        logits = head(embeddings, labels)
        loss = F.cross_entropy(logits, labels)
    loss.backward()
    return logits, loss, embeddings.grad, [p.grad for p in head.parameters()]


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("name", MARGINS)
def test_only_the_input_is_rounded(name, dtype):
    embeddings = (torch.randn(12, 16, generator=torch.Generator().manual_seed(2)) * 4).to(dtype)
    labels = torch.arange(12) % 7
    expected = run(head_of(name), embeddings.float(), labels)
    logits, loss, gradient, weights = run(head_of(name), embeddings, labels, dtype)
    assert logits.dtype == loss.dtype == torch.float32
    assert gradient.dtype == dtype
    torch.testing.assert_close(logits, expected[0])
    torch.testing.assert_close(loss, expected[1])
    # the embedding's gradient is rounded once, on its way out
    torch.testing.assert_close(gradient, expected[2].to(dtype))
    for found, value in zip(weights, expected[3], strict=True):
        torch.testing.assert_close(found, value)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("name", MARGINS)
def test_a_cosine_of_exactly_one_has_a_finite_gradient(name, dtype, sign):
    head = head_of(name)
    weight = next(p for p in head.parameters() if p.ndim == 2)
    directions = torch.eye(max(weight.shape))[: weight.shape[0], : weight.shape[1]]
    weight.data.copy_(directions)
    by_class = directions if weight.shape[1] == 16 else directions.T
    rows = by_class.reshape(7, -1, 16)[:, 0]
    logits, loss, gradient, weights = run(head, sign * rows.to(dtype), torch.arange(7), dtype)
    for tensor in (logits, loss, gradient, *weights):
        assert torch.isfinite(tensor).all()
