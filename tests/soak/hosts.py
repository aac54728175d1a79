"""Two hosts, each a network of its own on this machine, train together under PyTorch's launcher.

``PYTHONPATH=tests python -m tests.soak.hosts`` needs the right to make network namespaces (root,
iproute2); where it lacks, it says so and tries nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from conftest import TINY_YAML, make_images, write_list

STEPS = 2


def ip(*words, check=True):
    return subprocess.run(["ip", *words], check=check, capture_output=True, text=True)


def connect():
    """Make two networks with a cable between them."""
    for name in "ab":
        ip("netns", "add", f"look-{name}")
    ip("link", "add", "look-va", "type", "veth", "peer", "name", "look-vb")
    for number, name in enumerate("ab", start=1):
        ip("link", "set", f"look-v{name}", "netns", f"look-{name}")
        ip("-n", f"look-{name}", "addr", "add", f"10.77.0.{number}/24", "dev", f"look-v{name}")
        for device in ("lo", f"look-v{name}"):
            ip("-n", f"look-{name}", "link", "set", device, "up")


def start(name, number, root):
    """Start the launcher of a host."""
    command = [
        *("ip", "netns", "exec", f"look-{name}", sys.executable, "-m", "torch.distributed.run"),
        *("--nnodes", "2", "--node-rank", str(number), "--nproc-per-node", "1"),
        *("--master-addr", "10.77.0.1", "--master-port", "29511", "-m", "lookalike", "train"),
        *("-c", str(root / "run.yaml"), "-o", "Global.epochs=1"),
        *("-o", f"+Global.iter_per_epoch={STEPS}"),
    ]
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": f"look-v{name}", "OMP_NUM_THREADS": "1"}
    pipe, both = subprocess.PIPE, subprocess.STDOUT
    return subprocess.Popen(command, env=environment, stdout=pipe, stderr=both, text=True)


def main():
    try:
        connect()
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"left out: no network namespaces here ({error})")
        return 0
    try:
        with tempfile.TemporaryDirectory() as place:
            root = Path(place)
            write_list(root / "train.txt", make_images(root, 12))
            text = TINY_YAML.format(root=root).replace("class_num: 6", "class_num: 12")
            (root / "run.yaml").write_text(text)
            hosts = [start(name, number, root) for number, name in enumerate("ab")]
            printed = [host.communicate(timeout=240)[0] for host in hosts]
            good = [host.returncode for host in hosts] == [0, 0]
            done = (root / "output" / "metrics.jsonl").read_text().count('"train"') == STEPS
    finally:
        for name in "ab":
            ip("netns", "del", f"look-{name}", check=False)
    print("two hosts have trained" if good and done else "\n".join(printed))
    return 0 if good and done else 1


if __name__ == "__main__":
    sys.exit(main())
