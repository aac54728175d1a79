"""The promises of SECURITY.md that are about the program as a whole; files are in tests/hostile."""

import ast
import os
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

import lookalike
from lookalike.assembly.load import load_run
from lookalike.assembly.resolved import resolved_yaml
from lookalike.cli.main import app
from lookalike.data.datasets.image_folder import image_folder
from lookalike.data.label_files import outside_allowed, read_image_list
from lookalike.errors import DataError, masked, presentable

SOURCE = Path(lookalike.__file__).parent
# calls that run what a file says, or a shell; by the last two parts of their names
FORBIDDEN = re.compile(
    r"(eval|exec|__import__|os\.system|os\.popen|os\.exec\w*|pickle\.loads?|marshal\.loads?"
    r"|shelve\.open|dill\.loads?|cloudpickle\.loads?|joblib\.load|yaml\.(unsafe_)?load|jit\.load"
    r"|hub\.load|.*\.extractall|.*\.unpack_archive|tempfile\.mktemp)"
)
# what such a call must say, by its name
REQUIRED = {
    "torch.load": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "format.read_array": ("allow_pickle", False),
}
# runs only files of this process, and others with --allow-program
PROGRAMS = {"inference/export.py": ["export.load"]}


def calls(tree):
    """Yield each call with the last two parts of what is called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ".".join(ast.unparse(node.func).split(".")[-2:]), node


def dangerous(tree, file=""):
    found = []
    for name, node in calls(tree):
        said = {word.arg: ast.unparse(word.value) for word in node.keywords}
        if FORBIDDEN.fullmatch(name) or said.get("shell", "False") != "False":
            found.append(f"{file}:{node.lineno} {name}")
        if name in REQUIRED and said.get(REQUIRED[name][0]) != str(REQUIRED[name][1]):
            found.append(f"{file}:{node.lineno} {name} without {REQUIRED[name]}")
        if name == "export.load" and name not in PROGRAMS.get(file, []):
            found.append(f"{file}:{node.lineno} {name}")
        if name == "YAML" or name.endswith(".YAML"):
            found += [] if said.get("typ") == "'safe'" else [f"{file}:{node.lineno} {name}"]
    return found


def test_nothing_in_the_source_runs_what_a_file_says():
    found = []
    for path in SOURCE.rglob("*.py"):
        found += dangerous(ast.parse(path.read_text()), path.relative_to(SOURCE).as_posix())
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "pickle.load(file)",
        "os.system(text)",
        "subprocess.run(text, shell=True)",
        "YAML(typ='unsafe').load(text)",
        "yaml.load(text)",
        "tarfile.open(path).extractall(folder)",
        "torch.export.load(path)",
        "eval(text)",
    ],
)
def test_the_test_of_the_source_fails_on_each(line):
    """A test of the test."""
    assert dangerous(ast.parse(line)) != []


def test_a_list_leaves_its_root_only_where_that_is_allowed(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("/photos/a.jpg 0\n../b.jpg 1\n")
    with pytest.raises(DataError, match=r"list\.txt:1: absolute .*\n.*:2: .* allow_outside: True"):
        read_image_list(path)
    with outside_allowed():
        assert read_image_list(path).paths == ["/photos/a.jpg", "../b.jpg"]
    with pytest.raises(DataError):
        read_image_list(path)


def run(tiny, command, *options):
    result = CliRunner().invoke(app, [command, "-c", str(tiny / "run.yaml"), *options])
    return result.exit_code, result.output


def test_allow_outside_stands_beside_the_list_in_the_yaml(tiny):
    rows = (tiny / "train.txt").read_text().splitlines()
    (tiny / "train.txt").write_text("".join(f"{tiny}/images/{row}\n" for row in rows))
    code, output = run(tiny, "check")
    assert code == 3
    assert "absolute paths are refused" in output
    splits = ("Train", "Eval.Query", "Eval.Gallery")
    options = [f"-oDataLoader.{split}.dataset.allow_outside=True" for split in splits]
    code, output = run(tiny, "check", *options)
    assert code == 0, output


def test_a_circle_of_folders_ends(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "again").symlink_to(tmp_path)
    (tmp_path / "cat" / "a.jpg").symlink_to("a.jpg")
    (tmp_path / "cat" / "b.jpg").write_bytes(b"x")
    assert image_folder(str(tmp_path)).paths == ["cat/b.jpg"]


SECRET = "hunter2-and-more"


@pytest.mark.parametrize("key", ["Arch.Backbone.pretrained", "Global.pretrained_model"])
def test_passwords_of_an_address_are_told_nobody(tiny, key):
    address = f"https://me:{SECRET}@host.example/w.pdparams?token={SECRET}"
    code, output = run(tiny, "train", f"-o{key}={address}")
    assert code == 4
    assert "host.example" in output
    assert SECRET not in output
    assert SECRET not in resolved_yaml(load_run(tiny / "run.yaml", [f"{key}={address}"]))


def test_the_environment_is_not_written_down(tiny, monkeypatch):
    for name in ("HF_TOKEN", "WANDB_API_KEY", "AWS_SECRET_ACCESS_KEY", "PASSWORD"):
        monkeypatch.setenv(name, SECRET)
    options = ["-oGlobal.epochs=1", "-oGlobal.iter_per_epoch=1", "-oGlobal.use_tensorboard=True"]
    code, output = run(tiny, "train", *options)
    assert code == 0, output
    assert SECRET not in output
    written = [path for path in (tiny / "output").rglob("*") if path.is_file()]
    assert len(written) > 5
    assert all(SECRET.encode() not in path.read_bytes() for path in written)


def test_only_addresses_are_masked():
    assert masked("https://host/a?key=1&v=2 and a@b") == "https://host/a?key=***&v=2 and a@b"
    for text in ("a@b.c", "https://host:80/x@y", "lr: 0.1 # key=3", "ssh://host/p?a=b"):
        assert masked(text) == text


def test_a_file_name_cannot_speak_to_the_terminal(tiny):
    assert presentable("caf\u00e9 \u4e2d\n\ta") == "caf\u00e9 \u4e2d\n\ta"
    assert presentable("a\x07\x9b\udcff") == "a\\x07\\x9b\\udcff"
    code, output = run(tiny, "check", f"-oDataLoader.Train.dataset.image_root={tiny}/\x1b]0;x\x07")
    assert code != 0
    assert not any(ord(letter) < 32 and letter != "\n" for letter in output)


def test_an_odd_name_can_be_logged(tmp_path):
    from lookalike.training import RunLog

    log = RunLog(tmp_path, "train")
    log.line("note: " + os.fsdecode(b"\xff\xfe.jpg") + " \x1b[2J")
    assert "\\udcff" in (tmp_path / "train.log").read_text(encoding="utf-8")
    assert "\x1b" not in (tmp_path / "train.log").read_text(encoding="utf-8")
