"""How far lids and lips are apart: a few px in a crop, so terms over all landmarks hardly see whether an eye is shut."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tddfa_ros.training.losses.posed import crop_pixels

GAPS: tuple[tuple[int, int], ...] = (
    *((37, 41), (38, 40), (43, 47), (44, 46)),  # upper and lower lid
    *((61, 67), (62, 66), (63, 65)),  # inner edges of the lips
)
"""Pairs of the 68 landmarks that meet when an eye or the mouth closes."""
LIDS = ("eyeBlinkLeft", "eyeBlinkRight")
"""The coefficients that close the eyes, where a model has ARKit's names."""

_KNEE_PX = 0.5


def gap_distance(found: Tensor, wanted: Tensor) -> Tensor:
    """Mean Huber loss, knee at half a px, of the lengths in the picture of all :data:`GAPS` of landmarks (n, 68, 3), crop frame."""
    return nn.functional.huber_loss(_gaps(found), _gaps(wanted), delta=_KNEE_PX)


def lid_distance(found: Tensor, wanted: Tensor, std: Tensor, columns: list[int]) -> Tensor:
    """Mean absolute error of the params (n, P) in ``columns``, those of :data:`LIDS`, in standard deviations (P,)."""
    return ((found - wanted)[:, columns] / std[columns]).abs().mean()


def _gaps(landmarks: Tensor) -> Tensor:
    pixels = crop_pixels(landmarks)
    first, second = (list(side) for side in zip(*GAPS, strict=True))
    squared = (pixels[:, first] - pixels[:, second]).square().sum(dim=2)
    # a gap of exactly zero has no slope
    return torch.sqrt(squared + 1e-6)
