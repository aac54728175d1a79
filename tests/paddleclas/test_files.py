"""Files of the reference are read completely, and files made to harm do nothing but fail."""

import io
import pickle
import resource
import struct
import subprocess
import sys
import time
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lookalike.errors import CheckpointError
from lookalike.paddleclas.files import read_reference, reference_file
from lookalike.paddleclas.pickles import NAMES_KEY, SLICES_KEY, read_pickle
from lookalike.paddleclas.tensor_files import read_exported
from lookalike.pickles import Machine

STATE = {
    "fc.weight": np.arange(6, dtype=np.float32).reshape(3, 2),
    "bn._mean": np.array([0.5, -1.0], dtype=np.float32),
    "steps": np.array(7, dtype=np.int64),
    "t": np.asfortranarray(np.arange(4, dtype=np.float64).reshape(2, 2)),
    NAMES_KEY: {"fc.weight": "linear_0.w_0", "bn._mean": "batch_norm1d_0.w_1"},
}


def written(path, value, protocol=4):
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_gives_the_arrays(tmp_path, protocol):
    found = read_reference(written(tmp_path / "a.pdparams", STATE, protocol))
    assert found.parameter_names["fc.weight"] == "linear_0.w_0"
    assert set(found.arrays) == set(STATE) - {NAMES_KEY}
    for key, array in found.arrays.items():
        assert array.dtype == STATE[key].dtype
        np.testing.assert_array_equal(array, STATE[key])


def test_arrays_of_the_other_byte_order_and_bfloat16(tmp_path):
    big = np.array([1.0, 2.5], dtype=">f4")
    bits = (np.array([1.0, -2.0], dtype=np.float32).view(np.uint32) >> 16).astype(np.uint16)
    path = written(tmp_path / "a.pdparams", {"big": big, "half": bits})
    found = read_reference(path).arrays
    assert found["big"].dtype == np.dtype("=f4")
    assert found["big"].tolist() == [1.0, 2.5]
    assert found["half"].tolist() == [1.0, -2.0]


def test_tensors_written_as_name_and_array(tmp_path):
    """As an optimiser's state has them: a call of tuple with the name and the array."""

    class Tensor:
        def __reduce__(self):
            return tuple, (("linear_0.w_0_velocity_0", np.ones(2, dtype=np.float32)),)

    saved = [OrderedDict(velocity=Tensor(), LR_Scheduler={"last_epoch": 3, "last_lr": 0.1})]
    (state,) = read_pickle(written(tmp_path / "a.pdopt", saved))
    assert state["velocity"][0] == "linear_0.w_0_velocity_0"
    assert state["velocity"][1].tolist() == [1.0, 1.0]
    assert state["LR_Scheduler"] == {"last_epoch": 3, "last_lr": 0.1}


def test_large_tensors_in_slices(tmp_path):
    about = {"w": {"OriginShape": [2, 3], "slices": ["w@@.0", "w@@.1"]}}
    saved = {"w@@.0": np.arange(4.0), "w@@.1": np.arange(4.0, 6.0), SLICES_KEY: about}
    assert read_pickle(written(tmp_path / "a", saved, 2))["w"].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_what_a_path_means(tmp_path):
    written(tmp_path / "best_model.pdparams", STATE)
    (tmp_path / "best_model").mkdir()
    written(tmp_path / "best_model" / "model.pdparams", STATE)
    for meant in ("best_model.pdparams", "best_model"):
        assert read_reference(reference_file(tmp_path / meant)).arrays["steps"] == 7
    assert reference_file(tmp_path / "nothing") is None
    assert reference_file(tmp_path / "nothing.pdema").suffix == ".pdema"  # and its absence is told
    with pytest.raises(CheckpointError, match=r"nothing\.pdema: no such file"):
        read_reference(tmp_path / "nothing.pdema")


def test_the_wrong_file_is_told(tmp_path):
    states = written(tmp_path / "a.pdparams", {"metric": 0.5, "epoch": 3})
    with pytest.raises(CheckpointError, match="'metric' is a float, not a tensor; give the .pdpar"):
        read_reference(states)
    with pytest.raises(CheckpointError, match="holds a list"):
        read_reference(written(tmp_path / "b.pdparams", [STATE]))
    with pytest.raises(CheckpointError, match="holds no tensors"):
        read_reference(written(tmp_path / "c.pdparams", {}))
    (tmp_path / "d.pdparams").write_bytes(b"")
    with pytest.raises(CheckpointError, match="the file is empty"):
        read_reference(tmp_path / "d.pdparams")


class Call:
    """Pickles as a call of anything."""

    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


class Stateful:
    def __init__(self, function, args, state):
        self.made = function, args, state

    def __reduce__(self):
        return self.made


def op(*parts):
    return b"".join(parts) + b"."


