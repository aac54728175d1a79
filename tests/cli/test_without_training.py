"""``eval``, ``embed``, ``export`` and ``convert`` read nothing that only training reads."""

import re

import pytest
import yaml

from lookalike.cli.embed import run_embed
from lookalike.cli.evaluate import run_evaluation
from lookalike.cli.export import run_export
from lookalike.errors import ConfigError, DataError

ALLOW = {"allow_import": (), "allow_missing": ()}


def changed(tiny, change):
    """Write the tiny YAML with a change, and return its path."""
    data = yaml.safe_load((tiny / "run.yaml").read_text())
    change(data)
    path = tiny / "changed.yaml"
    path.write_text(yaml.safe_dump(data))
    return str(path)


def evaluate(config, *overrides, json_file=None):
    run_evaluation(
        config, overrides, json_file=json_file, tables=None, strict_device=False, **ALLOW
    )


def spoilt(data):
    """Leave nothing in the training's sections that could be built."""
    data["Loss"] = {"Train": [{"NoSuchLoss": {}}], "Evla": [], "Eval": [{"NoSuchLoss": {}}]}
    data["Optimizer"] = [{"name": "my_package:Optimizer", "lr": {"name": "NoSchedule"}}]
    data["DataLoader"]["Train"] = {
        "dataset": {"name": "my_package:Images", "cls_label_path": "gone.txt"},
        "sampler": {"name": "NoSampler", "batch_size": 0},
        "loader": {"workers": 3},
    }
    data["Metric"]["Train"] = [{"NoMetric": {}}]
    data["AMP"] = {"levle": "O9"}
    data["EMA"] = {"decay": 7}


def without(data):
    for section in ("Loss", "Optimizer"):
        del data[section]
    del data["DataLoader"]["Train"]


@pytest.mark.parametrize("change", [spoilt, without])
def test_an_evaluation_needs_no_section_of_the_training(tiny, change, capsys):
    evaluate(changed(tiny, change))
    assert re.search(r"\[Eval\] recall1: \d", capsys.readouterr().out)


@pytest.mark.parametrize("change", [spoilt, without])
def test_nor_do_embeddings(tiny, change):
    config = changed(tiny, change)
    options = {"exported": None, "allow_program": False, "strict_device": False, **ALLOW}
    run_embed(config, "Query", str(tiny / "table.npz"), (), **options)
    assert (tiny / "table.npz").exists()
    with pytest.raises(ConfigError, match="has no split 'Trian'"):
        run_embed(config, "Trian", str(tiny / "none.npz"), (), **options)


def test_the_training_images_are_read_where_they_are_asked_for(tiny):
    options = {"exported": None, "allow_program": False, "strict_device": False, **ALLOW}
    run_embed(str(tiny / "run.yaml"), "Train", str(tiny / "table.npz"), (), **options)
    with pytest.raises(ConfigError, match="has no split 'Trian'. Did you mean 'Train'"):
        run_embed(str(tiny / "run.yaml"), "Trian", str(tiny / "none.npz"), (), **options)
    with pytest.raises(ConfigError, match="my_package"):
        run_embed(changed(tiny, spoilt), "Train", str(tiny / "none.npz"), (), **options)


def test_nor_does_an_export(tiny, capsys):
    folder = f"Global.save_inference_dir={tiny / 'exported'}"
    run_export(
        changed(tiny, spoilt), [folder], onnx=False, images=4, allow_random_weights=True, **ALLOW
    )
    assert (tiny / "exported" / "card.json").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.update(Optimzer={}), "Optimzer: unknown key"),
        (lambda data: data["Metric"].update(Evla=[]), "Metric.Evla: unknown key"),
        (lambda data: data["DataLoader"].update(Evla={}), "DataLoader.Evla: unknown key"),
        (lambda data: data["Arch"].update(Neck={"name": "NoNeck"}), "no neck is called 'NoNeck'"),
    ],
)
def test_what_it_does_read_is_checked(tiny, change, message):
    with pytest.raises(ConfigError, match=message):
        evaluate(changed(tiny, change))


def test_a_wrong_value_on_the_command_line_is_told_wherever_it_belongs(tiny):
    config = str(tiny / "run.yaml")
    evaluate(config, "Optimizer.name=NoOptimizer", "Loss.Train=[{my_package:Loss: {}}]")
    for wrong in ("Loss.Train.0.CELoss.weight=heavy", "Optimizer.lr.learning_rate=fast"):
        with pytest.raises(ConfigError, match=f"-o {wrong}"):
            evaluate(config, wrong)


