"""What an exported file may differ by, and what is tried on it."""

import pytest
import torch

from lookalike.assembly.export import _spread
from lookalike.assembly.parity import BATCH_SIZES, _settled, compare, in_batches
from lookalike.errors import ExportError
from lookalike.geometry import unit

LABELS = torch.arange(8) // 2


def rotated(vectors, cosine):
    """Turn each vector until its cosine with what it was is as given."""
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(vectors.shape, generator=generator, dtype=torch.float64)
    across = unit(noise - (noise * vectors).sum(dim=1, keepdim=True) * vectors)
    return cosine * vectors + (1 - cosine**2) ** 0.5 * across


def embeddings():
    """Pairs of one label that are close to each other, and far from all others."""
    centres = torch.eye(4, 6, dtype=torch.float64)[LABELS]
    noise = torch.randn(8, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return unit(centres + 0.1 * noise)


def compared(found, expected):
    rows = iter(found)

    def run(images):
        return torch.stack([next(rows) for _ in images])

    return compare("model.pt2", run, torch.zeros(8, 1), expected.float(), LABELS)


@pytest.mark.parametrize("drift", [0.0, 1e-6, 9e-5])
def test_rounding_is_allowed(drift):
    expected = embeddings()
    parity = compared(rotated(expected, 1.0 - drift), expected)
    assert parity.drift == pytest.approx(drift, abs=2e-7)
    assert parity.recall1 == (1.0, 1.0)
    assert parity.images == 8


@pytest.mark.parametrize("drift", [1.2e-4, 1e-3, 0.05])
def test_more_than_rounding_is_refused_though_the_ranking_is_the_same(drift):
    expected = embeddings()
    with pytest.raises(ExportError, match=r"1 - cosine is up to .* \(0.0001 is allowed\)"):
        compared(rotated(expected, 1.0 - drift), expected)


def test_one_image_that_differs_is_enough():
    expected = embeddings()
    found = expected.clone()
    found[5] = rotated(expected, 0.999)[5]
    with pytest.raises(ExportError, match="does not compute"):
        compared(found, expected)


def test_another_neighbour_is_refused_unless_both_are_as_near():
    vectors = unit(torch.tensor([[1.0, 0.0], [1.0, 0.1], [1.0, 0.10000001], [0.0, 1.0]]))
    expected, found = torch.tensor([1, 0, 1, 1]), torch.tensor([2, 0, 1, 0])
    # of the first image both are as near; of the last one the other is clearly farther
    assert _settled(expected, found, vectors).tolist() == [1, 0, 1, 0]


def test_every_size_of_batch_is_tried():
    sizes = []

    def run(images):
        sizes.append(len(images))
        return images

    images = torch.arange(23.0)[:, None]
    assert torch.equal(in_batches(run, images), images)
    assert sizes == [1, 2, 7, 1, 2, 7, 1, 2]
    assert BATCH_SIZES == (1, 2, 7)


def test_images_are_compared_in_pairs_of_a_label():
    class Labelled:
        labels = [0, 0, 0, 1, 2, 2, 3, 3, 3]

    assert _spread(Labelled(), 6) == [0, 1, 4, 5, 6, 7]
    assert _spread(Labelled(), 99) == [0, 1, 4, 5, 6, 7, 3]
    assert _spread(Labelled(), 1) == [0]
