"""What a prediction should agree on: one file per term, their schedule, and the choice between two of them by look-ahead."""

from tddfa_ros.training.loss_weights import (
    TERMS,
    LossDecay,
    LossWeights,
    parse_loss_decay,
    parse_loss_weights,
    weights_at,
)
from tddfa_ros.training.losses.face_loss import FaceLoss
from tddfa_ros.training.losses.meta_joint import Choice, MetaJoint, Stateful, candidate_weights
from tddfa_ros.training.losses.terms import (
    GAPS,
    LIDS,
    PosedPoints,
    balanced_weights,
    coefficient_distance,
    confidence_loss,
    crop_pixels,
    gap_distance,
    lid_distance,
    point_distance,
    robust,
    segmentation_loss,
    unsteadiness,
    uv_position_loss,
)
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
