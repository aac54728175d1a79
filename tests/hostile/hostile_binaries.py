"""Weights, checkpoints, exports and tables that were made to do harm, by name.

Each is ``(reader, make, exit code)``; ``make`` writes the file, or the folder, at a path. Whatever
runs code leaves a folder ``RAN`` in the working directory.
"""

import codecs
import collections
import hashlib
import io
import json
import os
import pickle
import struct
import tarfile
import zipfile

import numpy as np
import torch
from safetensors.torch import save_file

DATA, CHECKPOINT, EXPORT = 3, 6, 7
CONFIG, SETUP = 2, 4


class Call:
    """Pickles as a call of anything, by default one that leaves a trace."""

    def __init__(self, function=os.mkdir, *args):
        self.made = function, args or ("RAN",)

    def __reduce__(self):
        return self.made


class Stateful(Call):
    """Pickles as a call whose result is then given a state."""

    def __init__(self, state, function, *args):
        self.made = function, args, state


def content(data):
    return lambda path: path.write_bytes(data)


def weights(data, reader="weights"):
    return (reader, content(data), CHECKPOINT)


def safetensors(header, data=b"", size=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text + data


def claim(shape, start=0, stop=8, kind="F32"):
    return {"w": {"dtype": kind, "shape": shape, "data_offsets": [start, stop]}}


def archive(members, compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression, compresslevel=1) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return buffer.getvalue()


def torch_zip(data, **more):
    files = {"a/data.pkl": data, "a/byteorder": b"little", "a/version": b"3\n", **more}
    return archive(files, zipfile.ZIP_DEFLATED)


def saved(value):
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def tar(*names):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        for name in names:
            about = tarfile.TarInfo(name)
            about.size = 4
            file.addfile(about, io.BytesIO(b"code"))
    return buffer.getvalue()


def claiming(data, size):
    """Let the directory of a zip file claim another size of its first member."""
    place = data.index(b"PK\x01\x02") + 24
    return data[:place] + struct.pack("<I", size) + data[place + 4 :]


def npy(kind="<f4", shape=(2, 2), data=b"\0" * 16):
    text = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape}, }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(text)) + text.encode() + data


def objects():
    buffer = io.BytesIO()
    np.save(buffer, np.array([Call()], dtype=object), allow_pickle=True)
    return buffer.getvalue()


ZEROS = bytes(100_000_000)
GOOD = saved({"w": torch.zeros(4, 4)})
LABELS = npy("<i8", (2,), b"\0" * 16)

