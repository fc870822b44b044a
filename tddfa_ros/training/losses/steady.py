"""Steadiness: between two frames of a video the error of a landmark should not change, whatever it is."""

from __future__ import annotations

import torch
from torch import Tensor

from tddfa_ros.training.losses.robust import robust


def unsteadiness(found: Tensor, wanted: Tensor, clip: Tensor) -> Tensor:
    """Mean robust change, px, of the error of landmarks (n, 68, 2) from one frame of a clip to the next; 0 where there is no clip.

    Args:
        clip: (n,) the same number for neighbours that are frames of one clip, -1 for single pictures.
    """
    first = torch.nonzero((clip[1:] == clip[:-1]) & (clip[1:] >= 0)).flatten()
    if len(first) == 0:
        return found.new_zeros(())
    errors = found - wanted
    return robust(errors[first + 1] - errors[first])
