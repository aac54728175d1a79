"""One pass over a YAML tells every mistake: where it is, and which word was probably meant."""

import re

import pytest

from lookalike.assembly.load import check_document, load_run
from lookalike.config import read_yaml_text
from lookalike.errors import ConfigError

GOOD = """\
Global:
  epochs: 2
  eval_mode: retrieval
Arch:
  name: RecModel
  Backbone:
    name: test_resnet
    pretrained: False
  BackboneStopLayer:
    name: avg_pool
  Neck:
    name: VehicleNeck
    in_channels: 96
    out_channels: 16
  Head:
    name: ArcMargin
    embedding_size: 16
    class_num: 6
    margin: 0.15
Loss:
  Train:
    - CELoss:
        weight: 1.0
    - SupConLoss:
        weight: 0.5
        views: 2
Optimizer:
  name: Momentum
  momentum: 0.9
  lr:
    name: Cosine
    learning_rate: 0.01
  regularizer:
    name: L2
    coeff: 5e-4
DataLoader:
  Train:
    dataset:
      name: VeriWild
      image_root: images
      cls_label_path: train.txt
      transform_ops:
        - ResizeImage:
            size: 32
        - NormalizeImage:
            scale: 1.0/255.0
            order: ''
    sampler:
      name: DistributedRandomIdentitySampler
      batch_size: 8
      num_instances: 2
    loader:
      num_workers: 0
Metric:
  Eval:
    - Recallk:
        topk: [1, 5]
    - mAP: {}
"""


def check(text, *overrides, allow=()):
    return check_document(read_yaml_text(text, file="run.yaml"), overrides, allow_import=allow)


def problems(text, *overrides, allow=()):
    with pytest.raises(ConfigError) as caught:
        check(text, *overrides, allow=allow)
    return caught.value.problems


def line_of(text, part):
    (number,) = [n for n, line in enumerate(text.splitlines(), 1) if part in line]
    return number


def test_the_good_one_is_good():
    run = check(GOOD)
    assert run.config.Global.epochs == 2
    assert run.notes == []


MISTAKES = [
    # what is written instead, key that is named, words the message has
    ("epochs: 2", "epoch: 2", "Global.epoch", ["'epochs'"]),
    ("eval_mode: retrieval", "eval_mode: retreival", "Global.eval_mode", ["'retrieval'"]),
    ("name: test_resnet", "name: test_resnt", "Arch.Backbone", ["'test_resnet'"]),
    ("name: avg_pool", "nam: avg_pool", "Arch.BackboneStopLayer.nam", ["'name'"]),
    ("name: VehicleNeck", "name: VehicelNeck", "Arch.Neck", ["'VehicleNeck'"]),
    ("embedding_size: 16", "embeding_size: 16", "Arch.Head.embeding_size", ["'embedding_size'"]),
    ("class_num: 6", "clas_num: 6", "Arch.Head.clas_num", ["'class_num'"]),
    ("margin: 0.15", "margin: big", "Arch.Head.margin", ["number", "'big'"]),
    ("- CELoss:", "- CELos:", "Loss.Train.0.CELos", ["'CELoss'"]),
    ("weight: 1.0", "weight: heavy", "Loss.Train.0.CELoss.weight", ["number", "'heavy'"]),
    ("views: 2", "view: 2", "Loss.Train.1.SupConLoss.view", ["'views'"]),
    ("momentum: 0.9", "momentun: 0.9", "Optimizer.momentun", ["'momentum'"]),
    ("name: Momentum", "name: Momentun", "Optimizer", ["'Momentum'"]),
    ("name: Cosine", "name: Cosin", "Optimizer.lr", ["'Cosine'"]),
    ("learning_rate: 0.01", "learing_rate: 0.01", "Optimizer.lr.learing_rate", ["'learning_rate'"]),
    ("name: L2", "name: L3", "Optimizer.regularizer", ["L2"]),
    ("coeff: 5e-4", "coef: 5e-4", "Optimizer.regularizer.coef", ["'coeff'"]),
    ("coeff: 5e-4", "coeff: small", "Optimizer.regularizer.coeff", ["number", "'small'"]),
    ("name: VeriWild", "name: VeriWld", "DataLoader.Train.dataset", ["'VeriWild'"]),
    ("cls_label_path:", "cls_label_pth:", "DataLoader.Train.dataset.cls_label_pth", ["'cls_label_path'"]),  # noqa: E501
    ("image_root: images", "image_root: [1]", "DataLoader.Train.dataset.image_root", ["string"]),
    (
        "- ResizeImage:",
        "- ResizeImag:",
        "DataLoader.Train.dataset.transform_ops.0.ResizeImag",
        ["'ResizeImage'"],
    ),
    (
        "size: 32",
        "sise: 32",
        "DataLoader.Train.dataset.transform_ops.0.ResizeImage.sise",
        ["'size'"],
    ),
    (
        "scale: 1.0/255.0",
        "scale: 1.0/0",
        "DataLoader.Train.dataset.transform_ops.1.NormalizeImage.scale",
        ["'1.0/0'"],
    ),
    (
        "scale: 1.0/255.0",
        "scale: __import__('os').system('id')",
        "DataLoader.Train.dataset.transform_ops.1.NormalizeImage.scale",
        ["__import__"],
    ),
    ("num_instances: 2", "num_instance: 2", "DataLoader.Train.sampler.num_instance", ["'num_instances'"]),  # noqa: E501
    ("batch_size: 8", "batch_size: eight", "DataLoader.Train.sampler.batch_size", ["integer"]),
    (
        "name: DistributedRandomIdentitySampler",
        "name: DistributedRandomIdentitySample",
        "DataLoader.Train.sampler",
        ["'DistributedRandomIdentitySampler'"],
    ),
    ("num_workers: 0", "num_worker: 0", "DataLoader.Train.loader.num_worker", ["'num_workers'"]),
    ("- Recallk:", "- Recalk:", "Metric.Eval.0.Recalk", ["'Recallk'"]),
    ("topk: [1, 5]", "topk: [one]", "Metric.Eval.0.Recallk.topk", ["'one'"]),
]  # fmt: skip


