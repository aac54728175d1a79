"""Two hosts, each a network of its own on this machine, train together under PyTorch's launcher.

``PYTHONPATH=tests:tests/processes python -m tests.soak.hosts`` needs the right to make network
namespaces (root, iproute2); where it lacks, it says so and tries nothing. Tried are an undisturbed
run, a process killed on one host, and a host's launcher killed and started again: all must end in
the same bits. When the launcher that holds the meeting point is killed, the other host must end.
Hosts are numbered (``--node-rank``) or meet (``--rdzv-backend c10d``); those that meet keep the
store of the launcher, or make a new one at each start (``TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1``).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from conftest import TINY_YAML, make_images, write_list
from test_training import largest_difference, same

from lookalike.training import load_checkpoint

STEPS = 12
# of a step: faults shall find a run that is on its way
PAUSE = 0.3


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


class Host:
    """A host's launcher.

    Args:
        name: ``a``, which holds the meeting point, or ``b``.
        root: The folder of the run.
        output: The run folder, which both hosts see.
        way: ``numbered``; or ``kept`` or ``new``, of the store of hosts that meet.
    """

    def __init__(self, name, root, output, way):
        number = "ab".index(name)
        if way == "numbered":
            meeting = ["--node-rank", str(number), "--master-addr", "10.77.0.1"]
            meeting += ["--master-port", "29511"]
        else:
            meeting = ["--rdzv-backend", "c10d", "--rdzv-endpoint", "10.77.0.1:29511"]
            meeting += ["--rdzv-id", "soak", "--local-addr", f"10.77.0.{number + 1}"]
            meeting += ["--rdzv-conf", f"is_host={1 - number}"]
        options = [f"Global.output_dir={output}", "Global.epochs=1", "+Global.save_steps=1"]
        options += [f"+Global.iter_per_epoch={STEPS}", "+Arch.Head.sharded=True"]
        command = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2"]
        command += [
            "--nproc-per-node",
            "1",
            "--max-restarts",
            "2",
            *meeting,
            "-m",
            "lookalike",
            "train",
        ]
        command += ["-c", str(root / "run.yaml"), "--resume-or-start"]
        for option in options:
            command += ["-o", option]
        own_name = f'hostname host-{name}; exec "$@"'
        inside = ["ip", "netns", "exec", f"look-{name}", "unshare", "--uts", "sh", "-c", own_name]
        environment = {
            **os.environ,
            "GLOO_SOCKET_IFNAME": f"look-v{name}",
            "OMP_NUM_THREADS": "1",
            "LOOKALIKE_FAULT": f"place.computing:1+:sleep={PAUSE}",
            # a launcher that comes later is not told where a store is that is kept (PyTorch 2.14)
            "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": str(int(way == "new")),
        }
        self.path = root / f"{output.name}_{name}_{time.monotonic_ns()}.txt"
        with open(self.path, "w") as file:
            self.process = subprocess.Popen(
                [*inside, "sh", *command], env=environment, stdout=file, stderr=subprocess.STDOUT
            )

    def worker(self):
        """Return the process that trains."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        found = [
            int(one) for one in children if b"RANK=" in Path(f"/proc/{one}/environ").read_bytes()
        ]
        return found[-1]

    def end(self, timeout=240.0):
        """Return the exit code and what was printed."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = None
        return code, self.path.read_text(errors="replace")


def steps_of(output):
    path = output / "metrics.jsonl"
    if not path.is_file():
        return []
    found = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
    return [one["step"] for one in found if one["kind"] == "train"]


def wait_for_steps(output, number, hosts):
    while len(steps_of(output)) < number and all(one.process.poll() is None for one in hosts):
        time.sleep(0.02)


DISTURBANCES = [
    ("numbered", "nothing"),
    ("numbered", "worker of a"),
    ("numbered", "worker of b"),
    ("numbered", "launcher of b"),
    ("kept", "worker of a"),
    ("kept", "worker of b"),
    ("new", "worker of a"),
    ("new", "worker of b"),
    ("new", "launcher of b"),
    ("new", "launcher of a"),
]


def disturbed(way, killed, root):
    """Train on two hosts, kill something after some steps; return how it went, and the texts."""
    output = root / f"{way}_{killed.replace(' ', '_')}"
    hosts = [Host(name, root, output, way) for name in "ab"]
    wait_for_steps(output, 3, hosts)
    since, which = time.monotonic(), "ab".find(killed[-1])
    if killed.startswith("worker"):
        os.kill(hosts[which].worker(), signal.SIGKILL)
    elif killed.startswith("launcher"):
        hosts[which].process.kill()
        hosts[which].process.wait()
        if killed.endswith("b"):
            time.sleep(2.0)
            hosts[which] = Host("b", root, output, way)
    found, steps = [host.end() for host in hosts], steps_of(output)
    codes = [code for code, _ in found]
    one = {
        "store": way,
        "killed": killed,
        "exit_codes": codes,
        "seconds_since": round(time.monotonic() - since, 1),
        "last_step": max(steps, default=0),
        "steps_twice": len(steps) - len(set(steps)),
    }
    if killed == "launcher of a":
        # the meeting point has gone with it, which the launchers of the others do not survive
        one["good"] = codes[1] not in (0, None)
    else:
        one["good"] = codes == [0, 0] and one["last_step"] == STEPS and equal(output, root)
    return one, "\n".join(text for _, text in found)


def equal(output, root):
    """Tell whether a run has ended in the bits of the one that nobody disturbed."""
    own, first = load_checkpoint(output), load_checkpoint(root / "numbered_nothing")
    return largest_difference(own, first) == 0.0 and same(own.state, first.state)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="what must be killed, such as launcher")
    asked = parser.parse_args()
    try:
        connect()
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"left out: no network namespaces here ({error})")
        return 0
    good = True
    try:
        with tempfile.TemporaryDirectory() as place:
            root = Path(place)
            write_list(root / "train.txt", make_images(root, 12))
            text = TINY_YAML.format(root=root).replace("class_num: 6", "class_num: 12")
            (root / "run.yaml").write_text(text)
            for way, killed in DISTURBANCES:
                if killed != "nothing" and asked.only not in killed:
                    continue
                one, printed = disturbed(way, killed, root)
                print(json.dumps(one), flush=True)
                if not one["good"]:
                    print(printed, flush=True)
                good = good and one["good"]
    finally:
        for name in "ab":
            ip("netns", "del", f"look-{name}", check=False)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
