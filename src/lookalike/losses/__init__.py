"""What training minimises. A loss reads the model's output and the labels.

It returns a scalar, or several by name; ``WeightedSum`` adds them up.
"""

from lookalike.losses.angular import TripletAngularMarginLoss, TripletAngularMarginLossXBM
from lookalike.losses.center import CenterLoss
from lookalike.losses.circle import CircleLoss
from lookalike.losses.contrastive import ContrastiveLoss, ContrastiveLossXBM
from lookalike.losses.cross_entropy import CrossEntropy
from lookalike.losses.decoupled import DISTLoss, DKDLoss, SKDLoss, WSLLoss
from lookalike.losses.distance import DistanceLoss
from lookalike.losses.distillation import (
    DistillationCELoss,
    DistillationDistanceLoss,
    DistillationGTCELoss,
    DistillationMultiLabelLoss,
    DistillationRKDLoss,
)
from lookalike.losses.distillation_logits import (
    DistillationDISTLoss,
    DistillationDKDLoss,
    DistillationDMLLoss,
    DistillationKLDivLoss,
    DistillationSKDLoss,
    DistillationWSLLoss,
)
from lookalike.losses.distillation_pair import DistillationPairLoss
from lookalike.losses.eml import EmlLoss
from lookalike.losses.feature_distillation import MGDLoss, PEFDLoss
from lookalike.losses.hashing import DCHLoss, DSHSDLoss, LCDSHLoss
from lookalike.losses.magnitude import MagnitudeLoss
from lookalike.losses.metabin import (
    CELossForMetaBIN,
    InterDomainShuffleLoss,
    IntraDomainScatterLoss,
    TripletLossForMetaBIN,
)
from lookalike.losses.multi_label import MultiLabelAsymmetricLoss, MultiLabelLoss
from lookalike.losses.multi_similarity import MultiSimilarityLoss
from lookalike.losses.mutual import DMLLoss, KLDivLoss
from lookalike.losses.npairs import NpairsLoss
from lookalike.losses.pairwise_cosface import PairwiseCosface
from lookalike.losses.relational import RkdAngle, RkdDistance
from lookalike.losses.soft_target import SoftTargetCrossEntropy
from lookalike.losses.sup_con import SupCon
from lookalike.losses.tri_hard import MSMLoss, TriHardLoss
from lookalike.losses.triplet import TripletLoss, TripletLossV2
from lookalike.losses.weighted_sum import WeightedSum

__all__ = [
    "CELossForMetaBIN",
    "CenterLoss",
    "CircleLoss",
    "ContrastiveLoss",
    "ContrastiveLossXBM",
    "CrossEntropy",
    "DCHLoss",
    "DISTLoss",
    "DKDLoss",
    "DMLLoss",
    "DSHSDLoss",
    "DistanceLoss",
    "DistillationCELoss",
    "DistillationDISTLoss",
    "DistillationDKDLoss",
    "DistillationDMLLoss",
    "DistillationDistanceLoss",
    "DistillationGTCELoss",
    "DistillationKLDivLoss",
    "DistillationMultiLabelLoss",
    "DistillationPairLoss",
    "DistillationRKDLoss",
    "DistillationSKDLoss",
    "DistillationWSLLoss",
    "EmlLoss",
    "InterDomainShuffleLoss",
    "IntraDomainScatterLoss",
    "KLDivLoss",
    "LCDSHLoss",
    "MGDLoss",
    "MSMLoss",
    "MagnitudeLoss",
    "MultiLabelAsymmetricLoss",
    "MultiLabelLoss",
    "MultiSimilarityLoss",
    "NpairsLoss",
    "PEFDLoss",
    "PairwiseCosface",
    "RkdAngle",
    "RkdDistance",
    "SKDLoss",
    "SoftTargetCrossEntropy",
    "SupCon",
    "TriHardLoss",
    "TripletAngularMarginLoss",
    "TripletAngularMarginLossXBM",
    "TripletLoss",
    "TripletLossForMetaBIN",
    "TripletLossV2",
    "WSLLoss",
    "WeightedSum",
]
