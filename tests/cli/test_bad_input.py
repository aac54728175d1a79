"""Whatever a person gets wrong: one readable message, the documented exit code, no traceback."""

import json
import os
import pickle
import re
import shutil
import socket
import time

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from lookalike.cli.main import app

CONFIG, DATA, SETUP, DIVERGED, CHECKPOINT = 2, 3, 4, 5, 6


@pytest.fixture
def cli(tiny):
    """Run a command on ``run.yaml`` in this process; returns exit code and what was printed."""

    def run(command, *overrides, options=(), config=None):
        arguments = [command, "-c", str(config or tiny / "run.yaml"), *map(str, options)]
        for override in overrides:
            arguments += ["-o", override]
        result = CliRunner().invoke(app, arguments)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output

    return run


@pytest.fixture
def refused(cli):
    """Run a command that must fail with a code; returns the message, which must be presentable."""

    def run(code, command, *overrides, **more):
        codes = code if isinstance(code, tuple) else (code,)
        found, output = cli(command, *overrides, **more)
        assert "This is a bug" not in output, output[-2000:]
        assert "Traceback" not in output, output[-2000:]
        assert found in codes, output[-2000:]
        message = output[output.index("error: ") :]
        assert len(message) < 4000
        return message

    return run


def replace(folder, old, new):
    text = (folder / "run.yaml").read_text()
    assert old in text
    (folder / "run.yaml").write_text(text.replace(old, new))


def test_the_fixture_itself_is_in_order(cli):
    code, output = cli("check")
    assert code == 0, output
    assert "nothing stands in the way" in output


# -- the command line -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [["train"], ["trian"], ["check", "-c"], ["check", "-c", "x", "--nonsense"], ["list", "headz"]],
)
def test_usage_errors_exit_with_2(arguments):
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == CONFIG
    assert "Traceback" not in result.output


@pytest.mark.parametrize("command", ["train", "eval", "check"])
def test_a_missing_file_is_told(refused, tmp_path, command):
    assert f"{tmp_path}/no.yaml" in refused(CONFIG, command, config=tmp_path / "no.yaml")
    assert "directory" in refused(CONFIG, command, config=tmp_path)


@pytest.mark.parametrize("command", ["train", "eval", "check"])
def test_all_mistakes_are_told_with_lines(refused, tiny, command):
    replace(tiny, "  epochs: 2", "  epoch: 2")
    replace(tiny, "margin: 0.15", "margn: 0.15")
    message = refused(CONFIG, command, "Loss.Train.1.SupConLoss.weight=heavy")
    assert re.search(r"run\.yaml:5:3  Global\.epoch: .*'epochs'", message)
    assert re.search(r"run\.yaml:\d+:5  Arch\.Head\.margn: .*'margin'", message)
    assert "-o Loss.Train.1.SupConLoss.weight=heavy" in message
    assert "3 problems found; nothing was started." in message
    assert not (tiny / "output").exists()


# -- the configuration ----------------------------------------------------------------------------

