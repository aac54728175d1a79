"""From the backbone's features to the embedding."""

from lookalike.models.necks.linear_neck import LinearNeck
from lookalike.models.necks.vehicle_neck import VehicleNeck

__all__ = ["LinearNeck", "VehicleNeck"]
