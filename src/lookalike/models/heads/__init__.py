"""Classifiers over the training identities; taken off after training."""

from lookalike.models.heads.ada_margin import AdaMargin
from lookalike.models.heads.arc_margin import ArcMargin
from lookalike.models.heads.circle_margin import CircleMargin
from lookalike.models.heads.cos_margin import CosMargin
from lookalike.models.heads.curricular_margin import CurricularMargin
from lookalike.models.heads.elastic_margin import ElasticMargin
from lookalike.models.heads.linear_head import LinearHead
from lookalike.models.heads.mag_margin import MagMargin
from lookalike.models.heads.sub_center_arc_margin import SubCenterArcMargin

__all__ = [
    "AdaMargin",
    "ArcMargin",
    "CircleMargin",
    "CosMargin",
    "CurricularMargin",
    "ElasticMargin",
    "LinearHead",
    "MagMargin",
    "SubCenterArcMargin",
]
