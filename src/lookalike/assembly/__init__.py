"""Where names become objects: the only room that knows both the YAML and the components."""

from lookalike.assembly.build import build
from lookalike.assembly.job import Job, build_job
from lookalike.assembly.load import load_run

__all__ = ["Job", "build", "build_job", "load_run"]