@pytest.mark.parametrize(("good", "bad", "key", "words"), MISTAKES, ids=[m[1] for m in MISTAKES])
def test_one_mistake_is_told_at_its_line(good, bad, key, words):
    text = GOOD.replace(good, bad, 1)
    assert text != GOOD
    found = [problem for problem in problems(text) if problem.key in (key, f"{key}.name")]
    assert len(found) == 1, f"no problem at {key}: {[str(p) for p in problems(text)]}"
    for word in words:
        assert word in found[0].message
    line = int(re.fullmatch(r"run\.yaml:(\d+):\d+", found[0].where)[1])
    # an unknown name may be told at the component's own line above it
    allowed = [line_of(text, bad)] + ([line_of(text, bad) - 1] if "name:" in bad else [])
    assert line in allowed


def test_all_mistakes_are_told_at_once():
    text, keys, used = GOOD, set(), set()
    for good, bad, key, _ in MISTAKES:
        # one mistake for each line, and none that hides the component of another
        if good in used or "name:" in bad or "- " in bad:
            continue
        used.add(good)
        text = text.replace(good, bad, 1)
        keys.add(key)
    found = problems(text)
    assert keys <= {problem.key for problem in found}
    assert len(keys) >= 14
    assert len(set(map(str, found))) == len(found), "told twice"
    missing = {p.key for p in found} - keys
    # the only others: required arguments whose names were misspelt
    assert all("is missing" in p.message for p in found if p.key in missing)


def test_frame_component_and_override_mistakes_come_together():
    text = GOOD.replace("epochs: 2", "epoch: 2").replace("- CELoss:", "- CELos:")
    found = problems(text, "Arch.Head.scal=3", "Globl.epochs=1", "Optimizer.lr.learning_rate=x")
    places = {problem.where for problem in found}
    assert {"-o Arch.Head.scal=3", "-o Globl.epochs=1", "-o Optimizer.lr.learning_rate=x"} <= places
    assert any(where.startswith("run.yaml:2:") for where in places)
    assert any(p.key == "Loss.Train.0.CELos" for p in found)
    assert len(found) == 5


def test_an_override_with_an_unknown_name_is_told_as_the_override():
    (problem,) = problems(GOOD, "Arch.Backbone.name=test_resnt")
    assert problem.where == "-o Arch.Backbone.name=test_resnt"


def test_missing_arguments_and_sections():
    text = GOOD.replace("    class_num: 6\n", "").replace("  momentum: 0.9\n", "")
    found = {problem.key: problem.message for problem in problems(text)}
    # in the file's words or in ours
    wanted = found.get("Arch.Head.class_num") or found["Arch.Head.num_classes"]
    assert "is missing" in wanted
    assert "is missing" in found["Optimizer.momentum"]
    found = {problem.key: problem.message for problem in problems("Loss: {Train: []}\n")}
    assert set(found) == {"Global", "Arch", "Loss.Train"}


