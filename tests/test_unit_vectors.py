"""Unit vectors of any scale, and the same bits as ever for ordinary ones."""

import pytest
import torch

from lookalike.geometry import unit
from lookalike.losses.directions import directions


def as_before(vectors):
    """What was computed before rows of any scale were: the definition for ordinary rows."""
    norms = torch.linalg.vector_norm(vectors, dim=-1)
    return vectors / torch.where(norms > 1e-12, norms, 1.0)[:, None]


def points(dtype=torch.float32):
    return torch.randn(40, 24, generator=torch.Generator().manual_seed(0)).to(dtype)


SCALES = {
    torch.float32: [1e18, 1e19, 3e37, 1e-11, 1e-12, 1e-19, 1e-30],
    torch.float64: [1e19, 1e150, 1e155, 1e300, 1e-30, 1e-150, 1e-300],
    torch.float16: [1e3, 1e-3],
    torch.bfloat16: [1e20, 1e-30],
}


@pytest.mark.parametrize(
    ("dtype", "scale"), [(dtype, scale) for dtype, scales in SCALES.items() for scale in scales]
)
def test_directions_do_not_depend_on_the_scale(dtype, scale):
    scaled = (points(torch.float64) * scale).to(dtype)
    exact = scaled.double()
    exact = exact / exact.abs().amax(dim=1, keepdim=True)
    exact = exact / exact.square().sum(dim=1, keepdim=True).sqrt()
    found = unit(scaled)
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    rounding = 4 * torch.finfo(found.dtype).eps
    torch.testing.assert_close(found.double(), exact, rtol=rounding, atol=rounding)
    torch.testing.assert_close(directions(scaled).double(), exact, rtol=rounding, atol=rounding)


def test_the_smallest_numbers_there_are():
    """2 and 3 times the smallest float32, and the largest ones."""
    tiny, huge = 2.0**-149, torch.finfo(torch.float32).max
    found = unit(torch.tensor([[2 * tiny, 3 * tiny], [huge, -huge], [0.0, tiny], [0.0, 0.0]]))
    expected = [[2 / 13**0.5, 3 / 13**0.5], [0.5**0.5, -(0.5**0.5)], [0.0, 1.0], [0.0, 0.0]]
    torch.testing.assert_close(found, torch.tensor(expected))


@pytest.mark.parametrize("odd", [[], [0.0], [1e25, 1e-30, 0.0]])
@pytest.mark.parametrize("cpu", [True, False])
def test_ordinary_rows_keep_every_bit(monkeypatch, odd, cpu):
    """Values and gradients, also next to rows of another scale, and on the way a GPU takes."""
    monkeypatch.setattr("lookalike.geometry._on_cpu_now", lambda tensor: cpu)
    vectors = points()
    for row, scale in enumerate(odd):
        vectors[row] *= scale
    ordinary = slice(len(odd), None)
    weights, results = torch.randn(40, 24), []
    for compute in (unit, as_before):
        given = vectors.clone().requires_grad_()
        found = compute(given)
        (found * weights).sum().backward()
        results.append((found.detach()[ordinary], given.grad[ordinary]))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


def test_gradients_stay_finite_at_every_scale():
    """A row that is as good as zero passes on what comes in; a huge one is hardly moved."""
    vectors = points()
    for row, scale in enumerate([0.0, 1e-13, 1e-30, 1e-44, 1e20, 1e37]):
        vectors[row] *= scale
    vectors.requires_grad_()
    weights = torch.randn(40, 24)
    (unit(vectors) * weights).sum().backward()
    assert torch.isfinite(vectors.grad).all()
    assert torch.equal(vectors.grad[:4], weights[:4])
    assert 0.0 < vectors.grad[4].abs().max() < 1e-18
    (once,) = torch.autograd.grad(unit(vectors[6:]).pow(3).sum(), vectors, create_graph=True)
    once.square().sum().backward()
    assert torch.isfinite(vectors.grad).all()


def test_what_is_not_finite_stays_so():
    assert not torch.isfinite(unit(torch.tensor([[torch.nan, 1.0]]))).all()
    assert not torch.isfinite(unit(torch.tensor([[torch.inf, 1.0]]))).all()


def test_a_compiled_graph_is_not_cut():
    program = torch.export.export(torch.nn.Sequential(Direction()), (points(),))
    vectors = points()
    vectors[3] *= 1e25
    torch.testing.assert_close(program.module()(vectors), unit(vectors))


class Direction(torch.nn.Module):
    def forward(self, vectors):
        return unit(vectors)
