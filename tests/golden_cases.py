"""Reading the recorded reference numbers of tests/golden (see its README)."""

import json
from pathlib import Path

import numpy as np
import torch

GOLDEN = Path(__file__).parent / "golden"
NORMATIVE = ("ok", "reference_repaired")


def cases(*kinds, components=None, statuses=NORMATIVE):
    """Return the cases of some kinds that must be met, as pytest parameters with their ids."""
    import pytest

    manifest = json.loads((GOLDEN / "manifest.json").read_text())
    return [
        pytest.param(case, id=case["id"])
        for case in manifest["cases"]
        if case["kind"] in kinds
        and case["status"] in statuses
        and not any(part.get("informative_only") for part in _tolerances(case))
        and (components is None or case["component"] in components)
    ]


def _tolerances(case):
    parts = [part for part in case["tolerance"].values() if isinstance(part, dict)]
    return [case["tolerance"], *parts]


def arrays(case):
    with np.load(GOLDEN / case["file"]) as archive:
        return {name: archive[name] for name in archive.files}


def yaml_args(case):
    return {key: value for key, value in case["params"].items() if not key.startswith("_")}


def assert_near(found, expected, tolerance, what=""):
    found = found.detach().numpy() if isinstance(found, torch.Tensor) else np.asarray(found)
    np.testing.assert_allclose(
        found, expected, rtol=tolerance["rtol"], atol=tolerance["atol"], err_msg=what
    )


def copy_parameters(module, data, prefix="param."):
    """Copy recorded parameters; linear weights are recorded as [in, out]."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            recorded = data.get(prefix + name, data.get(prefix + name.rpartition(".")[2]))
            value = torch.from_numpy(recorded)
            parameter.copy_(value.T if value.ndim == 2 else value)