REFUSED_SETTINGS = [
    # assignment, words of the message
    ("Global.seed=99999999999999999999", "Global.seed"),
    ("Global.seed=-1", "Global.seed"),
    ("Global.image_shape=[1, 32, 32]", "image_shape"),
    ("Global.image_shape=[3, 32]", "Global.image_shape"),
    ("Global.device=tpu", "Global.device"),
    ("Arch.Neck.in_channels=95", "Arch.Neck.in_channels.*to 96"),
    ("Arch.Neck.kernel_size=9", "Arch.Neck"),
    ("Arch.Neck.groups=5", "Arch.Neck"),
    ("Arch.Neck.out_channels=0", "Arch.Neck"),
    ("Arch.Neck.out_channels=-4", "Arch.Neck"),
    ("Arch.Head.embedding_size=17", "Arch.Head.embedding_size.*to 16"),
    ("Arch.Head.class_num=0", "class_num"),
    ("Arch.Head.margin=28.6", "Arch.Head.*radians"),
    ("Arch.Head.scale=0", "Arch.Head"),
    ("Arch.Head.scale=.nan", "Arch.Head"),
    ("Arch.Head=null", "CELoss reads 'logits'"),
    ("Arch.BackboneStopLayer.name=avgpol", "Arch.BackboneStopLayer.name.*'avgpol'"),
    ("Arch.BackboneStopLayer.name=layer1", "Arch.Neck.in_channels"),
    ("+Arch.Backbone.depht=3", "Arch.Backbone.*depht"),
    ("+Arch.Backbone.features_only=True", "Arch.Backbone"),
    ("Optimizer.lr.learning_rate=abc", "Optimizer.lr.learning_rate"),
    ("Optimizer.momentum=-3", "Optimizer"),
    ("Loss.Train.0.CELoss.weight=.nan", "Loss.Train.0.CELoss.weight"),
    ("Loss.Train=[]", "Loss"),
    ("Optimizer=null", "Optimizer"),
    ("DataLoader.Train=null", "DataLoader.Train"),
    ("DataLoader.Train.sampler.batch_size=64", "DataLoader.Train.sampler.*at most 12"),
    ("DataLoader.Train.sampler.batch_size=7", "DataLoader.Train.sampler.*multiple"),
    ("DataLoader.Train.sampler.batch_size=0", "DataLoader.Train.sampler"),
    ("DataLoader.Train.sampler.max_iters=0", "sampler"),
    ("DataLoader.Train.sampler.max_iters=-1", "max_iters"),
    ("DataLoader.Eval.Query.sampler.batch_size=0", "DataLoader.Eval.*sampler"),
    ("DataLoader.Eval.Query.sampler.drop_last=True", "drop_last"),
    ("DataLoader.Train.dataset.transform_ops.0.ResizeImage.size=null", "transform_ops"),
    ("DataLoader.Train.dataset.transform_ops.0.ResizeImage.size=-1", "transform_ops"),
    ("Metric.Eval.0.Recallk.topk=[0]", "Metric.Eval"),
    ("Global.eval_mode=classification", "Metric.Eval.0.*retrieval"),
]


@pytest.mark.parametrize(("assignment", "words"), REFUSED_SETTINGS)
def test_check_refuses_a_setting_that_cannot_work(refused, assignment, words):
    # whether the sampler or the data is wrong is a matter of taste
    taste = "sampler" in assignment or "class_num" in assignment
    command = "train" if "Train=null" in assignment else "check"
    message = refused((CONFIG, DATA) if taste else (CONFIG,), command, assignment)
    assert re.search(words, message, re.DOTALL), message


def test_a_message_proposes_only_options_that_exist(refused, tiny):
    torch.save({"x": torch.zeros(2)}, tiny / "other.pth")
    message = refused(CHECKPOINT, "train", f"Arch.Backbone.pretrained={tiny}/other.pth")
    known = {option for command in ("train", "eval", "check") for option in options_of(command)}
    assert set(re.findall(r"--[a-z-]+", message)) <= known


def options_of(command):
    return re.findall(r"--[a-z-]+", CliRunner().invoke(app, [command, "--help"]).output)


def test_a_missing_eval_block_is_shown_to_be_pasted(refused, cli, tiny):
    for command in ("check", "train", "eval"):
        message = refused(CONFIG, command, "DataLoader.Eval=null")
        assert "run.yaml" in message
        assert "DataLoader.Eval" in message
        assert "Global.eval_during_train=False" in message
        assert "Query:" in message
    code, _ = cli("check", "DataLoader.Eval=null", "Global.eval_during_train=False")
    assert code == 0


def test_the_shown_eval_block_is_good_yaml():
    from lookalike.assembly.evaluation import EVAL_BLOCK
    from lookalike.config import read_yaml_text

    data = read_yaml_text(EVAL_BLOCK).data
    assert set(data["DataLoader"]["Eval"]) == {"Query", "Gallery"}


def test_a_backbone_that_returns_no_tensor_is_refused_without_a_download(refused, monkeypatch):
    def download(*args, **kwargs):
        raise AssertionError("pretrained: False, and yet it downloads")

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", download)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", download)
    backbone = "{name: lraspp_mobilenet_v3_large, pretrained: False}"
    message = refused(CONFIG, "check", f"Arch.Backbone={backbone}", "Arch.BackboneStopLayer=null")
    assert "Arch.Backbone" in message


