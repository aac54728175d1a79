"""Words to meaning: YAML text becomes a checked, frozen description of a run. No torch here."""

from lookalike.config.read import Document, read_yaml, read_yaml_text
from lookalike.config.schema import RunConfig
from lookalike.config.specs import ComponentSpec

__all__ = ["ComponentSpec", "Document", "RunConfig", "read_yaml", "read_yaml_text"]
