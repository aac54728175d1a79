"""The command works where little is as on a developer's machine."""

import json
import os
import subprocess
import sys

from conftest import TINY_YAML, make_images, write_list

POOR = {
    "LC_ALL": "C",
    "PYTHONIOENCODING": "ascii",  # a terminal that knows no other letters
    "TERM": "dumb",
    "COLUMNS": "40",
    "HOME": "/proc/nowhere",  # not even root can make this
}


def test_no_utf8_no_home_no_terminal_and_a_path_with_spaces_and_signs(tmp_path):
    root = tmp_path / "\u8f66 \u8f86 \xe9"
    root.mkdir()
    write_list(root / "train.txt", make_images(root))
    (root / "run.yaml").write_text(
        TINY_YAML.format(root=root).replace("epochs: 2", "epochs: 1"), encoding="utf-8"
    )
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-m", "lookalike", "train", "-c", str(root / "run.yaml")],
        capture_output=True, text=True, timeout=240, stdin=subprocess.DEVNULL, cwd=root,
        env={**kept, **POOR, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert "\\u8f66 \\u8f86" in done.stdout  # told as well as it can be
    assert "\u8f66 \u8f86" in (root / "output" / "train.log").read_text(encoding="utf-8")
    manifest = json.loads((root / "output" / "latest" / "manifest.json").read_text())
    assert manifest["epoch"] == 1