WRONG_SHAPES = [
    "Global: 5",
    "Global: [1]",
    "Arch: RecModel",
    "Arch.Backbone: ResNet50",
    "Arch.Backbone: {name: 5}",
    "Arch.Backbone: {name: [a], x: 1}",
    "Arch.Backbone: {}",
    "Arch.Neck: []",
    "Arch.Neck: {a: {}, b: {}}",
    "Arch.Head: {name: null}",
    "Arch.Head: {²: 1, name: ArcMargin, embedding_size: 4, class_num: 3}",
    "Arch.Head: {ArcMargin: [1]}",
    "Loss: []",
    "Loss.Train: {CELoss: {}}",
    "Loss.Train: [CELoss]",
    "Loss.Train: [[]]",
    "Loss.Train: [{CELoss: 5}]",
    "Loss.Train: [{CELoss: {}, SupConLoss: {}}]",
    "Optimizer: Momentum",
    "Optimizer: [Momentum]",
    "Optimizer: {Momentum: 5}",
    "Optimizer: {Momentum: [1]}",
    "Optimizer: {name: 5, lr: 0.1}",
    "Optimizer: {name: Momentum, momentum: 0.9}",
    "Optimizer: {name: Momentum, momentum: 0.9, lr: fast}",
    "Optimizer: {name: Momentum, momentum: 0.9, lr: [0.1]}",
    "Optimizer: {name: Momentum, momentum: 0.9, lr: {name: 5, learning_rate: 0.1}}",
    "Optimizer: {name: Momentum, momentum: 0.9, lr: {name: [1], learning_rate: 0.1}}",
    "Optimizer: {name: Momentum, momentum: 0.9, lr: 0.1, regularizer: L2}",
    "Optimizer: {name: Momentum, momentum: 0.9, lr: 0.1, regularizer: {name: L2, coeff: [1]}}",
    "Optimizer: {name: Momentum, momentum: 0.9, lr: 0.1, weight_decay: heavy}",
    "Optimizer: {name: Momentum, momentum: 0.9, lr: 0.1, clip_norm: tight}",
    "Optimizer: {name: Momentum, momentum: 0.9, lr: 0.1, clip_global_norm: [1]}",
    "Optimizer: {name: Momentum, momentum: 0.9, lr: 0.1, one_dim_param_no_weight_decay: maybe}",
    "DataLoader: 5",
    "DataLoader.Train: []",
    "DataLoader.Train.dataset: VeriWild",
    "DataLoader.Train.dataset: {name: VeriWild, image_root: a, cls_label_path: b, transform_ops: 5}",  # noqa: E501
    "DataLoader.Train.dataset: {name: VeriWild, image_root: a, cls_label_path: b, transform_ops: [X]}",  # noqa: E501
    "DataLoader.Train.dataset: {name: VeriWild, image_root: a, cls_label_path: b, transform_ops: [[]]}",  # noqa: E501
    "DataLoader.Train.sampler: X",
    "DataLoader.Train.sampler: {name: 3, batch_size: 8}",
    "DataLoader.Train.sampler: {name: null, batch_size: 8}",
    "DataLoader.Train.sampler: {name: [a], batch_size: 8}",
    "DataLoader.Train.sampler: {}",
    "DataLoader.Train.loader: 5",
    "DataLoader.Train.loader.num_workers: -1",
    "DataLoader.Eval: {}",
    "DataLoader.Eval: {Query: {dataset: {name: VeriWild}}}",
    "Metric: 5",
    "Metric.Eval: mAP",
    "Metric.Eval: [5]",
    "Arch.Backbone.frozen_statistics: maybe",
    "Arch.Head.weight_attr: 5",
    "Arch.Head.weight_attr: {initializer: {name: Normal, std: wide}}",
    "Arch.Head.weight_attr: {initializer: 5}",
    "Arch.Head.weight_attr: {regularizer: 5}",
    "Arch.Head.weight_attr: {regularizer: {name: L2Decay, coeff: x}}",
    "Arch.Head.weight_attr: {regularizer: {name: [L2Decay]}}",
    "Arch.Neck.weight_attr: {learning_rate: x}",
]


@pytest.mark.parametrize("assignment", WRONG_SHAPES)
def test_a_wrong_shape_anywhere_is_a_config_error_with_its_key(assignment):
    path, _, value = assignment.partition(": ")
    found = problems(GOOD, f"+{path}={value}")
    assert any(problem.key.startswith(path) for problem in found), [str(p) for p in found]
    for problem in found:
        assert problem.where
        assert len(str(problem)) < 1500


@pytest.mark.parametrize("value", ["no", "'false'", "'no'", "'False'"])
@pytest.mark.parametrize(
    "key", ["Arch.Backbone.frozen_statistics", "Optimizer.one_dim_param_no_weight_decay"]
)
def test_a_word_for_false_is_never_taken_as_true(tmp_path, key, value):
    """``bool('no')`` is True: such a word is read as False, or refused."""
    from lookalike.assembly.model import build_model
    from lookalike.assembly.parts import make_optimizer

    try:
        run = check(GOOD, f"{key}={value}")
        model = build_model(run.config.Arch, image_shape=[3, 32, 32]).model
        (spec,) = run.config.Optimizer
        optimizer = make_optimizer(spec, [model], epochs=1, steps_per_epoch=1)
    except ConfigError:
        return
    assert model.freeze_statistics is False
    groups = optimizer.optimizer.param_groups
    assert all(group["weight_decay"] > 0 for group in groups)


