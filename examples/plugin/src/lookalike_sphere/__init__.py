"""A SphereFace head for Lookalike."""

from lookalike_sphere.heads import SphereHead

__all__ = ["SphereHead"]
