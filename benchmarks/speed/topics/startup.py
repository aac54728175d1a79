"""What a person waits for before anything happens."""

from benchmarks.speed.plan import Case, System, Topic

_CASE = (Case("a process", {}, "startup"),)


def _command(name: str, function: str, package: str = "lookalike", **more: str) -> System:
    return System(name, f"startup:{function}", package=package, gpu=False, **more)  # type: ignore[arg-type]


TOPIC = Topic(
    name="startup",
    title="Start-up",
    unit="s",
    what="Whole processes; `check` reads the YAML of the seed document with its data in place.",
    cases=_CASE,
    quick=_CASE,
    systems=(
        _command("lookalike --help", "show_help", role="ours"),
        _command("lookalike check", "check", role="ours"),
        _command("lookalike list", "list_heads", role="ours"),
        _command("python -c pass", "bare", package="", role="limit"),
        _command("import torch", "import_torch", package="torch", role="bare"),
        _command("import torchvision", "import_torchvision", package="torchvision", role="bare"),
        System(
            "import PML",
            "startup:import_pml",
            "peers",
            package="pytorch-metric-learning",
            gpu=False,
        ),
        System(
            "import OML", "startup:import_oml", "peers", package="open-metric-learning", gpu=False
        ),
        System("import ppcls", "startup:import_ppcls", "paddle", package="paddleclas", gpu=False),
    ),
    prepare="startup_files:write",
    least=2,
)
