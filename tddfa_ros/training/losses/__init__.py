"""What a prediction should agree on: one file per term, their schedule, and the choice between two of them by look-ahead."""

from tddfa_ros.training.loss_weights import (
    TERMS,
    LossDecay,
    LossWeights,
    parse_loss_decay,
    parse_loss_weights,
)
from tddfa_ros.training.losses.terms import confidence_loss
from tddfa_ros.training.losses.face_loss import FaceLoss
from tddfa_ros.training.losses.terms import (GAPS, LIDS, gap_distance, lid_distance)
from tddfa_ros.training.losses.meta_joint import Choice, MetaJoint, Stateful, candidate_weights
from tddfa_ros.training.losses.terms import (PosedPoints, crop_pixels)
from tddfa_ros.training.losses.terms import (coefficient_distance, point_distance, robust)
from tddfa_ros.training.loss_weights import weights_at
from tddfa_ros.training.losses.terms import (balanced_weights, segmentation_loss)
from tddfa_ros.training.losses.terms import unsteadiness
from tddfa_ros.training.losses.terms import uv_position_loss
from tddfa_ros.training.losses.vdc import vertex_distance_cost
from tddfa_ros.training.losses.wpdc import Wpdc

__all__ = [
    "GAPS",
    "LIDS",
    "TERMS",
    "Choice",
    "FaceLoss",
    "LossDecay",
    "LossWeights",
    "MetaJoint",
    "PosedPoints",
    "Stateful",
    "Wpdc",
    "balanced_weights",
    "candidate_weights",
    "coefficient_distance",
    "confidence_loss",
    "crop_pixels",
    "gap_distance",
    "lid_distance",
    "parse_loss_decay",
    "parse_loss_weights",
    "point_distance",
    "robust",
    "segmentation_loss",
    "unsteadiness",
    "uv_position_loss",
    "vertex_distance_cost",
    "weights_at",
]