U, PROTO = pickle.SHORT_BINUNICODE, b"\x80\x04"


def name(module, attribute):
    texts = [U + bytes([len(text)]) + text.encode() for text in (module, attribute)]
    return b"".join(texts) + pickle.STACK_GLOBAL


def harmful():
    """Files that would run code, take all memory, or never end, by what they try."""
    marker = "open('RAN','w').close()"
    array = (np.ndarray, (0,), b"b")
    reconstruct = np.zeros(1).__reduce__()[0]
    dump = pickle.dumps
    shared = []
    for _ in range(60):
        shared = [shared, shared]
    yield "system", dump(Call(__import__("os").system, "touch RAN"))
    yield "eval", dump(Call(eval, marker))
    yield "exec", dump(Call(exec, marker))
    yield "getattr", dump(Call(getattr, {}, "clear"))
    yield "popen", dump(Call(subprocess.Popen, ["touch", "RAN"]))
    yield "protocol 0", b"cos\nsystem\n(S'touch RAN'\ntR."
    yield "dotted name", op(PROTO, name("numpy", "ndarray.__class__"), b")R")
    yield "dunder", op(PROTO, name("numpy", "__builtins__"), b")R")
    yield "numpy.load", op(PROTO, name("numpy", "load"), U + b"\x01x", b"\x85R")
    yield "instance", b"(ios\nsystem\n."
    yield "object", b"(cos\nsystem\nS'touch RAN'\no."
    yield "new object", op(PROTO, name("subprocess", "Popen"), b")\x81")
    yield "extension", op(PROTO, b"\x82\x01")
    yield "outside", op(PROTO, U + b"\x01x", b"Q")
    yield "objects in an array", dump(np.array([Call(eval, marker)], dtype=object))
    yield "plain objects", dump({"w": np.array(["a", None], dtype=object)})
    yield "records", dump({"w": np.zeros(2, dtype=[("a", "f4")])})
    yield "texts", dump({"w": np.array(["abc"])})
    for what, shape, data in (
        ("too few bytes", (2**40,), b"abcd"),
        ("negative", (-1, -4), b"abcd" * 4),
        ("huge", (2**62, 2**62), b""),
    ):
        state = (1, shape, np.dtype("f4"), False, data)
        yield f"array: {what}", dump({"w": Stateful(reconstruct, array, state)})
    yield "array: no content", dump({"w": Call(reconstruct, *array)})
    yield (
        "array: list for bytes",
        dump({"w": Stateful(reconstruct, array, (1, (1,), np.dtype("f4"), False, [1, 2]))}),
    )
    yield "a place far away", op(PROTO, b"N", b"r" + struct.pack("<I", 2**32 - 2))
    yield "a long text", op(PROTO, b"\x8d" + struct.pack("<Q", 2**62) + b"x")
    yield "long bytes", op(PROTO, b"\x8e" + struct.pack("<Q", 2**62) + b"x")
    yield "a long frame", op(PROTO, b"\x95" + struct.pack("<Q", 2**62) + b"x")
    yield "a long array of bytes", op(PROTO, b"\x96" + struct.pack("<Q", 2**62) + b"x")
    yield "sharing without end", dump({"w": shared})
    yield "deep", PROTO + b"]" * 100_000 + b"a" * 99_999 + b"."
    itself = []
    itself.append(itself)
    yield "itself", dump({"w": itself})
    yield "a state for a dictionary", op(PROTO, b"}", b"}", b"b")
    yield "not a pickle", b"\x00" * 100
    yield "text", b"hello"
    yield "safetensors", struct.pack("<Q", 2) + b"{}"
    yield "zip", b"PK\x03\x04" + b"\x00" * 60
    yield "a number without end", b"I" + b"9" * 100_000 + b"\n."
    yield "codec", op(PROTO, name("_codecs", "encode"), U + b"\x01x", U + b"\x03zip", b"\x86R")
    yield "tuple of a mapping", op(PROTO, name("builtins", "tuple"), b"}\x85R")
    yield "complex", dump({"w": 1j})
    yield "a set", dump({"w": {1, 2}})
    yield "bytes as key", dump({b"w": 1})
    yield "a stand-in alone", op(PROTO, name("numpy", "dtype"))
    yield "stop at once", PROTO + b"."


HARMFUL = list(harmful())


@pytest.mark.parametrize(("what", "content"), HARMFUL, ids=[what for what, _ in HARMFUL])
def test_a_harmful_file_is_refused_and_nothing_happens(tmp_path, monkeypatch, what, content):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.pdparams").write_bytes(content)
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    with pytest.raises(CheckpointError, match=r"a\.pdparams: "):
        read_reference(tmp_path / "a.pdparams")
    assert time.monotonic() - started < 60  # a bound on hanging, not a measure of speed
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 1_500_000, f"{grown} kB"
    assert not (tmp_path / "RAN").exists()


