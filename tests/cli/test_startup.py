"""What a command does not need is not imported."""

import subprocess
import sys

HEAVY = ["timm", "torchvision", "torch._dynamo", "sympy", "matplotlib", "onnx", "tensorboard"]
CHECK = """
import sys
from lookalike.cli.check import run_check
from lookalike.cli.train import run_training
def loaded():
    print("loaded:", [name for name in {heavy} if name in sys.modules])
overrides = ["Arch.Backbone.name=ResNet18", "Arch.Neck.in_channels=512"]
run_check("run.yaml", overrides, as_json=False, allow_import=[], strict_device=False)
loaded()
overrides += ["Global.epochs=1", "Global.iter_per_epoch=1"]
nothing = {{"allow_import": [], "allow_missing": []}}
run_training("run.yaml", overrides, resume=False, strict_device=False, **nothing)
loaded()
"""


def test_checking_and_training_a_resnet_load_no_other_library(tiny):
    code = CHECK.format(heavy=HEAVY)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tiny, timeout=240
    )
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stdout.splitlines() if line.startswith("loaded:")]
    assert told == ["loaded: []", "loaded: []"]
