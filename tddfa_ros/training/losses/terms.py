"""Terms of the loss: posed points, coefficients, eyelids and lips, clips, parsing, UV position, confidence, sigma."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.data.frames import IGNORE
from tddfa_ros.types import CROP_FRAME, POSE_SIZE

_INNER = ("inner_mouth", "tongue", "neck", "scalp")  # regions that are not sampled


class PosedPoints(nn.Module):
    """Pose points: params (n, P) -> (n, L, 3) in the crop frame, the 68 landmarks, then ``count`` sampled vertices of the face."""

    def __init__(self, model: MorphableModel, count: int = 256, seed: int = 0) -> None:
        super().__init__()
        inner = [model.region_names.index(n) for n in _INNER if n in model.region_names]
        face = np.flatnonzero(~np.isin(model.regions, inner))
        chosen = np.random.default_rng(seed).choice(face, min(count, len(face)), replace=False)
        self.layout = model.layout

        def rows(values: np.ndarray) -> Tensor:
            at_landmarks = np.einsum(
                "lcx...,lc->lx...",
                values[model.triangles[model.landmark_triangles]],
                model.landmark_weights,
            )
            return torch.from_numpy(
                np.concatenate([at_landmarks, values[chosen]]).astype(np.float32)
            )

        joint = np.concatenate([model.shape_basis, model.expression_basis], axis=2)
        self.register_buffer("base", rows(np.asarray(model.mean)).reshape(-1))
        self.register_buffer("basis", rows(joint).reshape(-1, joint.shape[2]))
        self.base: Tensor
        self.basis: Tensor

    def forward(self, params: Tensor) -> Tensor:
        pose = params[:, :POSE_SIZE].unflatten(1, (3, 4))
        head = (self.base + params[:, POSE_SIZE:] @ self.basis.T).unflatten(1, (-1, 3))
        return head @ pose[:, :, :3].transpose(1, 2) + pose[:, None, :, 3]


def crop_pixels(points: Tensor) -> Tensor:
    """Convert points (..., 3) of the crop frame, y up and counted from 1, to crop pixels (..., 2), x right, y down."""
    return torch.stack([points[..., 0] - 1, CROP_FRAME - points[..., 1]], dim=-1)


def uv_position_loss(found: Tensor, wanted: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the mean absolute error of UV position maps over texels with a surface point, px; 0 without such texels.

    z is compared relative to its mean over the face, because its origin is arbitrary.

    Args:
        found: (n, 3, u, u), crop frame.
        wanted: (n, 3, u, u); texels of three zeros, or with a value that is not finite, have no surface point.
        mask: weights of texels, (u, u) or broadcastable to (n, 1, u, u); None: equal weights.
    """
    held = wanted.isfinite().all(dim=1, keepdim=True) & (wanted != 0).any(dim=1, keepdim=True)
    weight = held.to(found.dtype) if mask is None else held * mask.to(found.dtype)
    difference = torch.where(held, found - wanted, 0)
    least = torch.finfo(found.dtype).eps
    depth = (difference[:, 2:] * weight).sum(dim=(1, 2, 3), keepdim=True)
    depth = depth / weight.sum(dim=(1, 2, 3), keepdim=True).clamp_min(least)
    error = torch.cat([difference[:, :2], difference[:, 2:] - depth], dim=1).abs()
    return (error.mean(dim=1, keepdim=True) * weight).sum() / weight.sum().clamp_min(least)


def segmentation_loss(
    logits: Tensor, target: Tensor, class_weights: Tensor | None = None
) -> Tensor:
    """Return the cross entropy averaged over labeled pixels, weighted by class; 0 without labeled pixels.

    Args:
        logits: (n, C, h, w).
        target: (n, h, w) int64 class ids, :data:`~tddfa_ros.training.data.frames.IGNORE` where unknown.
        class_weights: (C,); None: equal weights.
    """
    weights = logits.new_ones(logits.shape[1]) if class_weights is None else class_weights
    entropy = nn.functional.cross_entropy(
        logits, target, weights, ignore_index=IGNORE, reduction="sum"
    )
    counted = weights[target[target != IGNORE]].sum()
    return entropy / counted.clamp_min(torch.finfo(logits.dtype).eps)


