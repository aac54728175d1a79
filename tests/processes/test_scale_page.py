"""What the page on several processes says can be read by machines."""

import re

import yaml
from conftest import ROOT

PAGE = (ROOT / "docs" / "scale.md").read_text()


def test_manifests_are_yaml_and_agree_with_each_other():
    blocks = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.S)]
    jobs = {block["kind"]: block["spec"] for block in blocks if "kind" in block}
    worker = jobs["PyTorchJob"]["pytorchReplicaSpecs"]["Worker"]
    (container,) = worker["template"]["spec"]["containers"]
    assert container["command"] == jobs["TrainJob"]["trainer"]["command"]
    assert worker["replicas"] == jobs["TrainJob"]["trainer"]["numNodes"]


def test_numbers_are_those_of_the_report():
    report = max((ROOT / "benchmarks").glob("processes_*.md"))
    lines = report.read_text().splitlines()
    shown = [line for line in lines if line.startswith(("| quantity", "| sharded Arc"))]
    assert report.name in PAGE
    assert all(line in PAGE for line in shown)


def test_options_are_there():
    options = (ROOT / "src/lookalike/cli/options.py").read_text()
    for option in ("--nproc", "--restarts"):
        assert f" {option} " in PAGE
        assert f'"{option}"' in options
