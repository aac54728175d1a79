"""A run that the reference began goes on here."""

import math
import pickle

import numpy as np
import pytest
import torch
from conftest import trainer_of
from reference_files import as_theirs, their_name
from ruamel.yaml import YAML

from lookalike.assembly.distillation import BuiltModels
from lookalike.assembly.job import build_job
from lookalike.assembly.load import load_run
from lookalike.assembly.resume_reference import reference_run, resume_reference
from lookalike.errors import CheckpointError
from lookalike.paddleclas.pickles import NAMES_KEY
from lookalike.training import load_checkpoint

OPTIMIZERS = {
    "Momentum": {"momentum": 0.9},
    "Adam": {},
    "AdamW": {"weight_decay": 0.01},
    "RMSProp": {"momentum": 0.5},
    "SGD": {},
}
SLOTS = {
    "momentum_buffer": "velocity",
    "exp_avg": "moment1",
    "exp_avg_sq": "moment2",
    "square": "mean_square",
    "mean": "mean_grad",
    "velocity": "momentum",
}


def configure(tiny, optimizer, losses=()):
    path = tiny / "run.yaml"
    config = YAML(typ="safe").load(path.read_text())
    config["Arch"] = {
        "name": "RecModel",
        "Backbone": {"name": "PPLCNet_x0_25", "dropout_prob": 0.0},
        "BackboneStopLayer": {"name": "flatten"},
        "Neck": {"name": "FC", "embedding_size": 1280, "class_num": 16},
        "Head": {"name": "ArcMargin", "embedding_size": 16, "class_num": 6, "scale": 8},
    }
    config["Loss"]["Train"] = [{"CELoss": {"weight": 1.0}}, *losses]
    config["Optimizer"] = {
        "name": optimizer,
        **OPTIMIZERS[optimizer],
        "lr": {"name": "Cosine", "learning_rate": 0.002},
    }
    with path.open("w") as stream:
        YAML(typ="safe").dump(config, stream)


def save_as_theirs(trainer, folder, name="latest"):
    """Write the three files that the reference keeps of a run."""
    model, update = trainer.update.model, trainer.update
    keys = {p: their_name(key) for key, p in model.named_parameters()}
    centers = {
        f"loss_func.{i}.{key}": p
        for i, loss in enumerate(update.loss.losses.values())
        for key, p in loss.named_parameters()
    }
    keys |= {p: key for key, p in centers.items()}
    numbers = {key: f"layer_{n}.w_0" for n, key in enumerate(keys.values())}
    arrays = as_theirs(model, **{key: p.detach().numpy() for key, p in centers.items()})
    (folder / f"{name}.pdparams").write_bytes(pickle.dumps({**arrays, NAMES_KEY: numbers}))
    states = []
    for optimizer in update.optimizers:
        saved = {"LR_Scheduler": {"last_epoch": 1, "last_lr": optimizer.learning_rate(1)}}
        for parameter, state in optimizer.optimizer.state.items():
            number = numbers[keys[parameter]]
            for slot in SLOTS.keys() & state.keys():
                array = state[slot].numpy()
                turned = array.ndim == 2 and not keys[parameter].startswith("loss_func.")
                saved[f"{number}_{SLOTS[slot]}_0"] = np.array(array.T if turned else array)
            if "step" in state:
                power = 0.9 ** (float(state["step"]) + 1)
                saved[f"{number}_beta1_pow_acc_0"] = np.array([power], dtype=np.float32)
        states.append(saved)
    (folder / f"{name}.pdopt").write_bytes(pickle.dumps(states))
    epoch = trainer.iteration // trainer.iterations_per_epoch
    (folder / f"{name}.pdstates").write_bytes(pickle.dumps({"metric": 0.5, "epoch": epoch}))
    return folder / name


def resumed(tiny, source):
    trainer = trainer_of(tiny)
    built = build_job(load_run(tiny / "run.yaml")).built
    by_name = {"": built.by_name[""]}
    models = BuiltModels(trainer.update.model, by_name)
    return trainer, resume_reference(trainer, models, reference_run(str(source)))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_their_run_goes_on_as_it_would_have(tiny, optimizer):
    configure(tiny, optimizer, [{"CenterLoss": {"weight": 0.01, "num_classes": 6, "feat_dim": 16}}])
    first = trainer_of(tiny, f"Global.output_dir={tiny / 'straight'}")
    first.epochs = 1
    first.run()
    source = save_as_theirs(first, tiny)
    straight = trainer_of(tiny, f"Global.output_dir={tiny / 'straight'}")
    straight.restore(load_checkpoint(tiny / "straight"))
    straight.run()

    trainer, notes = resumed(tiny, source)
    assert trainer.iteration == first.iteration
    assert trainer.best.score == 0.5
    assert any("augmentations and batches begin anew" in note for note in notes)
    trainer.run()
    for name, value in straight.update.model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue  # the reference does not count, and nothing depends on it
        torch.testing.assert_close(
            trainer.update.model.state_dict()[name], value, rtol=1e-4, atol=1e-6, msg=name
        )


def test_the_best_model_beside_it_is_the_one_to_beat(tiny):
    configure(tiny, "Momentum")
    trainer = trainer_of(tiny)
    trainer.epochs = 1
    trainer.run()
    source = save_as_theirs(trainer, tiny)
    (tiny / "best_model.pdstates").write_bytes(pickle.dumps({"metric": 0.75, "epoch": 1}))
    assert resumed(tiny, source)[0].best.score == 0.75


def test_what_is_not_there_or_does_not_fit_is_told(tiny):
    configure(tiny, "Momentum")
    trainer = trainer_of(tiny)
    trainer.epochs = 1
    trainer.run()
    source = save_as_theirs(trainer, tiny)
    configure(tiny, "Adam")
    with pytest.raises(CheckpointError, match="no state for .* parameters of this run's Adam"):
        resumed(tiny, source)
    (tiny / "latest.pdopt").write_bytes(pickle.dumps([{"x_unknown": np.zeros(1)}]))
    with pytest.raises(CheckpointError, match="'x_unknown' is no state of an optimiser"):
        resumed(tiny, source)
    (tiny / "latest.pdopt").write_bytes(pickle.dumps([{}, {}]))
    with pytest.raises(CheckpointError, match="the state of 2 optimisers; this run has 1"):
        resumed(tiny, source)
    (tiny / "latest.pdstates").write_bytes(pickle.dumps({"metric": math.nan}))
    with pytest.raises(CheckpointError, match="does not tell how many epochs"):
        resumed(tiny, source)
    (tiny / "latest.pdopt").unlink()
    with pytest.raises(CheckpointError, match=r"latest\.pdopt must be beside it"):
        resumed(tiny, source)


def test_from_the_command_line(tiny, lookalike):
    configure(tiny, "Momentum")
    trainer = trainer_of(tiny)
    trainer.epochs = 1
    trainer.run()
    source = save_as_theirs(trainer, tiny)
    done = lookalike(
        "train",
        "-c",
        tiny / "run.yaml",
        "-o",
        f"Global.checkpoints={source}",
        "-o",
        f"Global.output_dir={tiny / 'here'}",
    )
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert f"going on from {source}.pdparams, iteration {trainer.iteration}" in said
    assert load_checkpoint(tiny / "here").facts["epoch"] == 2
