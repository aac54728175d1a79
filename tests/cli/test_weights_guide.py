"""The guide's way from a PP-ShiTu file to a fine-tuned model, as docs/weights.md prints it."""

import json
import pickle
import re
import sys

import numpy as np
import pytest
from conftest import ROOT, make_images, write_list
from safetensors.torch import load_file

sys.path.insert(0, str(ROOT / "benchmarks" / "weights"))
from components import COMPONENTS

GUIDE = (ROOT / "docs" / "weights.md").read_text().split("### Fine-tuning a PP-ShiTu model")[1]
COMMANDS = re.findall(r"^lookalike (.*)$", GUIDE.split("```")[1], re.M)
INDEX = json.loads((ROOT / "tests" / "golden_weights" / "index.json").read_text())["components"]
CLASSES = 40  # of the old head; the released one has 192,612


@pytest.fixture
def folder(tmp_path):
    """A checkpoint of PP-ShiTu's shape with random values, and a list of a user's products."""
    component, keys = COMPONENTS["RecModel"], INDEX["RecModel"]["keys"]
    state = {key: component.fill(key, tuple(shape)) for key, (_, *shape) in keys.items()}
    del state["head.fc.bias"]  # which the released model does not have
    state["head.fc.weight"] = np.ones((512, CLASSES), dtype=np.float32)
    released = tmp_path / "general_PPLCNetV2_base_pretrained_v1.0.pdparams"
    released.write_bytes(pickle.dumps(state, protocol=4))
    rows = make_images(tmp_path, num_labels=5, per_label=4)
    write_list(tmp_path / "train.txt", rows)
    return tmp_path


@pytest.mark.slow
@pytest.mark.walkthrough
def test_the_guides_commands_convert_and_fine_tune(folder, lookalike):
    convert, train = (re.sub(r"(?<=-c )configs/", f"{ROOT}/configs/", line) for line in COMMANDS)
    words = [*convert.split(), "-o", f"Arch.Head.class_num={CLASSES}"]
    done = lookalike(*words, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "left over           0" in done.stdout
    found = load_file(folder / "shitu.safetensors")
    assert found["head.fc.weight"].shape == (CLASSES, 512)

    data = {"image_root": folder / "images", "cls_label_path": folder / "train.txt"}
    loaders = ("Train", "Eval.Query", "Eval.Gallery")
    own = [f"DataLoader.{at}.dataset.{k}={v}" for at in loaders for k, v in data.items()]
    own += [
        f"DataLoader.{at}.{k}"
        for at in loaders
        for k in ("sampler.batch_size=8", "loader.num_workers=0")
    ]  # noqa: E501
    own += ["DataLoader.Train.sampler.id_list=null", "DataLoader.Train.sampler.ratio=null"]
    own += ["DataLoader.Train.sampler.sample_per_id=2"]
    own += ["Global.epochs=1", "Global.iter_per_epoch=1", "Global.device=cpu"]
    own += [f"Global.output_dir={folder / 'output'}"]
    words = [word.strip("'") for word in train.split()]
    done = lookalike(*words, *(part for text in own for part in ("-o", text)), cwd=folder)
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert f"head.fc.weight [{CLASSES}, 512] -> [120, 512]" in said
    assert "missing 0 left over 0 of another shape 1" in said
    tuned = load_file(folder / "output" / "latest" / "model.safetensors")
    assert tuned["head.fc.weight"].shape == (120, 512)

    refused = lookalike(*words[: words.index("--allow-missing")], cwd=folder)
    assert refused.returncode == 6  # without the permission nothing is loaded