def balanced_weights(pixels: Sequence[int], most: float = 10.0) -> Tensor:
    """Return class weights (C,) by median frequency balancing (Eigen and Fergus, 2015).

    Args:
        pixels: of each class. The median class gets weight 1, one of half its size 2; a class without pixels gets 1.
        most: largest weight.
    """
    counts = torch.as_tensor(list(pixels), dtype=torch.float64)
    present = counts > 0
    if not present.any():
        return torch.ones(len(counts))
    middle = counts[present].quantile(0.5)
    weights = torch.where(present, middle / counts.clamp_min(1), torch.ones_like(counts))
    return weights.clamp_max(most).float()


def clip_jitter(found: Tensor, wanted: Tensor, clip: Tensor) -> Tensor:
    """Return the mean robust change of landmark errors between the frames of a clip, px; 0 without clips.

    Args:
        found: (n, 68, 2) px.
        wanted: (n, 68, 2) px.
        clip: (n,) the same number for consecutive rows of one clip, -1 for single images.
    """
    first = torch.nonzero((clip[1:] == clip[:-1]) & (clip[1:] >= 0)).flatten()
    if len(first) == 0:
        return found.new_zeros(())
    errors = found - wanted
    return robust(errors[first + 1] - errors[first])


GAPS: tuple[tuple[int, int], ...] = (
    *((37, 41), (38, 40), (43, 47), (44, 46)),  # upper and lower eyelid
    *((61, 67), (62, 66), (63, 65)),  # inner edges of the lips
)
"""Pairs of the 68 landmarks that meet when the eyes or the mouth close."""
LIDS = ("eyeBlinkLeft", "eyeBlinkRight")
"""Coefficients that close the eyes, of models with ARKit names."""

_KNEE_PX = 0.5


def gap_distance(found: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean Huber loss (knee at 0.5 px) of the image distances of all :data:`GAPS`, for landmarks (n, 68, 3) in the crop frame."""
    return nn.functional.huber_loss(_gaps(found), _gaps(wanted), delta=_KNEE_PX)


def lid_distance(found: Tensor, wanted: Tensor, std: Tensor, columns: list[int]) -> Tensor:
    """Return the mean absolute error of the columns :data:`LIDS` of params (n, P), in standard deviations (P,)."""
    return ((found - wanted)[:, columns] / std[columns]).abs().mean()


def _gaps(landmarks: Tensor) -> Tensor:
    pixels = crop_pixels(landmarks)
    first, second = (list(side) for side in zip(*GAPS, strict=True))
    squared = (pixels[:, first] - pixels[:, second]).square().sum(dim=2)
    # the root has no gradient at 0
    return torch.sqrt(squared + 1e-6)


KNEE_PX = 1.5
"""Where the Huber loss changes from quadratic to linear."""


def robust(difference: Tensor) -> Tensor:
    """Return the mean Huber loss of differences in px, with its knee at :data:`KNEE_PX`."""
    return nn.functional.huber_loss(difference, torch.zeros_like(difference), delta=KNEE_PX)


def point_distance(found: Tensor, wanted: Tensor, depth_weight: float) -> Tensor:
    """Return the robust distance of points (n, L, 3), px; z is compared relative to its mean, because its origin is arbitrary."""
    depth = found[..., 2] - wanted[..., 2]
    depth = depth - depth.mean(dim=1, keepdim=True)
    return robust(found[..., :2] - wanted[..., :2]) + depth_weight * robust(depth)


def coefficient_distance(found: Tensor, wanted: Tensor, std: Tensor) -> Tensor:
    """Return the mean absolute error of the identity and expression coefficients of params (n, P), in standard deviations (P,)."""
    return ((found - wanted) / std)[:, POSE_SIZE:].abs().mean()


def confidence_loss(logits: Tensor, face: Tensor) -> Tensor:
    """Return the mean binary cross entropy of logits (n,) against ``face`` (n,), 1 or 0."""
    return nn.functional.binary_cross_entropy_with_logits(logits, face.to(logits.dtype))


def sigma_loss(landmarks: Tensor, wanted: Tensor, sigma: Tensor) -> Tensor:
    """Return the mean negative log-likelihood of landmark errors under a Laplace distribution (Kendall and Gal, 2017, with fixed mean).

    The landmarks are detached: this term trains the uncertainty only.

    Args:
        landmarks: (n, L, 2) px.
        wanted: (n, L, 2) px.
        sigma: (n, L) standard deviation of each coordinate, px.
    """
    distance = (landmarks.detach() - wanted).abs().mean(dim=2)
    return (torch.log(sigma) + 2.0**0.5 * distance / sigma).mean()
