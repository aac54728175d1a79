"""Weights are compared by name, shape, type and number before any of them is copied."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from lookalike.errors import CheckpointError
from lookalike.models.loading import load_state
from lookalike.models.weights import read_weights


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))


def refusal(state, **options):
    module = model()
    before = {key: tensor.clone() for key, tensor in module.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        load_state(module, state, source="w.pth", **options)
    for key, tensor in module.state_dict().items():
        assert torch.equal(tensor, before[key]), key
    return str(caught.value)


def changed(key, change):
    return {**model().state_dict(), key: change(model().state_dict()[key])}


@pytest.mark.parametrize(
    "dtype", [torch.int8, torch.uint8, torch.int32, torch.bool, torch.complex64]
)
def test_another_type_is_refused_with_both_types(dtype):
    message = refusal(changed("0.weight", lambda tensor: tensor.to(dtype)))
    assert f"0.weight is {str(dtype).removeprefix('torch.')}, the model's is float32" in message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda tensor: tensor.to_sparse(), "0.weight is sparse, the model's is dense"),
        (lambda tensor: tensor.to("meta"), "0.weight is a meta tensor, without numbers"),
        (
            lambda tensor: torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8),
            "0.weight is qint8, the model's is float32",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_tensors_that_are_not_plain_are_refused(change, words):
    assert words in refusal(changed("0.weight", change))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_are_converted(dtype):
    module, state = model(), {k: t.to(dtype) if t.is_floating_point() else t
                              for k, t in model().state_dict().items()}  # fmt: skip
    load_state(module, state, source="w.pth")
    assert torch.equal(module[0].weight.data, state["0.weight"].float())


def test_a_counter_may_be_another_integer():
    module = model()
    load_state(module, changed("1.num_batches_tracked", lambda t: (t + 7).int()), source="w.pth")
    assert int(module[1].num_batches_tracked) == 7


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("0.weight", float("nan"), "0.weight holds 1 NaN (of 12 numbers)"),
        ("0.bias", float("inf"), "0.bias holds 1 infinite (of 3 numbers)"),
        ("1.running_mean", float("-inf"), "1.running_mean holds 1 infinite (of 3 numbers)"),
        ("1.running_var", -0.5, "1.running_var holds 1 negative (of 3 numbers)"),
    ],
)
def test_numbers_that_no_model_has_are_refused_with_their_count(key, value, words):
    def put(tensor):
        tensor.view(-1)[1] = value
        return tensor

    assert words in refusal(changed(key, put))


def test_numbers_too_large_for_the_models_type_are_refused():
    message = refusal(changed("0.bias", lambda tensor: tensor.double() + 1e300))
    assert "0.bias holds 3 too large for float32 (of 3 numbers)" in message


@pytest.mark.parametrize(
    ("key", "shown"),
    [("", "''"), (" ", "' '"), ("a\nb", r"'a\nb'"), ("a\u2028b", r"'a\u2028b'"), ("\0", r"'\x00'")],
)
def test_odd_names_are_quoted(key, shown):
    message = refusal({**model().state_dict(), key: torch.zeros(1)})
    assert "left over           1" in message
    assert f"      {shown}\n" in message


def test_a_name_of_many_letters_is_cut():
    assert len(refusal({**model().state_dict(), "x" * 100_000: torch.zeros(1)})) < 2000


def test_a_pattern_allows_what_does_not_fit():
    state = changed("0.weight", lambda tensor: tensor.int())
    report = load_state(model(), state, source="w.pth", allow_missing=["0.*"])
    assert list(report.other_type) == ["0.weight"]
    assert not report.complete


def test_two_tensors_of_one_name_are_refused(tmp_path):
    state = {"module.a": torch.zeros(1), "a": torch.ones(1)}
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="holds two tensors for a"):
        read_weights(tmp_path / "w.pth")
    save_file({"a": torch.zeros(1)}, tmp_path / "w.safetensors")
    assert list(read_weights(tmp_path / "w.safetensors")) == ["a"]
