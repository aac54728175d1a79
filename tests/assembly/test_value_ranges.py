"""Values that nothing can mean are refused by check, for every component that takes them."""

import importlib
import inspect

import pytest

from lookalike.assembly.catalog import CATALOG
from lookalike.assembly.load import load_run
from lookalike.assembly.prepare import prepare_part
from lookalike.assembly.value_ranges import RANGES
from lookalike.errors import ConfigError

OUTSIDE = {
    name: [value for value in (-3, 0, 1, 7, 0.5) if value not in allowed]
    for name, allowed in RANGES.items()
}


def takers():
    """Yield each catalogued component with an argument that has a range."""
    for kind, rows in CATALOG.items():
        if kind == "backbone":
            continue
        for name, path in rows.items():
            module, attribute = path.split(":")
            target = getattr(importlib.import_module(module), attribute)
            for argument in inspect.signature(target).parameters:
                if argument in RANGES:
                    yield kind, name, argument


@pytest.mark.parametrize(("kind", "name", "argument"), list(takers()))
def test_every_component_refuses_values_out_of_range(kind, name, argument):
    assert OUTSIDE[argument]
    for value in OUTSIDE[argument]:
        given = [value] if argument in ("values", "student_channels") else value
        _, problems = prepare_part(kind, name, {argument: given})
        assert any(word == argument and "expected; got" in text for word, text in problems), (
            problems
        )


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("Optimizer.lr.learning_rate=-0.01", "Optimizer.lr.learning_rate"),
        ("Optimizer.momentum=1.5", "Optimizer.momentum"),
        (
            "DataLoader.Train.dataset.transform_ops.2.AugMix.prob=-3",
            "DataLoader.Train.dataset.transform_ops.2.AugMix.prob",
        ),
        (
            "DataLoader.Train.dataset.transform_ops.4.RandomErasing.EPSILON=7",
            "DataLoader.Train.dataset.transform_ops.4.RandomErasing.EPSILON",
        ),
        ("DataLoader.Train.sampler.batch_size=0", "DataLoader.Train.sampler.batch_size"),
        ("Arch.Head.class_num=0", "Arch.Head.class_num"),
        ("Loss.Train.0.CELoss.weight=.nan", "Loss.Train.0.CELoss.weight"),
    ],
)
def test_the_key_of_the_yaml_is_named(tiny, override, key):
    with pytest.raises(ConfigError) as caught:
        load_run(tiny / "run.yaml", [override])
    assert any(problem.key == key for problem in caught.value.problems), str(caught.value)
