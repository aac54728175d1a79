"""Images to tables: rows, mirrored images, outputs, and what is left out."""

import pytest
import torch
from torch import nn

from lookalike.errors import DataError
from lookalike.inference.embed import embed
from lookalike.types import Batch


class Weighted(nn.Module):
    """Embeds by a weight for each place, so that every mirror image has another embedding."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2 * 3 * 4, 3, bias=False)
        self.layouts = []

    def forward(self, images):
        self.layouts.append((self.training, images.is_contiguous()))
        found = self.linear(images.contiguous().flatten(1))
        return {"features": found, "backbone": images}


def images(number=5):
    return torch.randn(number, 2, 3, 4, generator=torch.Generator().manual_seed(3))


def batches(order=(0, 1, 2, 3, 4), size=2, all_images=None):
    all_images = images() if all_images is None else all_images
    for start in range(0, len(order), size):
        rows = torch.tensor(order[start : start + size])
        yield Batch(all_images[rows], rows, rows, rows)


class Listed:
    """What an evaluation needs to know of a data set."""

    def __init__(self, number=5, *, cameras=True):
        self.labels = [10 + n for n in range(number)]
        self.paths = [f"{n}.jpg" for n in range(number)]
        self.cameras = [n % 2 for n in range(number)] if cameras else None

    def __len__(self):
        return len(self.labels)


def test_a_mirrored_embedding_is_the_sum_with_that_of_the_image_flipped_left_to_right():
    model = Weighted()
    found = embed(model, batches(), Listed(), mirrored=True).embeddings
    with torch.no_grad():
        columns = torch.tensor([3, 2, 1, 0])
        expected = model(images())["features"] + model(images()[:, :, :, columns])["features"]
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (4, 2, 0, 3, 1)])
def test_rows_have_the_order_of_the_data_set(order):
    model = Weighted().train()
    done = []
    table = embed(model, batches(order), Listed(), advance=done.append)
    with torch.no_grad():
        torch.testing.assert_close(table.embeddings, model(images())["features"])
    assert table.labels.tolist() == [10, 11, 12, 13, 14]
    assert table.ids == ["0.jpg", "1.jpg", "2.jpg", "3.jpg", "4.jpg"]
    assert table.cameras.tolist() == [0, 1, 0, 1, 0]
    assert done == [2, 2, 1]
    assert model.training
    assert model.layouts[0] == (False, False), "in evaluation, channels last"


def test_another_output_is_flattened_and_there_may_be_no_cameras():
    model = Weighted()
    table = embed(
        model, batches(), Listed(cameras=False), feature_from="backbone", channels_last=False
    )
    assert torch.equal(table.embeddings, images().flatten(1))
    assert table.cameras is None
    assert model.layouts[0][1]


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 1, 2, 3, 3)])
def test_an_image_that_is_missing_is_an_error(order):
    with pytest.raises(DataError, match="only 4 of 5 images were read"):
        embed(Weighted(), batches(order), Listed())
