"""Losses of pytorch-metric-learning by name, with the package, without it, and with a double."""

import builtins
import importlib
import sys
import types

import pytest
import torch

from lookalike import build
from lookalike.errors import ConfigError, SetupError

FEATURES = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([[0], [0], [1], [1], [2], [2], [2], [3]])


@pytest.fixture
def absent(monkeypatch):
    """Take the package away, if it is there."""
    for name in [name for name in sys.modules if name.startswith("pytorch_metric_learning")]:
        monkeypatch.delitem(sys.modules, name)
    real = importlib.import_module

    def import_module(name, *more):
        if name.startswith("pytorch_metric_learning"):
            raise ModuleNotFoundError(name)
        return real(name, *more)

    monkeypatch.setattr(importlib, "import_module", import_module)
    return builtins


@pytest.fixture
def double(monkeypatch):
    """Put a package of one loss, one miner and one distance in its place."""

    class Base(torch.nn.Module):
        def __init__(self, distance=None, **kwargs):
            super().__init__(**kwargs)
            self.distance = distance

    class ScaledLoss(Base):
        """Sum of what was mined."""

        def __init__(self, scale=1.0, **kwargs):
            super().__init__(**kwargs)
            self.scale = scale

        def forward(self, embeddings, labels, indices_tuple=None):
            assert labels.ndim == 1
            picked = embeddings if indices_tuple is None else embeddings[indices_tuple]
            return self.scale * picked.sum()

    class FirstMiner:
        def __init__(self, count=1, distance=None):
            self.count, self.distance = count, distance

        def __call__(self, embeddings, labels):
            return torch.arange(self.count)

    class LpDistance:
        def __init__(self, p=2):
            self.p = p

    rooms = {
        "losses": {"ScaledLoss": ScaledLoss, "helper": len},
        "miners": {"FirstMiner": FirstMiner},
        "distances": {"LpDistance": LpDistance},
    }
    monkeypatch.setitem(
        sys.modules, "pytorch_metric_learning", types.ModuleType("pytorch_metric_learning")
    )
    for room, things in rooms.items():
        module = types.ModuleType(room)
        vars(module).update(things)
        monkeypatch.setitem(sys.modules, f"pytorch_metric_learning.{room}", module)


def test_without_the_package_the_message_says_what_to_install(absent):
    with pytest.raises(SetupError, match="python -m pip install 'pytorch-metric-learning"):
        build("loss", {"pml.MultiSimilarityLoss": {"alpha": 2}})
    with pytest.raises(ConfigError, match="no loss is called 'NoSuchLoss'"):
        build("loss", {"NoSuchLoss": {}})


def test_their_loss_reads_the_model_and_mines(double):
    loss = build("loss", {"pml.ScaledLoss": {"scale": 2.0, "feature_from": "backbone"}})
    assert loss.reads == ("backbone",)
    found = loss({"backbone": FEATURES[:, :, None, None]}, LABELS)
    torch.testing.assert_close(found, 2 * FEATURES.sum())
    distance = {"name": "LpDistance", "p": 1}
    spec = {"miner": {"name": "FirstMiner", "count": 3, "distance": distance}}
    loss = build("loss", {"pml.ScaledLoss": spec | {"distance": "LpDistance"}})
    torch.testing.assert_close(loss(FEATURES, LABELS), FEATURES[:3].sum())
    assert (loss.miner.distance.p, loss.loss.distance.p) == (1, 2)


def test_their_arguments_are_checked(double):
    with pytest.raises(ConfigError, match="Did you mean 'scale'.*distance, feature_from, miner"):
        build("loss", {"pml.ScaledLoss": {"scael": 2.0}})
    with pytest.raises(ConfigError, match="has no 'SecondMiner'; known: FirstMiner"):
        build("loss", {"pml.ScaledLoss": {"miner": "SecondMiner"}})
    for name in ("pml.NoSuchLoss", "pml.helper"):
        with pytest.raises(ConfigError, match=f"no loss is called '{name}'"):
            build("loss", {name: {}})


def test_two_of_one_name_count_in_a_sum(double):
    specs = [{"pml.ScaledLoss": {"weight": 0.5}}] * 2
    terms = build("loss", specs)({"features": FEATURES}, LABELS)
    assert len(terms) == 3
    assert not any("." in name for name in terms)
    torch.testing.assert_close(terms["loss"], FEATURES.sum())


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("MultiSimilarityLoss", {"miner": {"name": "MultiSimilarityMiner", "epsilon": 0.1}}),
        ("CircleLoss", {"m": 0.4, "gamma": 80}),
        ("TripletMarginLoss", {"margin": 0.1, "miner": "BatchHardMiner"}),
        ("ProxyAnchorLoss", {"num_classes": 4, "embedding_size": 4}),
        ("ContrastiveLoss", {"distance": {"name": "LpDistance", "p": 1}}),
    ],
)
def test_the_real_package(name, args):
    pytest.importorskip("pytorch_metric_learning")
    loss = build("loss", {f"pml.{name}": args})
    value = loss({"features": FEATURES.requires_grad_()}, LABELS)
    value.backward()
    assert torch.isfinite(value)


def test_multi_similarity_is_theirs_where_every_anchor_counts():
    pytest.importorskip("pytorch_metric_learning")
    labels = torch.tensor([0, 0, 1, 1, 2, 2, 2, 0])
    theirs = build("loss", {"pml.MultiSimilarityLoss": {"miner": "MultiSimilarityMiner"}})
    ours = build("loss", {"MultiSimilarityLoss": {}})
    torch.testing.assert_close(ours(FEATURES, labels), theirs(FEATURES, labels))


def test_circle_loss_is_theirs_where_every_anchor_counts():
    pytest.importorskip("pytorch_metric_learning")
    labels = torch.tensor([0, 0, 1, 1, 2, 2, 2, 0])
    ours, theirs = (build("loss", {name: {}}) for name in ("CircleLoss", "pml.CircleLoss"))
    torch.testing.assert_close(ours(FEATURES, labels), theirs(FEATURES, labels))