def test_eval_does_not_pass_over_a_checkpoint_in_silence(refused, tiny):
    refused(CHECKPOINT, "eval", f"Global.checkpoints={tiny}/nowhere")


def test_output_dir_that_is_a_file_is_a_setup_error(refused, tiny):
    for command in ("train", "eval"):
        message = refused(SETUP, command, f"Global.output_dir={tiny}/train.txt")
        assert "train.txt" in message
        message = refused(SETUP, command, f"Global.output_dir={tiny}/train.txt/sub")
        assert "train.txt" in message


def test_json_that_cannot_be_written_is_a_setup_error(refused, tiny):
    message = refused(SETUP, "eval", options=["--json", tiny / "train.txt" / "x.json"])
    assert "train.txt" in message


def test_strict_device(refused):
    message = refused(SETUP, "check", "Global.device=npu", options=["--strict-device"])
    assert "npu" in message


# -- the data -------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["check", "train"])
@pytest.mark.parametrize("split", ["Train", "Eval.Query", "Eval.Gallery"])
def test_missing_root_and_list(refused, tiny, command, split):
    for key in ("image_root", "cls_label_path"):
        message = refused(DATA, command, f"DataLoader.{split}.dataset.{key}={tiny}/nowhere")
        assert f"{tiny}/nowhere" in message


@pytest.mark.parametrize("command", ["check", "train"])
@pytest.mark.parametrize(
    ("key", "value", "right"),
    [("image_root", "image", "images"), ("cls_label_path", "trian.txt", "train.txt")],
)
def test_a_wrong_path_is_told_with_line_key_and_the_nearest(
    refused, tiny, command, key, value, right
):
    yaml = tiny / "run.yaml"
    old = "images" if key == "image_root" else "train.txt"
    yaml.write_text(yaml.read_text().replace(f"{key}: {tiny}/{old}", f"{key}: {tiny}/{value}"))
    line = next(i for i, text in enumerate(yaml.read_text().split("\n"), 1) if f"{key}:" in text)
    message = refused(DATA, command)
    assert f"{yaml}:{line}:" in message
    assert f"DataLoader.Train.dataset.{key}: '{tiny}/{value}' does not exist." in message
    assert f"Did you mean '{right}'?" in message


BAD_LISTS = {
    "empty": ("", "train.txt: the list is empty"),
    "one column": ("000/000.jpg\n", "train.txt:1: "),
    "text label": ("000/000.jpg 0 0\n000/001.jpg cat 0\n", "train.txt:2: .*'cat'"),
    "negative label": ("000/000.jpg -2 0\n", "train.txt:1: .*-2"),
    "mixed columns": ("000/000.jpg 0 0\n000/001.jpg 0\n", "train.txt:2: .*line 1"),
    "missing image": ("000/000.jpg 0 0\n000/900.jpg 0 1\n", r"train.txt:2: .*900\.jpg"),
    "absolute": ("/etc/passwd 0 0\n", "train.txt:1: .*absolute"),
    "outside": ("../run.yaml 0 0\n", "train.txt:1: .*leaves"),
    "label too large": ("000/000.jpg 0 0\n000/001.jpg 6 0\n", r"train.txt:2: .*class_num to 7"),
    "label beyond 64 bits": ("000/000.jpg 99999999999999999999 0\n", "train.txt:1: "),
    "null byte": ("0\0/000.jpg 0 0\n", "train.txt:1: "),
    "gbk": ("中文.jpg 0 0\n".encode("gbk"), "train.txt:1: not UTF-8"),
}


@pytest.mark.parametrize("name", BAD_LISTS)
def test_bad_lists(refused, tiny, name):
    content, words = BAD_LISTS[name]
    (tiny / "train.txt").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert re.search(words, refused(DATA, "check"))


def test_label_beyond_64_bits_without_a_head(refused, tiny):
    text = (tiny / "train.txt").read_text()
    (tiny / "train.txt").write_text(text.replace(" 5 ", " 99999999999999999999 "))
    message = refused(DATA, "check", "Arch.Head=null", "Loss.Train=[{SupConLoss: {views: 2}}]")
    assert "train.txt:21" in message