SAFETENSORS = {
    "empty.safetensors": weights(b""),
    "cut.safetensors": weights(safetensors(claim([2]), b"\0" * 8)[:-3]),
    "header_of_2_60.safetensors": weights(safetensors({}, size=2**60)),
    "header_of_2_64.safetensors": weights(safetensors({}, size=2**64 - 1)),
    "tensor_of_2_60.safetensors": weights(safetensors(claim([2**30, 2**30], 0, 2**62), b"\0" * 8)),
    "sizes_overflow.safetensors": weights(safetensors(claim([2**32, 2**32, 2**32]), b"\0" * 8)),
    "offset_negative.safetensors": weights(safetensors(claim([2], -8, 0), b"\0" * 8)),
    "type_unknown.safetensors": weights(safetensors(claim([2], kind="CODE"), b"\0" * 8)),
    "nested.safetensors": weights(safetensors(b"[" * 100_000)),
    "no_json.safetensors": weights(safetensors(b"hello, world")),
    "pickle.safetensors": weights(pickle.dumps(Call())),
}
TORCH = {
    "empty.pt": weights(b""),
    "text.pt": weights(b"hello"),
    "system.pt": weights(pickle.dumps({"w": Call()}, protocol=2)),
    "system_zip.pt": weights(saved({"w": Call()})),
    "eval.pt": weights(saved({"w": Call(eval, "__import__('os').mkdir('RAN')")})),
    "import.pt": weights(b"cos\nmkdir\n(S'RAN'\ntR."),
    "cut.pt": weights(GOOD[: len(GOOD) // 2]),
    "middle_lost.pt": weights(GOOD[:200] + b"\0" * 200 + GOOD[400:]),
    "script.pt": weights(archive({"a/constants.pkl": b"", "a/data.pkl": b"", "a/code/x.py": b""})),
    "bomb.pt": weights(torch_zip(ZEROS)),
    "bomb_beside.pt": weights(torch_zip(b"\x80\x02}.", **{"a/data/0": ZEROS})),
    "claims_4_gigabytes.pt": weights(claiming(torch_zip(b"\x80\x02}."), 2**32 - 2)),
    "parent.zip.pt": weights(archive({"../../RAN": b"x", "/tmp/RAN": b"x"})),
    "parent.tar.pt": weights(tar("../RAN", "storages", "tensors", "pickle")),
    "a_list.pt": weights(saved([torch.zeros(1)])),
    "names_are_numbers.pt": weights(saved({0: torch.zeros(1)})),
    "deep.pt": weights(b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."),
    "long_bytes.pt": weights(b"\x80\x04\x8e" + struct.pack("<Q", 2**60) + b"x."),
    "a_place_far_away.pt": weights(b"\x80\x02Nr" + struct.pack("<I", 2**32 - 2) + b"."),
    "pipe.pt": ("weights", lambda path: os.mkfifo(path), CHECKPOINT),
    "circle.pt": ("weights", lambda path: path.symlink_to(path.name), CHECKPOINT),
}


def reference(value, protocol=2):
    data = value if isinstance(value, bytes) else pickle.dumps(value, protocol=protocol)
    return weights(data, "reference")


def doubling():
    shared = ["x"]
    for _ in range(60):
        shared = [shared, shared]
    return shared


def copies(function, *args):
    """Let each of 2,000 calls make a copy of what the file holds once."""
    call = Call(function, *args)
    parts = [Call(*call.made[:1], *call.made[1]) for _ in range(2000)]
    return {"w": parts}


RECONSTRUCT = np.zeros(1).__reduce__()[0]
WEIGHT = np.zeros(1_000_000, dtype=np.uint16)
PDPARAMS = {
    "system.pdparams": reference({"w": Call()}),
    "popen.pdparams": reference({"w": Call(__import__("subprocess").Popen, ["mkdir", "RAN"])}),
    "getattr.pdparams": reference({"w": Call(getattr, {}, "clear")}),
    "import.pdparams": reference(b"cos\nmkdir\n(S'RAN'\ntR."),
    "objects.pdparams": reference({"w": np.array([Call()], dtype=object)}),
    "text_encoded_over_and_over.pdparams": reference(copies(codecs.encode, "x" * 10**6, "latin1")),
    "list_copied_over_and_over.pdparams": reference(copies(tuple, [0] * 100_000)),
    "mapping_copied_over_and_over.pdparams": reference(
        copies(collections.OrderedDict, dict.fromkeys(range(20_000)))
    ),
    "one_array_under_many_names.pdparams": reference({f"w{n}": WEIGHT for n in range(5000)}),
    "type_that_doubles.pdparams": reference({"w": Call(np.dtype, doubling())}),
    "encoding_that_doubles.pdparams": reference({"w": Call(codecs.encode, "x", doubling())}),
    "sides_without_end.pdparams": reference(
        {
            "w": Stateful(
                (1, (2**63 - 1,) * 300_000, np.dtype("f4"), False, b""),
                RECONSTRUCT,
                np.ndarray,
                (0,),
                b"b",
            )
        }
    ),
    "key_of_10000_digits.pdparams": reference({10**10_000: np.zeros(1)}),
    "number_of_10000_digits.pdparams": reference({"w": 10**10_000}),
    "names_are_a_number.pdparams": reference({"w": np.zeros(1), "StructuredToParameterName@@": 5}),
    "long_doubles.pdparams": reference({"w": np.zeros(2, dtype=np.longdouble)}),
    "complex.pdparams": reference({"w": np.zeros(2, dtype=complex)}),
    "slices_missing.pdparams": reference({"UnpackBigParamInfor@@": {"w": {"slices": ["a"]}}}),
    "slices_no_mapping.pdparams": reference({"UnpackBigParamInfor@@": [1, 2]}),
    "cut.pdparams": reference(pickle.dumps({"w": np.zeros(9)})[:-20]),
    "pipe.pdparams": ("reference", lambda path: os.mkfifo(path), CHECKPOINT),
}


def exported_reference(program, tensors, suffix=".json"):
    def make(path):
        path.with_suffix(suffix).write_bytes(program)
        path.write_bytes(tensors)

    return ("reference", make, CHECKPOINT)


def tensor(description, data=b"", levels=0):
    head = struct.pack("<IQI", 0, levels, 0)
    return head + struct.pack("<i", len(description)) + description + data


NAMED = b'{"#": "p", "A": ["w"]}'
PDIPARAMS = {
    "program_missing.pdiparams": ("reference", content(b""), CHECKPOINT),
    "levels_2_60.pdiparams": exported_reference(NAMED, tensor(b"\x08\x05", levels=2**60)),
    "sides_2_63.pdiparams": exported_reference(
        NAMED, tensor(b"\x08\x05" + b"\x10" + b"\xff" * 8 + b"\x7f")
    ),
    "sides_without_end.pdiparams": exported_reference(
        NAMED, tensor(b"\x08\x05" + (b"\x10" + b"\xff" * 8 + b"\x7f") * 50_000)
    ),
    "length_negative.pdiparams": exported_reference(NAMED, b"\0" * 16 + b"\xff" * 4),
    "program_nested.pdiparams": exported_reference(b"[" * 200_000, b""),
    "program_of_30_megabytes.pdiparams": exported_reference(b"[]," * 10_000_000, b""),
    "program_cut.pdiparams": exported_reference(b"\x0a\xff\xff\xff\x7f", b"", ".pdmodel"),
    "program_without_end.pdiparams": exported_reference(b"\xff" * 1000, b"", ".pdmodel"),
}


def checkpoint(manifest=None, state=b"", **files):
    """Write a checkpoint folder; the hashes of its manifest are right unless it is given."""

    def make(path):
        path.mkdir()
        save_file({"w": torch.zeros(2)}, path / "model.safetensors")
        (path / "training_state.pt").write_bytes(state)
        for name, data in files.items():
            (path / name.replace("__", ".")).write_bytes(data)
        named = {
            file.name: {"sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
            for file in path.iterdir()
        }
        right = json.dumps({"format": 1, "files": named})
        (path / "manifest.json").write_text(right if manifest is None else manifest)

    return ("checkpoint", make, CHECKPOINT)


def manifest_of(*names):
    return json.dumps({"files": {name: {"sha256": "0"} for name in names}})


OURS = ("model.safetensors", "training_state.pt")
CHECKPOINTS = {
    "manifest_no_json": checkpoint("hello"),
    "manifest_a_list": checkpoint("[]"),
    "manifest_files_a_number": checkpoint('{"files": 5}'),
    "manifest_parent": checkpoint(manifest_of("../../etc/passwd", *OURS)),
    "manifest_absolute": checkpoint(manifest_of("/etc/passwd", *OURS)),
    "manifest_lists_nothing": checkpoint('{"files": {}}'),
    "state_system": checkpoint(state=saved({"iteration": Call()})),
    "state_empty": checkpoint(state=b""),
    "state_no_pickle": checkpoint(state=b"hello"),
    "model_no_safetensors": checkpoint(state=GOOD, model__safetensors=b"hello"),
}


def folder(**files):
    def make(path):
        path.mkdir()
        for name, data in files.items():
            (path / name.replace("__", ".")).write_bytes(data)

    return make


def published(config, **more):
    text = config if isinstance(config, bytes) else json.dumps(config).encode()
    return folder(config__json=text, **more)


MODEL = {"arch": {"Backbone": {"name": "test_resnet"}}, "image_shape": [3, 32, 32]}
CODE = {**MODEL, "arch": {"Backbone": {"name": "os:mkdir", "path": "RAN"}}}
PUBLISHED = {
    "config_nested": ("published", published(b"[" * 100_000), CHECKPOINT),
    "config_of_10_megabytes": ("published", published(b" " * 10_000_000), CHECKPOINT),
    "config_no_json": ("published", published(b"hello"), CHECKPOINT),
    "config_gbk": ("published", published("{'模': 1}".encode("gbk")), CHECKPOINT),
    "config_wrong_types": ("published", published({"arch": 1, "image_shape": "x"}), CHECKPOINT),
    "config_wrong_within": (
        "published",
        published({**MODEL, "arch": {"Backbone": [1], "Neck": 2}}),
        CHECKPOINT,
    ),
    "config_image_of_a_terabyte": (
        "published",
        published({**MODEL, "image_shape": [3, 10**6, 10**6]}),
        CHECKPOINT,
    ),
    "config_image_of_words": ("published", published({**MODEL, "image_shape": ["a"]}), CHECKPOINT),
    "config_code": ("published", published(CODE), CONFIG),
    "weights_missing": ("published", published(MODEL), CHECKPOINT),
    "weights_pickle": (
        "published",
        published(MODEL, model__safetensors=pickle.dumps(Call())),
        CHECKPOINT,
    ),
}


def exported(name, data, digest=None, **files):
    found = hashlib.sha256(data).hexdigest() if digest is None else digest
    card = {"files": {name: found}, "output": {"key": "features"}}
    return folder(card__json=json.dumps(card).encode(), **{name.replace(".", "__"): data}, **files)


def outside_onnx():
    """Return a model whose weight is another file, outside its folder."""
    import onnx
    from onnx import TensorProto, helper

    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4])
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../../../../../../../../etc/passwd")
    made = helper.make_tensor_value_info("features", TensorProto.FLOAT, [4])
    node = helper.make_node("Identity", ["w"], ["features"])
    graph = helper.make_graph([node], "g", [], [made], [weight])
    opset = [helper.make_opsetid("", 18)]
    return onnx.helper.make_model(graph, opset_imports=opset, ir_version=9).SerializeToString()


EXPORTS = {
    "card_missing": ("exported", folder(), EXPORT),
    "card_nested": ("exported", folder(card__json=b"[" * 100_000), EXPORT),
    "card_of_100_megabytes": ("exported", lambda path: big_card(path), EXPORT),
    "card_wrong_types": ("exported", folder(card__json=b'{"files": [], "output": 1}'), EXPORT),
    "card_of_another_file": ("exported", exported("model.onnx", b"x", "0" * 64), EXPORT),
    "card_hash_a_number": ("exported", exported("model.onnx", b"x", 5), EXPORT),
    "card_parent": (
        "exported",
        folder(card__json=b'{"files": {"../x": "0"}, "output": {"key": "features"}}'),
        SETUP,
    ),  # noqa: E501
    "onnx_noise": ("exported", exported("model.onnx", bytes(range(256))), EXPORT),
    "onnx_outside": ("exported", lambda path: exported("model.onnx", outside_onnx())(path), EXPORT),
    "program_alone": ("exported", exported("model.pt2", saved({"w": Call()})), SETUP),
}


def big_card(path):
    path.mkdir()
    with open(path / "card.json", "wb") as file:
        file.truncate(100_000_000)


def table(data, reader="embeddings"):
    return (reader, content(data), DATA)


def rows(path, number):
    """Write a column that is one number over and over."""
    import pyarrow
    import pyarrow.parquet

    column = pyarrow.array(np.zeros(number, dtype=np.int8))
    pyarrow.parquet.write_table(pyarrow.table({"labels": column, "path": column}), path)


BOMB = npy("<f4", (25_000_000, 1), ZEROS)
TABLES = {
    "empty.npz": table(b""),
    "text.npz": table(b"hello"),
    "objects.npz": table(archive({"embeddings.npy": objects(), "labels.npy": LABELS})),
    "objects_packed.npz": table(
        archive({"embeddings.npy": objects(), "labels.npy": LABELS}, zipfile.ZIP_DEFLATED)
    ),
    "bomb.npz": table(archive({"embeddings.npy": BOMB}, zipfile.ZIP_DEFLATED)),
    "claims_2_60.npz": table(archive({"embeddings.npy": npy(shape=(2**30, 2**30))})),
    "claims_2_60_packed.npz": table(
        archive({"embeddings.npy": npy(shape=(2**30, 2**30))}, zipfile.ZIP_DEFLATED)
    ),
    "negative.npz": table(archive({"embeddings.npy": npy(shape=(-2, 2))})),
    "overflow.npz": table(archive({"embeddings.npy": npy(shape=(2**32, 2**32, 2**32))})),
    "directory_claims.npz": table(claiming(archive({"embeddings.npy": npy()}), 2**32 - 2)),
    "parent.npz": table(archive({"../../RAN": b"x"})),
    "words.npz": table(archive({"embeddings.npy": npy("<U4"), "labels.npy": LABELS})),
    "lengths.npz": table(archive({"embeddings.npy": npy(), "labels.npy": npy("<i8", (0,), b"")})),
    "cut.npz": table(archive({"embeddings.npy": npy(), "labels.npy": LABELS})[:-40]),
    "header_of_2_60.safetensors_table": table(safetensors({}, size=2**60), "embeddings_map"),
    "outside.safetensors_table": table(safetensors(claim([2], -8, 0)), "embeddings_map"),
    "sides.safetensors_table": table(safetensors(claim([2**62] * 90_000)), "embeddings_map"),
    "nested.safetensors_table": table(safetensors(b"[" * 100_000), "embeddings_map"),
    "rows.parquet_table": ("embeddings_columns", lambda path: rows(path, 20_000_000), DATA),
    "noise.parquet_table": table(b"PAR1" + bytes(range(256)) + b"PAR1", "embeddings_columns"),
}


def packed(**index):
    return lambda path: folder(
        index__npz=archive({f"{name}.npy": data for name, data in index.items()})
    )(path)


def faces(conf, list_=b""):
    def make(path):
        (path / "agedb_30" / "memfile").mkdir(parents=True)
        (path / "agedb_30" / "memfile" / "mem_file.dat").write_bytes(b"\0" * 96)
        (path / "agedb_30" / "memfile" / "mem_file.dat.conf").write_bytes(conf)
        (path / "agedb_30_list.npy").write_bytes(list_)

    return ("faces", make, DATA)


def features(data):
    return ("features", folder(**{"part-0__npy": data}), DATA)


def person(name):
    def make(path):
        inner = path / "market1501" / "Market-1501-v15.09.15" / "query"
        inner.mkdir(parents=True)
        (inner / name).touch()

    return ("persons", make, DATA)


STORES = {
    "rows.parquet": ("table", lambda path: rows(path, 20_000_000), DATA),
    "shards_missing": ("shards", folder(), DATA),
    "shards_objects": ("shards", packed(format=objects()), DATA),
    "shards_bomb": (
        "shards",
        lambda path: folder(index__npz=archive({"sizes.npy": BOMB}, zipfile.ZIP_DEFLATED))(path),
        DATA,
    ),
    "shards_claim_2_60": ("shards", packed(sizes=npy("<i8", (2**60,))), DATA),
    "faces_claim_2_60": faces(b'{"shape": [1073741824, 3, 1048576, 1048576], "dtype": "f4"}'),
    "faces_overflow": faces(b'{"shape": [4294967296, 3, 4294967296, 4294967296], "dtype": "f4"}'),
    "faces_nested": faces(b"[" * 9_000),
    "faces_infinite": faces(b'{"shape": [1e999, 3, 2, 2], "dtype": "f4"}'),
    "faces_type_a_program": faces(b'{"shape": [2, 3, 2, 2], "dtype": "f4,(__import__)"}'),
    "faces_100_megabytes": ("faces", lambda path: big_faces(path), DATA),
    "faces_list_objects": faces(b'{"shape": [2, 3, 2, 2], "dtype": "f4"}', objects()),
    "faces_list_2_60": faces(b'{"shape": [2, 3, 2, 2], "dtype": "f4"}', npy("|b1", (2**60,))),
    "features_objects": features(objects()),
    "features_2_60": features(npy(shape=(2**60,))),
    "features_noise": features(b"hello"),
    "person_of_90_digits": person("9" * 90 + "_c1s1_000.jpg"),
    "person_without_camera": person("hello.jpg"),
    "person_of_camera_9": person("0001_c9s1_000.jpg"),
}


def big_faces(path):
    faces(b"{}")[1](path)
    with open(path / "agedb_30" / "memfile" / "mem_file.dat.conf", "wb") as file:
        file.truncate(100_000_000)


BINARIES = {
    **SAFETENSORS, **TORCH, **PDPARAMS, **PDIPARAMS, **CHECKPOINTS, **PUBLISHED, **EXPORTS,
    **TABLES, **STORES,
}  # fmt: skip
