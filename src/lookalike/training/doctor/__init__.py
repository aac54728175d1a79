"""The training doctor: illnesses of a run, recognised from what it prints anyway."""

from lookalike.training.doctor.doctor import Doctor
from lookalike.training.doctor.look import Finding, Look

__all__ = ["Doctor", "Finding", "Look"]
