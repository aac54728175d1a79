"""``-o``: values of any spelling, and typos at every level answered with the nearest name."""

import pytest

from lookalike.config import read_yaml_text
from lookalike.config.check import allowed_keys
from lookalike.config.overrides import apply_overrides

TEXT = """\
Global: {epochs: 2, image_shape: [3, 32, 32]}
Arch:
  Backbone: {name: test_resnet}
  Head: {name: ArcMargin, class_num: 6}
Loss:
  Train:
    - CELoss: {weight: 1.0}
    - name: SupConLoss
      views: 2
Optimizer: {name: Momentum, lr: {name: Cosine, learning_rate: 0.1}}
DataLoader:
  Train:
    dataset:
      name: VeriWild
      transform_ops:
        - ResizeImage: {size: 32}
    sampler: {name: X, batch_size: 8}
  Eval:
    Query: &eval {dataset: {name: VeriWild, image_root: a}, sampler: {batch_size: 4}}
    Gallery: *eval
Metric:
"""


def apply(*texts):
    document = read_yaml_text(TEXT, file="run.yaml")
    return document, apply_overrides(document, texts, knows=allowed_keys)


def value_at(document, path):
    node = document.data
    for part in path.split("."):
        node = node[int(part)] if isinstance(node, list) else node[part]
    return node


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Global.epochs=5", 5),
        ("Global.epochs =5", 5),
        ("Global.epochs= 5 ", 5),
        ("Global.epochs=", None),
        ("Global.epochs=null", None),
        ("Global.epochs=None", None),
        ("Global.epochs=~", None),
        ("Global.output_dir=./a=b/c==d", "./a=b/c==d"),
        ("Global.output_dir=s3://x?y=z&w=1", "s3://x?y=z&w=1"),
        ("Global.output_dir=中文/é", "中文/é"),
        ("Global.output_dir='007'", "007"),
        ("Global.output_dir=a b", "a b"),
        ("Global.output_dir=C:\\runs", "C:\\runs"),
        ("Global.use_visualdl=True", True),
        ("Global.image_shape=[3, 8, 8]", [3, 8, 8]),
        ("Global.image_shape.2=64", 64),
        ("Loss.Train.0.CELoss.weight=1e-3", 0.001),
        ("Loss.Train.0.CELoss.epsilon=0.1", 0.1),
        ("Loss.Train.1.views=4", 4),
        ("Loss.Train.1.temperature=4", 4),
        ("Loss.Train.0={MyLoss: {a: [1]}}", {"MyLoss": {"a": [1]}}),
        ("Arch.Head=null", None),
        ("Arch.Head.margin=0.3", 0.3),
        ("Arch.Neck={name: FC}", {"name": "FC"}),
        ("Arch.Neck.name=FC", "FC"),
        ("Optimizer.lr.learning_rate=.5", 0.5),
        ("Optimizer.regularizer={name: L2, coeff: 5e-4}", {"name": "L2", "coeff": 0.0005}),
        ("DataLoader.Train.dataset.transform_ops.0.ResizeImage.size=8", 8),
        ("DataLoader.Train.loader.num_workers=0", 0),
        ("DataLoader.Eval.Query.sampler.batch_size=16", 16),
        ("Metric.Eval=[{mAP: {}}]", [{"mAP": {}}]),
        ("+Arch.Backbone.extra=1", 1),
    ],
)
def test_assignments(text, value):
    document, problems = apply(text)
    assert problems == []
    found = value_at(document, text.removeprefix("+").partition("=")[0].strip())
    assert found == value
    assert type(found) is type(value)


def test_an_override_changes_one_use_of_an_anchor():
    document, problems = apply("DataLoader.Eval.Query.dataset.image_root=b")
    assert problems == []
    assert value_at(document, "DataLoader.Eval.Gallery.dataset.image_root") == "a"


def test_the_last_assignment_wins():
    document, problems = apply("Global.epochs=5", "Global.epochs=6")
    assert problems == []
    assert value_at(document, "Global.epochs") == 6


def test_all_mistakes_are_told_at_once():
    _, problems = apply("Global.epoch=1", "Global.seed=4", "nonsense", "Arc.Head.margin=1")
    assert len(problems) == 3


@pytest.mark.parametrize(
    ("text", "hints"),
    [
        ("Globl.epochs=3", ["'Globl' is unknown", "'Global'"]),
        ("Global.epoch=3", ["'epoch' is unknown in Global", "'epochs'"]),
        ("Arch.Hed.class_num=3", ["'Hed' is unknown in Arch", "'Head'"]),
        ("Loss.Tain.0.CELoss.weight=3", ["'Tain' is unknown in Loss", "'Train'"]),
        ("Loss.Train.0.CELos.weight=3", ["'CELos' is unknown in Loss.Train.0", "'CELoss'"]),
        ("Loss.Train.0.weight=3", ["'weight' is unknown in Loss.Train.0", "CELoss"]),
        ("Loss.Train.2.CELoss.weight=3", ["list of 2", "'2'"]),
        ("Loss.Train.-1.CELoss.weight=3", ["list of 2", "'-1'"]),
        ("Loss.Train.first.weight=3", ["list of 2", "'first'"]),
        ("Loss.Train.².views=3", ["list of 2", "'²'"]),
        ("Global.image_shape.3=3", ["list of 3", "'3'"]),
        ("DataLoader.Trian.sampler.batch_size=3", ["'Trian' is unknown", "'Train'"]),
        ("DataLoader.Train.samplr.batch_size=3", ["'samplr' is unknown", "'sampler'"]),
        ("DataLoader.Train.loader.num_worker=3", ["'num_worker' is unknown", "'num_workers'"]),
        ("DataLoader.Train.dataset.transform_op.0.x=3", ["'transform_op'", "'transform_ops'"]),
        ("DataLoader.Train.dataset.transform_ops.0.ResizeImag.size=3", ["'ResizeImage'"]),
        ("Global.epochs.x=3", ["'Global.epochs' is a single value"]),
        ("Optimizer.0.lr.learning_rate=3", ["'0'", "Optimizer"]),
        ("Global.epochs", ["Section.key=value"]),
        ("=3", ["Section.key=value"]),
        ("", ["Section.key=value"]),
        ("Global.=3", ["Section.key=value"]),
        (".epochs=3", ["Section.key=value"]),
        ("Global..epochs=3", ["Section.key=value"]),
        ("+=3", ["Section.key=value"]),
    ],
)
def test_typos_are_answered(text, hints):
    _, problems = apply(text)
    assert len(problems) == 1
    message = str(problems[0])
    assert f"-o {text}" in message
    for hint in hints:
        assert hint in message


@pytest.mark.parametrize(
    "value",
    ["[1", "{a", "'x", "@x", "!!python/object/apply:os.system ['id']", "*a", "a: b: c", "# x"],
)
def test_a_value_that_is_no_yaml_names_its_assignment(value):
    _, problems = apply("Global.seed=1", f"Global.epochs={value}")
    assert len(problems) == 1
    assert f"Global.epochs={value}" in str(problems[0]), "which of the -o was it?"


def test_a_refused_assignment_changes_nothing():
    document, problems = apply("Arch.Hed.x.y=1", "Global.epochs={a: *b}", "Loss.Train.7=1")
    assert len(problems) == 3
    assert document.data == read_yaml_text(TEXT).data


def test_a_half_written_path_leaves_no_empty_section_behind():
    document, problems = apply("Arch.Neck.bias_attr.x=[1")
    assert problems
    assert document.data == read_yaml_text(TEXT).data
