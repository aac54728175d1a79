"""The settings of Global that say how a step is computed, and what they do not go with."""

import pytest
from conftest import trainer_of

from lookalike.assembly.consistency import check_sections
from lookalike.assembly.load import load_run
from lookalike.errors import ConfigError
from lookalike.models.compiled import CompiledForward
from lookalike.models.recompute import RecomputedForward
from lookalike.training.piecewise import PiecewiseUpdate


def refusals(tiny, *overrides):
    with pytest.raises(ConfigError) as caught:
        check_sections(load_run(tiny / "run.yaml", overrides))
    return {problem.key: str(problem) for problem in caught.value.problems}


@pytest.mark.parametrize("key", ["micro_batch_size=3", "activation_checkpointing=True"])
def test_what_follows_every_pass_cannot_be_computed_twice(tiny, key):
    name = f"Global.{key.split('=')[0]}"
    found = refusals(tiny, f"Global.{key}", "+Slim={quant: {name: pact}}")
    assert "Slim.quant" in found[name]
    assert "run.yaml" in found[name] or "-o" in found[name]


def test_metabin_has_updates_of_its_own(tiny):
    found = refusals(tiny, "Global.compile=True", "Global.train_mode=metabin")
    assert "metabin" in found["Global.compile"]


def test_compiled_code_has_a_plan_of_its_own(tiny):
    both = ("Global.micro_batch_size=2", "Global.activation_checkpointing=True")
    found = refusals(tiny, "Global.compile=True", *both)
    assert "micro_batch_size and activation_checkpointing" in found["Global.compile"]


def test_a_batch_of_one_piece_is_refused(tiny):
    found = refusals(tiny, "Global.micro_batch_size=8")
    assert "batch_size" in found["Global.micro_batch_size"]


def test_several_models_are_refused(tiny):
    text = (tiny / "run.yaml").read_text()
    start, end = text.index("Arch:"), text.index("Loss:")
    arch = text[start:end].replace("Arch:\n", "").replace("\n  ", "\n      ")
    several = (
        "Arch:\n  name: DistillationModel\n  infer_model_name: Student\n  models:\n"
        f"  - Student:\n    {arch.replace('  name: RecModel', '  name: RecModel', 1)}"
    )
    (tiny / "run.yaml").write_text(text[:start] + several + "\n" + text[end:])
    assert "one model" in refusals(tiny, "Global.micro_batch_size=2")["Global.micro_batch_size"]


def test_the_settings_reach_the_step(tiny):
    assert isinstance(trainer_of(tiny, "Global.micro_batch_size=4").update, PiecewiseUpdate)
    model = trainer_of(tiny, "Global.compile=True").update.model
    assert isinstance(model.backbone.forward, CompiledForward)
    resnet = ("Arch.Backbone.name=ResNet18", "Arch.Neck.in_channels=512")
    again = trainer_of(tiny, "Global.activation_checkpointing=True", *resnet).update.model
    assert isinstance(again.backbone.layer1[0].forward, RecomputedForward)


def test_a_backbone_without_blocks_is_named(tiny):
    resnet = ("Arch.Backbone.name=torchvision.resnet18", "Arch.Neck.in_channels=512")
    with pytest.raises(ConfigError, match=r"torchvision\.resnet18 has no blocks"):
        trainer_of(
            tiny, "Global.activation_checkpointing=True", "Arch.BackboneStopLayer.name=avgpool",
            *resnet,
        )  # fmt: skip


def test_what_a_cache_replaces_cannot_be_computed_otherwise(tiny):
    frozen = ("+Global.feature_cache=True", "+Arch.Backbone.freeze=True")
    found = refusals(tiny, "Global.activation_checkpointing=True", *frozen)
    assert "feature_cache" in found["Global.activation_checkpointing"]
