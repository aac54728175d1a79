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


@pytest.mark.parametrize("labels", [[0, 0, 1, 1, 2, 2, 2, 0], [0, 1, 1, 2, 3, 4, 5, 1], [0] * 8])
@pytest.mark.parametrize("miner", ["MultiSimilarityMiner", None])
def test_multi_similarity_is_theirs(miner, labels):
    pytest.importorskip("pytorch_metric_learning")
    theirs = build("loss", {"pml.MultiSimilarityLoss": {"miner": miner}})
    ours = build("loss", {"MultiSimilarityLoss": {"epsilon": None if miner is None else 0.1}})
    labels = torch.tensor(labels)
    torch.testing.assert_close(ours(FEATURES, labels), theirs(FEATURES, labels))


def test_circle_loss_is_theirs_where_every_anchor_counts():
    pytest.importorskip("pytorch_metric_learning")
    labels = torch.tensor([0, 0, 1, 1, 2, 2, 2, 0])
    ours, theirs = (build("loss", {name: {}}) for name in ("CircleLoss", "pml.CircleLoss"))
    torch.testing.assert_close(ours(FEATURES, labels), theirs(FEATURES, labels))


def stream(step):
    generator = torch.Generator().manual_seed(step)
    return torch.randn(6, 4, generator=generator), torch.randint(0, 3, (6,), generator=generator)


XBM = {"embedding_size": 4, "memory_size": 16}
INNER = {"neg_margin": 0.3, "distance": {"CosineSimilarity": None}, "pos_margin": 0.9}
MEMORIES = {
    "by name": {"loss": {"name": "ContrastiveLoss", **INNER}, "miner": "MultiSimilarityMiner"},
    "nested": {"loss": {"ContrastiveLoss": INNER}, "miner": {"MultiSimilarityMiner": {}}},
    "prefixed": {"loss": {"pml.ContrastiveLoss": INNER}, "miner": {"name": "MultiSimilarityMiner"}},
}


def their_memory():
    from pytorch_metric_learning import distances, losses, miners

    loss = losses.ContrastiveLoss(0.9, 0.3, distance=distances.CosineSimilarity())
    return losses.CrossBatchMemory(loss, 4, 16, miner=miners.MultiSimilarityMiner())


@pytest.mark.parametrize("spelled", MEMORIES.values(), ids=MEMORIES)
def test_their_memory_around_a_loss_is_theirs_and_resumes_bit_for_bit(spelled):
    pytest.importorskip("pytorch_metric_learning")
    spec = {"pml.CrossBatchMemory": {**XBM, **spelled}}
    theirs, ours = their_memory(), build("loss", spec)
    for step in range(7):
        features, labels = stream(step)
        found = ours({"features": features}, labels[:, None])
        assert torch.equal(found, theirs(features, labels))
        assert torch.equal(build("loss", spec)(features, labels), their_memory()(features, labels))
        saved, ours = ours.state_dict(), build("loss", spec)
        ours.load_state_dict(saved)
    assert ours.loss.has_been_filled


def test_their_memory_stays_as_it_is_in_evaluation():
    pytest.importorskip("pytorch_metric_learning")
    loss = build("loss", {"pml.CrossBatchMemory": {**XBM, **MEMORIES["nested"]}})
    loss(*stream(0))
    before = {key: value.clone() for key, value in loss.state_dict().items()}
    loss.eval()(*stream(1))
    assert all(torch.equal(value, before[key]) for key, value in loss.state_dict().items())


def test_several_of_their_losses_in_one():
    pytest.importorskip("pytorch_metric_learning")
    from pytorch_metric_learning import losses, miners, reducers

    theirs = losses.MultipleLosses(
        [
            losses.TripletMarginLoss(0.2, reducer=reducers.ThresholdReducer(low=0.05)),
            losses.CrossBatchMemory(losses.NTXentLoss(0.1), 4, 16),
        ],
        miners=[miners.BatchHardMiner(), None],
        weights=[1.0, 0.5],
    )
    reducer = {"ThresholdReducer": {"low": 0.05}}
    ours = build(
        "loss",
        {
            "pml.MultipleLosses": {
                "losses": [
                    {"TripletMarginLoss": {"margin": 0.2, "reducer": reducer}},
                    {"CrossBatchMemory": {**XBM, "loss": {"NTXentLoss": {"temperature": 0.1}}}},
                ],
                "miners": ["BatchHardMiner", None],
                "weights": [1.0, 0.5],
            }
        },
    )
    assert ours.remembers
    for step in range(4):
        assert torch.equal(ours(*stream(step)), theirs(*stream(step)))


def test_a_memory_of_theirs_is_given_the_batches_of_all_processes():
    pytest.importorskip("pytorch_metric_learning")
    total = build(
        "loss",
        [
            {"pml.CrossBatchMemory": {**XBM, "loss": "NTXentLoss"}},
            {"pml.NTXentLoss": {}},
            {"ContrastiveLoss_XBM": {**XBM_OURS}},
        ],
    )
    assert total.gathers == {"pml_CrossBatchMemory", "ContrastiveLoss_XBM"}


XBM_OURS = {"xbm_size": 8, "xbm_weight": 1, "start_iter": 0, "margin": 0.5, "embedding_size": 4}


@pytest.mark.parametrize(
    ("name", "args", "message"),
    [
        ("CrossBatchMemory", {**XBM, "loss": "ArcFaceLoss"}, "ArcFaceLoss: .*num_classes"),
        (
            "CrossBatchMemory",
            {**XBM, "loss": {"ProxyAnchorLoss": {"num_classes": 3, "embedding_size": 4}}},
            "not supported for ProxyAnchorLoss",
        ),
        ("CrossBatchMemory", {**XBM, "loss": {"NTXentLoss": {"temprature": 1}}}, "'temperature'"),
        ("CrossBatchMemory", {**XBM, "loss": "NTXent"}, "Did you mean 'NTXentLoss'"),
        ("CrossBatchMemory", {**XBM, "loss": {"A": 1, "B": 2}}, "write 'X', '{name: X"),
        ("CrossBatchMemory", {"loss": "NTXentLoss"}, "embedding_size: is missing"),
        ("SelfSupervisedLoss", {"loss": "NTXentLoss"}, "compares two views of each image"),
    ],
)
def test_what_cannot_be_wrapped_is_refused(name, args, message):
    pytest.importorskip("pytorch_metric_learning")
    with pytest.raises(ConfigError, match=message):
        build("loss", {f"pml.{name}": args})


def test_a_batch_must_fit_their_memory():
    pytest.importorskip("pytorch_metric_learning")
    total = build("loss", [{"pml.CrossBatchMemory": {**XBM, "loss": "NTXentLoss"}}])
    with pytest.raises(ConfigError, match="has 3 numbers, the memory was made for 4"):
        total(torch.zeros(2, 3), torch.tensor([0, 1]))
    with pytest.raises(ConfigError, match="set memory_size to at least 17"):
        total(torch.zeros(17, 4), torch.zeros(17, dtype=torch.int64))