def test_the_refusal_names_what_was_asked_for(tmp_path):
    path = tmp_path / "a.pdparams"
    path.write_bytes(pickle.dumps(Call(eval, "1")))
    with pytest.raises(CheckpointError, match=r"asks for builtins\.eval.*nothing of it was run"):
        read_reference(path)


def survives(path, reader):
    """Read a damaged file: it is refused, or something plain comes out."""
    try:
        return reader(path)
    except CheckpointError as error:
        return error


def test_every_truncation_is_refused(tmp_path):
    whole = pickle.dumps(STATE, protocol=4)
    path = tmp_path / "a.pdparams"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert isinstance(survives(path, read_reference), CheckpointError), length


@settings(max_examples=400, deadline=None)
@given(flips=st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), min_size=1, max_size=4))
def test_flipped_bytes_never_escape(tmp_path_factory, flips):
    content = bytearray(pickle.dumps(STATE, protocol=4))
    for place, value in flips:
        content[place % len(content)] = value
    path = tmp_path_factory.mktemp("flip") / "a.pdparams"
    path.write_bytes(bytes(content))
    survives(path, read_reference)


@settings(max_examples=400, deadline=None)
@given(content=st.binary(max_size=200))
def test_noise_never_escapes(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("noise")
    (folder / "a.pdparams").write_bytes(content)
    survives(folder / "a.pdparams", read_reference)
    (folder / "inference.pdiparams").write_bytes(content)
    (folder / "inference.pdmodel").write_bytes(content)
    survives(folder / "inference.pdiparams", read_exported)


def dense(array):
    """A tensor as the exported format has it."""
    kinds = {"float32": 5, "int64": 3, "uint16": 22}
    about = b"\x08" + bytes([kinds[str(array.dtype)]])
    about += b"".join(b"\x10" + bytes([size]) for size in array.shape)
    head = struct.pack("<IQIi", 0, 0, 0, len(about))
    return head + about + array.tobytes()


def message(field, content):
    return bytes([field << 3 | 2, len(content)]) + content


def exported(folder, names, arrays):
    tensors = b"".join(dense(array) for _, array in sorted(zip(names, arrays, strict=True)))
    (folder / "inference.pdiparams").write_bytes(tensors)
    return folder / "inference.pdiparams"


NAMES = ["linear_0.w_0", "conv2d_0.w_0"]
ARRAYS = [np.ones((2, 3), dtype=np.float32), np.zeros((1, 2, 2, 2), dtype=np.float32)]


def test_an_exported_model_with_either_program(tmp_path):
    path = exported(tmp_path, NAMES, ARRAYS)
    (tmp_path / "inference.json").write_text(
        '{"ops": [{"#": "p", "A": [0, 1, "linear_0.w_0"]}, {"#": "p", "A": ["conv2d_0.w_0"]}]}'
    )
    from_json = read_exported(path)
    (tmp_path / "inference.json").unlink()
    variables = [message(1, name.encode()) + b"\x18\x01" for name in [*NAMES, "feed", "fetch"]]
    block = b"".join(message(3, variable) for variable in variables)
    (tmp_path / "inference.pdmodel").write_bytes(message(1, block))
    for found in (from_json, read_exported(path)):
        assert found["linear_0.w_0"].tolist() == ARRAYS[0].tolist()
        assert found["conv2d_0.w_0"].shape == (1, 2, 2, 2)
    assert read_reference(path).numbered


def test_an_export_that_does_not_fit_its_program(tmp_path):
    path = exported(tmp_path, NAMES, ARRAYS)
    with pytest.raises(CheckpointError, match=r"put inference\.json or inference\.pdmodel beside"):
        read_exported(path)
    (tmp_path / "inference.json").write_text('{"#": "p", "A": ["linear_0.w_0"]}')
    with pytest.raises(CheckpointError, match="holds 2 tensors, the program beside it names 1"):
        read_exported(path)
    (tmp_path / "inference.json").write_text('{"#": "p", "A": ["linear_0.w_0", "conv2d_0.w_0"]}')
    whole = path.read_bytes()
    for length in range(1, len(whole)):
        path.write_bytes(whole[:length])
        assert isinstance(survives(path, read_exported), CheckpointError), length


def test_reading_imports_no_torch(tmp_path):
    written(tmp_path / "a.pdparams", STATE)
    code = (
        "import sys; from pathlib import Path; "
        "from lookalike.paddleclas.files import read_reference; "
        "read_reference(Path('a.pdparams')); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


def test_our_machine_is_the_one_in_python():
    assert issubclass(Machine, pickle._Unpickler)
    assert Machine(io.BytesIO(pickle.dumps([1])), {}, 1000).load() == [1]
