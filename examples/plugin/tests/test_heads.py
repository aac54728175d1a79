"""What a head of your own should be tested for."""

import torch
from lookalike_sphere import SphereHead

from lookalike import build


def make() -> SphereHead:
    """Build it the way a YAML does."""
    spec = {"name": "lookalike_sphere.heads:SphereHead", "embedding_size": 8, "num_classes": 5}
    return build("head", spec, allow_import=["lookalike_sphere"])


def test_margin_lowers_the_true_class_only():
    """The other classes keep their cosine."""
    torch.manual_seed(0)
    head, x, labels = make(), torch.randn(6, 8), torch.tensor([0, 1, 2, 3, 4, 0])
    with_margin, without = head(x, labels), head(x, None)
    changed = (with_margin != without).nonzero()
    assert set(map(tuple, changed.tolist())) <= set(enumerate(labels.tolist()))
    assert (with_margin <= without + 1e-5).all()


def test_gradients_are_finite_at_the_ends():
    """An embedding on its class weight must not give NaN."""
    head = make()
    x = head.weight[:1].detach().clone().requires_grad_()
    head(x, torch.tensor([0])).sum().backward()
    assert torch.isfinite(x.grad).all()
