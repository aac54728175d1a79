"""From the backbone's features to the embedding."""

from lookalike.models.necks.bn_neck import BNNeck
from lookalike.models.necks.frfn_neck import FRFNNeck
from lookalike.models.necks.gem_pooling import GeMPooling
from lookalike.models.necks.linear_neck import LinearNeck
from lookalike.models.necks.meta_bn_neck import MetaBNNeck
from lookalike.models.necks.tanh import Tanh
from lookalike.models.necks.vehicle_neck import VehicleNeck

__all__ = [
    "BNNeck",
    "FRFNNeck",
    "GeMPooling",
    "LinearNeck",
    "MetaBNNeck",
    "Tanh",
    "VehicleNeck",
]