def test_training_still_needs_all_of_it(tiny):
    from lookalike.assembly.load import load_run

    with pytest.raises(ConfigError) as caught:
        load_run(changed(tiny, spoilt))
    found = {problem.key for problem in caught.value.problems}
    assert {"Loss.Evla", "AMP.levle", "EMA.decay", "Optimizer.0.name"} <= found


CLASSIFICATION = ["Global.eval_mode=classification", "Metric.Eval=[{TopkAcc: {topk: [1]}}]"]


def test_classification_computes_and_prints_the_losses_of_the_evaluation(tiny, capsys):
    losses = "+Loss.Eval=[{CELoss: {weight: 2.0}}, {CELoss: {weight: 1.0, epsilon: 0.1}}]"
    evaluate(str(tiny / "run.yaml"), *CLASSIFICATION, losses, json_file=str(tiny / "found.json"))
    shown = capsys.readouterr().out
    values = yaml.safe_load((tiny / "found.json").read_text())
    assert list(values)[:4] == ["top1", "CELoss", "CELoss_2", "loss"]
    for name in ("CELoss", "CELoss_2", "loss"):
        assert f"[Eval] {name}: {values[name]:.5f}" in shown
    expected = _by_hand(tiny)
    assert values["CELoss"] == pytest.approx(2.0 * expected, rel=1e-5)
    assert values["loss"] == pytest.approx(values["CELoss"] + values["CELoss_2"], rel=1e-6)


def _by_hand(tiny):
    """Return the mean cross-entropy of all images at once; in evaluation logits are cosines."""
    import torch

    from lookalike.assembly.job import build_job
    from lookalike.assembly.load import load_run

    job = build_job(load_run(tiny / "run.yaml", CLASSIFICATION, training=False), training=False)
    split = job.evaluation.query.dataset
    images = torch.stack([split[i].image for i in range(len(split))])
    with torch.no_grad():
        logits = job.model.eval()(images)["logits"]
    return torch.nn.functional.cross_entropy(logits, torch.tensor(list(split.labels))).item()


def test_retrieval_says_in_one_line_that_it_computes_none(tiny, capsys):
    evaluate(str(tiny / "run.yaml"), "+Loss.Eval=[{NoSuchLoss: {}}]")
    shown = capsys.readouterr().out
    assert shown.count("note: Loss.Eval is not computed in retrieval evaluation") == 1


def test_a_loss_whose_weights_training_learns_is_left_out(tiny, capsys):
    losses = "+Loss.Eval=[{CELoss: {}}, {CenterLoss: {num_classes: 6, feat_dim: 16}}]"
    evaluate(str(tiny / "run.yaml"), *CLASSIFICATION, losses)
    shown = capsys.readouterr().out
    assert "note: Loss.Eval: CenterLoss is not computed; training learns its weights." in shown
    assert "[Eval] CELoss:" in shown
    assert "[Eval] CenterLoss" not in shown


def test_its_losses_are_checked_where_they_are_computed(tiny):
    config = str(tiny / "run.yaml")
    with pytest.raises(ConfigError, match="Loss.Eval.0.CELos.*Did you mean 'CELoss'"):
        evaluate(config, *CLASSIFICATION, "+Loss.Eval=[{CELos: {}}]")
    with pytest.raises(ConfigError, match="needs an Arch.Head"):
        evaluate(config, *CLASSIFICATION, "+Loss.Eval=[{CELoss: {}}]", "Arch.Head=null")
    with pytest.raises(DataError, match="label 5 is outside"):
        evaluate(config, *CLASSIFICATION, "+Loss.Eval=[{CELoss: {}}]", "Arch.Head.class_num=5")


def test_of_several_models_the_losses_read_the_evaluated_one(tiny, capsys):
    def several(data):
        data["Global"]["eval_mode"] = "classification"
        data["Metric"]["Eval"] = [{"TopkAcc": {"topk": [1]}}]
        data["Loss"]["Eval"] = [
            {"DistillationGTCELoss": {"model_names": ["Student"]}},
            {"CELoss": {"weight": 1.0}},
            {"DistillationDMLLoss": {"model_name_pairs": [["Student", "Teacher"]]}},
        ]
        arch = data["Arch"]
        models = [{"Student": arch}, {"Teacher": arch}]
        data["Arch"] = {"name": "DistillationModel", "models": models}

    evaluate(changed(tiny, several))
    shown = capsys.readouterr().out
    values = dict(re.findall(r"\[Eval\] (\w+): ([\d.]+)", shown))
    assert values["CELoss_Student"] == values["CELoss"]
    assert list(values) == ["top1", "CELoss_Student", "CELoss", "loss"]
    left_out = "DistillationDMLLoss is not computed; only Student is evaluated."
    assert f"note: Loss.Eval: {left_out}" in shown