def test_a_label_with_one_image_is_no_obstacle(cli, tiny):
    lines = (tiny / "train.txt").read_text().splitlines(keepends=True)
    (tiny / "train.txt").write_text("".join(lines[:9]))
    code, output = cli("train", "Global.epochs=1", "DataLoader.Train.sampler.batch_size=6")
    assert code == 0, output
    _, output = cli("check", "DataLoader.Train.sampler.batch_size=6")
    assert re.search(r"labels with one image:? 1\b", output)


def test_one_label_per_batch_leaves_a_pair_loss_without_negatives(refused):
    message = refused(CONFIG, "check", "DataLoader.Train.sampler.batch_size=2")
    assert "SupConLoss never finds a negative; make it at least 4" in message


def test_a_loss_told_of_groups_needs_them(refused, cli):
    plain = "DataLoader.Train.sampler={name: DistributedBatchSampler, batch_size: 8, shuffle: True}"
    message = refused(CONFIG, "check", plain)
    assert "run.yaml" in message
    assert "SupConLoss is told that 2 images of one label stand together (views)" in message
    assert "PKSampler (sample_per_id)" in message
    # a loss that takes any batch is given one
    code, output = cli("check", plain, "Loss.Train=[{SupConLoss: {temperature: 0.1}}]")
    assert code == 0, output


def test_batches_without_a_pair(refused, cli, tiny):
    lines = (tiny / "train.txt").read_text().splitlines(keepends=True)
    (tiny / "train.txt").write_text("".join(lines[::4] + lines[1::4]))
    alone = "DataLoader.Train.sampler={name: DistributedBatchSampler, batch_size: 6}"
    loss = "Loss.Train=[{TripletLossV2: {margin: 0.3}}]"
    message = refused(CONFIG, "check", alone, loss)
    assert "no image of a batch has a partner, so TripletLossV2 pulls nothing" in message
    assert "num_instances" in message
    few = "DataLoader.Train.sampler={name: DistributedBatchSampler, batch_size: 7}"
    code, output = cli("check", few, loss)
    assert code == 0, output
    assert "images have a partner of their label" in " ".join(output.split())


def test_one_label_alone(refused, tiny):
    lines = (tiny / "train.txt").read_text().splitlines(keepends=True)
    (tiny / "train.txt").write_text("".join(lines[:4]))
    assert "the data has 1" in refused(CONFIG, "check")


@pytest.mark.parametrize("command", ["check", "train"])
def test_a_sampler_without_a_batch(refused, command):
    sampler = "{name: DistributedBatchSampler, batch_size: 64, drop_last: True}"
    message = refused(DATA, command, f"DataLoader.Train.sampler={sampler}")
    assert "drop_last: False" in message
    assert "train.txt" in message


def test_an_eval_sampler_that_leaves_images_out(refused):
    for size in (64, 16):
        settings = [
            f"DataLoader.Eval.{split}.sampler.drop_last=True" for split in ("Query", "Gallery")
        ]
        settings += [
            f"DataLoader.Eval.{split}.sampler.batch_size={size}" for split in ("Query", "Gallery")
        ]
        message = refused((CONFIG, DATA), "eval", *settings)
        assert "drop_last: False" in message


@pytest.mark.parametrize(
    ("content", "workers"), [(b"", 0), (b"hello", 0), (b"\xff\xd8\xff\xe0", 0), (b"hello", 1)]
)
def test_a_broken_image_ends_training_with_its_name(refused, tiny, content, workers):
    (tiny / "images" / "003" / "001.jpg").write_bytes(content)
    setting = f"DataLoader.Train.loader.num_workers={workers}"
    message = refused(DATA, "train", setting, "Global.epochs=9", "Global.eval_during_train=False")
    assert "003/001.jpg" in message
    assert len(message.splitlines()) <= 2
    assert "003/001.jpg" in refused(DATA, "eval")