def test_two_words_for_one_argument_are_refused():
    found = problems(GOOD, "Arch.Head.num_classes=7")
    assert any("class_num" in p.key or "num_classes" in p.key for p in found)


def test_an_optimizer_scope_that_names_nothing_is_refused():
    found = problems(GOOD, "Optimizer.scope=Nothing")
    assert any(problem.key.startswith("Optimizer") for problem in found)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("Arch.Head.name", "os:system"),
        ("Arch.Backbone.name", "torch:load"),
        ("Arch.Neck.name", "subprocess:Popen"),
        ("Optimizer.name", "builtins:eval"),
        ("Optimizer.lr.name", "builtins:exec"),
        ("DataLoader.Train.dataset.name", "shutil:rmtree"),
        ("DataLoader.Train.sampler.name", "os.path:join"),
        ("Loss.Train.0", "{'pickle:loads': {}}"),
        ("Metric.Eval.0", "{'importlib:import_module': {}}"),
        ("DataLoader.Train.dataset.transform_ops.0", "{'webbrowser:open': {url: x}}"),
    ],
)
def test_an_import_path_needs_permission_everywhere(monkeypatch, kind, name):
    import importlib

    module = name.strip("{'").partition(":")[0]
    real = importlib.import_module

    def watch(path, package=None):
        assert path != module, "imported without permission"
        return real(path, package)

    monkeypatch.setattr(importlib, "import_module", watch)
    found = problems(GOOD, f"{kind}={name}")
    assert any(f"--allow-import {module.split('.')[0]}" in p.message for p in found)
    # permission for a module whose name only begins alike is none
    found = problems(GOOD, f"{kind}={name}", allow=[module[:-1], f"{module}x", f"{module}.sub"])
    assert any("--allow-import" in p.message for p in found)


@pytest.mark.parametrize(
    "name",
    [
        "v2.functional",
        "v2.",
        "v2.Lambda.__init__",
        "v2.os",
        "os.system",
        "__import__",
        ":",
        "a:",
        ":b",
        ".a:b",
        "..:x",
    ],
)
@pytest.mark.parametrize("place", ["Arch.Head.name", "transform"])
def test_no_other_spelling_reaches_code(name, place):
    if place == "transform":
        assignment = f"DataLoader.Train.dataset.transform_ops.0={{'{name}': {{}}}}"
    else:
        assignment = f"{place}='{name}'"
    for allow in ([], [""], ["os"]):
        assert problems(GOOD, assignment, allow=allow)


def test_allowed_import_paths(tmp_path, monkeypatch):
    (tmp_path / "own_parts.py").write_text(
        "def head(embedding_size: int, num_classes: int): ...\nNUMBER = 5\n"
    )
    (tmp_path / "own_broken.py").write_text("def broken(:\n")
    (tmp_path / "own_failing.py").write_text("raise RuntimeError('at import')\n")
    (tmp_path / "own_exit.py").write_text("import sys; sys.exit('at import')\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert check(GOOD, "Arch.Head={name: 'own_parts:head', embedding_size: 16, num_classes: 3}",
                 allow=["own_parts"])  # fmt: skip
    (problem,) = problems(GOOD, "Arch.Head={name: 'own_parts:head', embedding_size: 16, num_clases: 3, num_classes: 3}",  # noqa: E501
                          allow=["own_parts"])  # fmt: skip
    assert "'num_classes'" in problem.message
    for name, words in [
        ("own_parts:NUMBER", "not a class or function"),
        ("own_parts:nothing", "nothing"),
        ("own_absent:x", "own_absent"),
        ("own_broken:x", "invalid syntax"),
        ("own_failing:x", "at import"),
        ("own_exit:x", "at import"),
    ]:
        (problem,) = problems(GOOD, f"Arch.Head={{name: '{name}'}}", allow=[name.split(":")[0]])
        assert words in problem.message
        assert problem.key in ("Arch.Head", "Arch.Head.name")


def test_a_file_is_read_from_disk(tmp_path):
    (tmp_path / "run.yaml").write_text(GOOD.replace("margin: 0.15", "margn: 0.15"))
    with pytest.raises(ConfigError, match=rf"{tmp_path}/run\.yaml:19:5 .*margn.*'margin'"):
        load_run(tmp_path / "run.yaml")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Global: {train_mode: fixmatch_ccssl}\nArch: {}\n", "semi-supervised"),
        ("Global: {}\nArch: {}\nIndexProcess: {image_root: x}\n", "gallery2fc"),
    ],
)
def test_a_yaml_of_another_program_is_refused_in_one_sentence(text, reason):
    with pytest.raises(ConfigError, match=reason) as caught:
        check_document(read_yaml_text(text))
    assert len(caught.value.problems) == 1
