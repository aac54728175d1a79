"""What a command does not need is not imported."""

import subprocess
import sys

HEAVY = ["timm", "torchvision", "torch._dynamo", "sympy", "matplotlib", "onnx", "tensorboard"]
CHECK = """
import sys
from lookalike.cli.check import run_check
overrides = ["Arch.Backbone.name=ResNet18", "Arch.Neck.in_channels=512"]
run_check("run.yaml", overrides, as_json=False, allow_import=[], strict_device=False)
print("loaded:", [name for name in {heavy} if name in sys.modules])
"""


def test_a_check_of_a_resnet_loads_no_other_library(tiny):
    code = CHECK.format(heavy=HEAVY)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tiny, timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "loaded: []"