def test_images_of_different_sizes_in_a_batch(refused, tiny):
    Image.new("RGB", (50, 60)).save(tiny / "images" / "002" / "002.jpg")
    own_size = [
        f"DataLoader.{split}.dataset.transform_ops=null"
        for split in ("Train", "Eval.Query", "Eval.Gallery")
    ]
    shape = "Global.image_shape=[3, 32, 40]"
    message = refused(DATA, "train", "Global.epochs=9", shape, *own_size)
    assert "(3, 60, 50)" in message
    assert "resize" in message


# -- weights and checkpoints ----------------------------------------------------------------------


class Touch:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


BAD_WEIGHTS = ["missing.pth", "text.pth", "text.safetensors", "evil.pth", "evil_zip.pth",
               "evil.safetensors", "list.pth", "numbers.pth", "other.pth", "empty.pth", "folder"]  # fmt: skip  # noqa: E501


@pytest.fixture
def weights(tiny):
    (tiny / "text.pth").write_text("hello, I am no weight file\n")
    (tiny / "text.safetensors").write_text("hello, I am no weight file\n")
    evil = {"conv1.weight": Touch(tiny / "pwned")}
    (tiny / "evil.pth").write_bytes(pickle.dumps(evil, protocol=2))
    (tiny / "evil.safetensors").write_bytes(pickle.dumps(evil, protocol=2))
    torch.save(evil, tiny / "evil_zip.pth")
    torch.save([torch.zeros(1)], tiny / "list.pth")
    torch.save({0: torch.zeros(1)}, tiny / "numbers.pth")
    torch.save({"other": torch.zeros(1)}, tiny / "other.pth")
    (tiny / "empty.pth").touch()
    (tiny / "folder").mkdir()
    return tiny


@pytest.mark.parametrize("name", BAD_WEIGHTS)
@pytest.mark.parametrize("key", ["Arch.Backbone.pretrained", "Global.pretrained_model"])
def test_bad_weights_are_refused_and_run_no_code(refused, weights, key, name):
    message = refused(CHECKPOINT, "train", f"{key}={weights / name}")
    assert name in message
    assert not (weights / "pwned").exists()
    assert not (weights / "output").exists()


@pytest.mark.parametrize("name", BAD_WEIGHTS)
def test_weights_find_no_way_around_through_the_library(refused, weights, name):
    """timm's own ``checkpoint_path`` would load a file past all our checks and reports."""
    message = refused(CONFIG, "train", f"+Arch.Backbone.checkpoint_path={weights / name}")
    assert "checkpoint_path" in message
    assert not (weights / "pwned").exists()


def test_weights_of_another_shape_are_told_by_key(refused, tiny):
    import timm

    state = timm.create_model("test_resnet").state_dict()
    state["layer1.0.conv1.weight"] = torch.zeros(2, 2)
    torch.save(state, tiny / "shape.pth")
    message = refused(CHECKPOINT, "check", f"Arch.Backbone.pretrained={tiny}/shape.pth")
    assert "layer1.0.conv1.weight [2, 2] ->" in message


def test_pretrained_without_weights_names_three_ways(refused, monkeypatch):
    import timm

    create = timm.create_model

    def offline(name, pretrained=False, **kwargs):
        if pretrained:
            raise OSError("no network\nsecond line")
        return create(name, pretrained=False, **kwargs)

    monkeypatch.setattr(timm, "create_model", offline)
    monkeypatch.delenv("LOOKALIKE_WEIGHTS", raising=False)
    message = refused(SETUP, "train", "Arch.Backbone.pretrained=True")
    for words in ("no network", "LOOKALIKE_WEIGHTS", "package", "network", "pretrained=False"):
        assert words in message
    assert "second line" not in message
    address = "Arch.Backbone.pretrained=https://example.org/w.pth"
    assert "nothing is downloaded" in refused(SETUP, "train", address)


