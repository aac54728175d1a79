"""The weights a model starts with, and the word about those it has not."""

import pytest
import torch
from conftest import trainer_of

from lookalike.assembly.job import build_job
from lookalike.assembly.load import load_run
from lookalike.assembly.model_source import model_of
from lookalike.assembly.published import load_published, model_config
from lookalike.errors import CheckpointError, ModelWarning

pytestmark = pytest.mark.filterwarnings("error::lookalike.errors.ModelWarning")


def job_of(tiny, *overrides, training=False):
    run = load_run(tiny / "run.yaml", overrides, training=training)
    return build_job(run, training=training, need_evaluation=False)


def test_a_model_without_trained_weights_is_reported_when_it_is_measured(tiny):
    text = r"random weights.*: backbone \(75 of 75 tensors\); neck \(2 of 2 tensors\)\. "
    with pytest.warns(ModelWarning, match=text):
        job_of(tiny)
    job_of(tiny, training=True)  # warnings are errors here
    trainer_of(tiny, "Global.epochs=1").run()
    trained = job_of(tiny, f"Global.pretrained_model={tiny}/output/latest")
    assert trained.untrained(["backbone", "neck", "head"]) == ""
    assert any("latest" in note and "tensors" in note for note in trained.notes), trained.notes


def test_an_evaluation_takes_a_checkpoint_before_pretrained_weights(tiny):
    one, two = tiny / "one.pth", tiny / "two.pth"
    for file in (one, two):
        torch.save({}, file)
    both = (f"Global.pretrained_model={one}", f"Global.checkpoints={two}")
    run = load_run(tiny / "run.yaml", both, training=False)
    assert model_of(run).place == str(two)
    assert model_of(run, training=True).place == str(one)
    for nothing in ("null", "False", "True"):
        run = load_run(tiny / "run.yaml", [f"Global.pretrained_model={nothing}"], training=False)
        assert model_of(run) is None


def test_weights_are_those_of_the_file_and_a_part_may_be_left_out(tiny):
    trainer = trainer_of(tiny, "Global.epochs=1")
    trainer.run()
    state = trainer.update.model.state_dict()
    for key in ("pretrained_model", "checkpoints"):
        found = job_of(tiny, f"Global.{key}={tiny}/output/latest").model.state_dict()
        assert all(torch.equal(found[name], value) for name, value in state.items())
    run = load_run(
        tiny / "run.yaml",
        [f"Global.pretrained_model={tiny}/output/latest", "Arch.Head.class_num=9"],
        training=False,
    )
    with pytest.raises(CheckpointError, match="head.weight"):
        build_job(run, training=False, need_evaluation=False)
    job = build_job(run, training=False, need_evaluation=False, allow_missing=["head.*"])
    assert torch.equal(job.model.neck.conv.weight, state["neck.conv.weight"])
    assert len(job.model.head.weight) == 9


@pytest.mark.parametrize(
    ("overrides", "compare"),
    [
        ([], {"features": "features", "normalize": True, "binarize": None}),
        (
            ["+Global.retrieval_feature_from=backbone", "+Global.feature_normalize=False",
             "+Global.feature_binarize=sign"],
            {"features": "backbone", "normalize": False, "binarize": "sign"},
        ),
        (
            ["+Global.feature_binarize=round"],
            {"features": "features", "normalize": True, "binarize": "round"},
        ),
    ],
)  # fmt: skip
def test_a_published_model_says_how_its_embeddings_are_made_and_compared(tiny, overrides, compare):
    with pytest.warns(ModelWarning, match="random weights"):
        job = job_of(tiny, *overrides)
    config = model_config(job.run, job.built)
    assert config["compare"] == compare
    assert config["image_shape"] == [3, 32, 32]
    assert config["embedding_size"] == 16
    assert config["prefix"] == ""
    assert config["slim"] == {}
    assert [list(one) for one in config["preprocessing"]] == [["ResizeImage"], ["NormalizeImage"]]
    assert set(config["arch"]) >= {"Backbone", "Neck", "Head", "BackboneStopLayer"}


def test_a_published_model_is_read_for_use(tiny):
    trainer = trainer_of(tiny, "Global.epochs=1")
    trainer.run()
    model = load_published(tiny / "output" / "latest")
    assert not any(module.training for module in model.modules())
    assert model.published["library_name"] == "lookalike"
    images = torch.rand(3, 3, 32, 32)
    alone, together = model(images[:1])["features"], model(images)["features"]
    torch.testing.assert_close(alone, together[:1], rtol=1e-4, atol=1e-5)