def test_being_offline_is_noticed_at_once(cli, monkeypatch):
    """The hub's client asks a switched-off network again and again for 45 seconds."""
    httpx = pytest.importorskip("httpx2")

    def no_network(*args, **kwargs):
        raise httpx.ConnectError("[Errno -2] Name or service not known")

    def no_names(*args, **kwargs):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.delenv("LOOKALIKE_WEIGHTS", raising=False)
    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_names)
    monkeypatch.setattr(socket, "create_connection", no_names)
    slept = []
    monkeypatch.setattr(time, "sleep", slept.append)
    code, _ = cli("train", "Arch.Backbone.pretrained=True")
    assert code == SETUP
    assert sum(slept) < 5, f"it would have waited {sum(slept)} seconds"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return a folder in which a run of one epoch has been trained."""
    from conftest import TINY_YAML, make_images, write_list

    root = tmp_path_factory.mktemp("trained")
    write_list(root / "train.txt", make_images(root))
    (root / "run.yaml").write_text(TINY_YAML.format(root=root).replace("epochs: 2", "epochs: 1"))
    result = CliRunner().invoke(app, ["train", "-c", str(root / "run.yaml")])
    assert result.exit_code == 0, result.output
    return root


@pytest.fixture
def latest(trained, tiny):
    """Return a copy of the trained checkpoint, alone in the run folder of ``tiny``."""
    shutil.copytree(trained / "output" / "latest", tiny / "output" / "latest")
    return tiny / "output" / "latest"


def flip(path, place):
    data = bytearray(path.read_bytes())
    data[int(len(data) * place)] ^= 1
    path.write_bytes(bytes(data))


def edit_manifest(change):
    def edit(folder):
        manifest = json.loads((folder / "manifest.json").read_text())
        change(manifest)
        (folder / "manifest.json").write_text(json.dumps(manifest))

    return edit


def truncate(name):
    return lambda folder: os.truncate(folder / name, (folder / name).stat().st_size // 2)


DAMAGES = {
    "manifest missing": lambda folder: (folder / "manifest.json").unlink(),
    "manifest empty": lambda folder: (folder / "manifest.json").write_text(""),
    "manifest no json": truncate("manifest.json"),
    "manifest binary": lambda folder: (folder / "manifest.json").write_bytes(b"\xff\xfe\0"),
    "manifest a list": lambda folder: (folder / "manifest.json").write_text("[]"),
    "manifest without files": edit_manifest(lambda manifest: manifest.pop("files")),
    "manifest lists nothing": edit_manifest(lambda manifest: manifest["files"].clear()),
    "manifest lists no model": edit_manifest(lambda manifest: manifest["files"].pop("model.safetensors")),  # noqa: E501
    "manifest without hashes": edit_manifest(
        lambda manifest: manifest.update(files=dict.fromkeys(manifest["files"], {}))
    ),
    "manifest of odd files": edit_manifest(
        lambda manifest: manifest.update(files=dict.fromkeys(manifest["files"], 5))
    ),
    "manifest leaves the folder": edit_manifest(
        lambda manifest: manifest["files"].update({"../../run.yaml": {"sha256": ""}})
    ),
    "model missing": lambda folder: (folder / "model.safetensors").unlink(),
    "model truncated": truncate("model.safetensors"),
    "model empty": lambda folder: (folder / "model.safetensors").write_bytes(b""),
    "model flipped early": lambda folder: flip(folder / "model.safetensors", 0.0001),
    "model flipped late": lambda folder: flip(folder / "model.safetensors", 0.97),
    "state missing": lambda folder: (folder / "training_state.pt").unlink(),
    "state truncated": truncate("training_state.pt"),
    "state flipped": lambda folder: flip(folder / "training_state.pt", 0.5),
    "half written": lambda folder: folder.rename(folder.with_name(".latest.writing")),
    "folder empty": lambda folder: [path.unlink() for path in folder.iterdir()],
    "a file in its place": lambda folder: (shutil.rmtree(folder), folder.write_text("x")),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_checkpoint_is_refused_by_name(refused, latest, name):
    DAMAGES[name](latest)
    message = refused(CHECKPOINT, "train", f"Global.checkpoints={latest}", "Global.epochs=2")
    assert "latest" in message


def swap_model_unlisted(folder):
    """Change the model and take it out of the manifest, as if it had never been hashed."""
    DAMAGES["manifest lists no model"](folder)
    flip(folder / "model.safetensors", 0.97)


def test_files_the_manifest_does_not_list_are_not_trusted(refused, latest):
    swap_model_unlisted(latest)
    refused(CHECKPOINT, "train", f"Global.checkpoints={latest}", "Global.epochs=2")


def test_an_intact_neighbour_is_named(refused, latest):
    shutil.copytree(latest, latest.with_name("epoch_1"))
    flip(latest / "model.safetensors", 0.5)
    message = refused(CHECKPOINT, "train", f"Global.checkpoints={latest}", "Global.epochs=2")
    assert str(latest.with_name("epoch_1")) in message


def test_the_intact_copy_does_resume(cli, latest):
    code, output = cli("train", "Global.epochs=2", options=["--resume"])
    assert code == 0, output
    assert "after epoch 1" in output


def test_resume_without_a_checkpoint(refused, tiny):
    message = refused(CHECKPOINT, "train", options=["--resume"])
    assert "Without --resume" in message
    refused(CHECKPOINT, "train", f"Global.checkpoints={tiny}/nowhere")


@pytest.mark.parametrize(
    "change",
    [
        ["Arch.Neck.out_channels=8", "Arch.Head.embedding_size=8"],
        ["Arch.Head={name: FC, embedding_size: 16, class_num: 6}"],
        ["Arch.Backbone.name=test_efficientnet", "Arch.BackboneStopLayer.name=global_pool",
         "Arch.Neck.in_channels=256"],
        ["Optimizer={name: Adam, lr: 0.1}"],
        ["DataLoader.Train.sampler.batch_size=4"],
    ],
    ids=["width", "head", "backbone", "optimizer", "batch size"],
)  # fmt: skip
def test_a_checkpoint_of_another_run_is_refused(refused, latest, change):
    message = refused(
        CHECKPOINT, "train", f"Global.checkpoints={latest}", "Global.epochs=2", *change
    )
    assert "latest" in message


def test_a_malicious_training_state_runs_no_code(refused, latest):
    import hashlib

    state = latest / "training_state.pt"
    torch.save({"iteration": Touch(latest / "pwned")}, state)
    digest = hashlib.sha256(state.read_bytes()).hexdigest()
    forged = {"training_state.pt": {"sha256": digest}}
    edit_manifest(lambda manifest: manifest["files"].update(forged))(latest)
    # of a format whose manifest has no hash of its own, so that the state is read at all
    edit_manifest(lambda manifest: manifest.update(format=1))(latest)
    refused(CHECKPOINT, "train", f"Global.checkpoints={latest}", "Global.epochs=2")
    assert not (latest / "pwned").exists()


# -- code from a YAML, and numbers that run away --------------------------------------------------


def test_import_paths(refused, cli, tiny, monkeypatch):
    (tiny / "own_heads.py").write_text("from lookalike.models.heads import LinearHead as Head\n")
    monkeypatch.syspath_prepend(tiny)
    name = "Arch.Head={name: 'own_heads:Head', embedding_size: 16, num_classes: 6}"
    message = refused(CONFIG, "check", name)
    assert "--allow-import own_heads" in message
    code, output = cli("check", name, options=["--allow-import", "own_heads"])
    assert code == 0, output
    absent = "Arch.Head={name: 'absent_module:Head'}"
    message = refused(CONFIG, "check", absent, options=["--allow-import", "absent_module"])
    assert "No module named 'absent_module'" in message
    assert "Arch.Head" in message


def test_a_loss_that_is_not_finite_names_the_images(refused, tiny):
    message = refused(
        DIVERGED, "train", "Optimizer.lr.learning_rate=1e30", "Optimizer.lr.warmup_epoch=0"
    )
    assert re.search(r"epoch 1, iteration \d", message)
    assert len(re.findall(r"00\d/00\d\.jpg", message)) >= 4
    assert "learning rate" in message
    assert not (tiny / "output" / "latest").exists()


def test_debug_shows_the_traceback_and_keeps_the_code(cli, tiny):
    code, output = cli("check", "Globl.x=1", options=["--debug"])
    assert code == CONFIG
    assert "Traceback" in output
