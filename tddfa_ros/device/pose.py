"""Metric head poses on the device: :mod:`tddfa_ros.geometry.camera` for pinhole cameras in PyTorch, all faces of a batch at once.

The same weak-perspective start and the same Levenberg-Marquardt steps in float64; a face that is done is masked. Without the
covariance, which the vertices do not need.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from tddfa_ros.geometry.camera import SELLION
from tddfa_ros.geometry.covariance import LANDMARK_SIGMA, PREDICTED_FACTOR

if TYPE_CHECKING:
    from torch import Tensor

# As in tddfa_ros.geometry.perspective.
_ITERATIONS = 15
_SMALL_GAIN = 1e-4
_NEAREST = 0.02
_MIN_COSINE = math.cos(math.radians(30))
_MAX_LOG_ZOOM = math.log(1.5)


class DevicePose(NamedTuple):
    """Metric poses of n heads in the camera optical frame, at the size of the model.

    Attributes:
        rotation: (n, 3, 3) float64, camera <- model.
        sellion: (n, 3) float64, m, position of the sellion in the camera frame; NaN for a face without a pose.
    """

    rotation: Tensor
    sellion: Tensor


class _Estimate(NamedTuple):
    rotation: Tensor
    position: Tensor
    residual: Tensor
    jacobian: Tensor
    cost: Tensor


def rotations(pose: Tensor) -> Tensor:
    """Compute the rotations (n, 3, 3) of weak-perspective poses (n, 3, 4); see :func:`tddfa_ros.geometry.pose.decompose`."""
    import torch

    rows = pose[:, :2, :3].double()
    unit = rows / rows.norm(dim=-1, keepdim=True)
    sides = torch.stack([unit[:, 0] + unit[:, 1], unit[:, 0] - unit[:, 1]])
    sides = sides / (math.sqrt(2) * sides.norm(dim=-1, keepdim=True))
    r1, r2 = sides[0] + sides[1], sides[0] - sides[1]
    return torch.stack([r1, r2, torch.linalg.cross(r1, r2)], dim=1)


def metric_poses(
    heads: Tensor, pixels: Tensor, rotation: Tensor, pinhole: Tensor, sigma: Tensor | None
) -> DevicePose:
    """Estimate metric poses from the 68 landmarks.

    Args:
        heads: (n, 68, 3) landmarks of the heads, m, model frame.
        pixels: (n, 68, 2 or more) the same landmarks, image px.
        rotation: (n, 3, 3) float64, crop frame <- model; see :func:`rotations`.
        pinhole: (n, 5) float64 focal length x, skew, center x, focal length y, center y, px.
        sigma: (n, 68) standard deviation of each landmark, px; None = LANDMARK_SIGMA.
    """
    import torch

    whole = heads.double()
    points = (whole - whole[:, SELLION, None]).transpose(1, 2).contiguous()
    seen = pixels[..., :2].double()
    fx, skew, cx, fy, cy = pinhole[:, :, None].unbind(1)
    v = (seen[..., 1] - cy) / fy
    uv = torch.stack([(seen[..., 0] - cx - skew * v) / fx, v], dim=1)
    lens = torch.zeros((len(heads), 2, 2, 1), dtype=torch.float64, device=heads.device)
    lens[:, 0, 0], lens[:, 0, 1], lens[:, 1, 1] = fx, skew, fy
    lens = lens / _noise(seen, sigma)[:, None, None, None]
    turned, position = _weak_perspective(points, uv, rotation)
    return DevicePose(*_refine(points, uv, lens, turned, position))


def _noise(pixels: Tensor, sigma: Tensor | None) -> Tensor:
    """Return standard deviations (n,), px; see :func:`tddfa_ros.geometry.covariance.landmark_noise`."""
    sides = pixels.amax(dim=1) - pixels.amin(dim=1)
    face = sides.prod(dim=1).sqrt().clamp_min(1e-3)
    if sigma is None:
        return LANDMARK_SIGMA * face
    predicted = PREDICTED_FACTOR * sigma.double().square().mean(dim=1).sqrt()
    limited = predicted.maximum(0.002 * face).minimum(face)
    return limited.where(predicted.isfinite(), face)


def _weak_perspective(points: Tensor, uv: Tensor, rotation: Tensor) -> tuple[Tensor, Tensor]:
    """Return rotations and positions; see :func:`tddfa_ros.geometry.perspective.weak_perspective`."""
    shrink = 1 / (1 + uv.square().sum(dim=1, keepdim=True)).sqrt()
    to_ray = _axis_to_ray((uv * shrink).sum(dim=2) / shrink.sum(dim=2))
    seen = to_ray[:, :2].transpose(1, 2) @ uv + to_ray[:, 2, :, None]
    seen = seen[:, :2] / seen[:, 2:]
    turned = rotation * rotation.new_tensor([1.0, -1.0, -1.0])[:, None]
    placed = turned @ points
    center, middle = placed.mean(dim=2), seen.mean(dim=2)
    extent = (placed[:, :2] - center[:, :2, None]).square().sum(dim=(1, 2))
    size = (seen - middle[:, :, None]).square().sum(dim=(1, 2))
    usable = (extent > 1e-10) & (size > 1e-16)
    depth = (extent / size.where(usable, size.new_ones(()))).sqrt()
    depth = depth.maximum(center[:, 2] - placed[:, 2].amin(dim=1) + _NEAREST)
    offset = center.clone()
    offset[:, :2] -= depth[:, None] * middle
    offset[:, 2] -= depth
    position = -(to_ray @ offset[:, :, None])[:, :, 0]
    turned = to_ray @ turned
    nearest = (turned[:, 2:] @ points)[:, 0].amin(dim=1)
    further = (_NEAREST - position[:, 2] - nearest).clamp_min(0.0) / to_ray[:, 2, 2]
    position = position + further[:, None] * to_ray[:, :, 2]
    return turned, position.where(usable[:, None], position.new_tensor(math.nan))


def _axis_to_ray(uv: Tensor) -> Tensor:
    """Return the smallest rotations (n, 3, 3) from the optical axis to the rays of ``uv`` (n, 2)."""
    import torch

    z = 1 / (1 + uv.square().sum(dim=1, keepdim=True)).sqrt()
    xy = uv * z
    out = uv.new_empty((len(uv), 3, 3))
    eye = torch.eye(2, dtype=uv.dtype, device=uv.device)
    out[:, :2, :2] = eye - (xy / (1 + z))[:, :, None] * xy[:, None]
    out[:, :2, 2], out[:, 2, :2], out[:, 2, 2:] = xy, -xy, z
    return out


def _refine(
    points: Tensor, uv: Tensor, lens: Tensor, rotation: Tensor, position: Tensor
) -> tuple[Tensor, Tensor]:
    """Minimize the reprojection errors; see :func:`tddfa_ros.geometry.perspective.refine`."""
    import torch

    start = best = _linearize(points, uv, lens, rotation, position)
    damping = torch.full_like(best.cost, 1e-4)
    going = torch.ones_like(best.cost, dtype=torch.bool)
    settled = 1e-8 * points.shape[2]
    for _ in range(_ITERATIONS):
        normal = best.jacobian @ best.jacobian.transpose(1, 2)
        normal.diagonal(dim1=1, dim2=2).mul_(1 + damping[:, None])
        downhill = best.jacobian @ -best.residual[:, :, None]
        step, failed = torch.linalg.solve_ex(normal, downhill)
        gain = (downhill * step).sum(dim=(1, 2))
        going = going & (failed == 0) & (gain > _SMALL_GAIN * best.cost + settled)
        if not bool(going.any()):
            break
        step = step.where(going[:, None, None], step.new_zeros(()))
        trial = _linearize(
            points,
            uv,
            lens,
            _exp(step[:, 3:, 0]) @ best.rotation,
            best.position + step[:, :3, 0],
        )
        better = going & (trial.cost < best.cost)
        best = _chosen(better, trial, best)
        damping = torch.where(better, 0.1 * damping, 10 * damping.clamp_min(1e-3))
    trace = (start.rotation * best.rotation).sum(dim=(1, 2))
    zoom = (best.position[:, 2] / start.position[:, 2]).log().abs()
    best = _chosen((trace > 1 + 2 * _MIN_COSINE) & (zoom < _MAX_LOG_ZOOM), best, start)
    return best.rotation, best.position


def _chosen(mask: Tensor, yes: _Estimate, no: _Estimate) -> _Estimate:
    pairs = zip(yes, no, strict=True)
    return _Estimate(*(a.where(mask.view(-1, *[1] * (a.ndim - 1)), b) for a, b in pairs))


def _linearize(
    points: Tensor, uv: Tensor, lens: Tensor, rotation: Tensor, position: Tensor
) -> _Estimate:
    """Project the points and differentiate by the position and a small rotation about the camera axes."""
    import torch

    turned = rotation @ points
    depth = turned[:, 2] + position[:, 2, None]
    projected = (turned[:, :2] + position[:, :2, None]) / depth[:, None]
    off = projected - uv
    residual = (lens[:, :, 0] * off[:, None, 0] + lens[:, :, 1] * off[:, None, 1]).flatten(1)
    shrunk = lens / depth[:, None, None]
    by_x, by_y = shrunk[:, :, 0], shrunk[:, :, 1]
    by_z = -by_x * projected[:, None, 0] - by_y * projected[:, None, 1]
    x, y, z = turned[:, None, 0], turned[:, None, 1], turned[:, None, 2]
    rotated = (y * by_z - z * by_y, z * by_x - x * by_z, x * by_y - y * by_x)
    jacobian = torch.stack([by_x, by_y, by_z, *rotated], dim=1).flatten(2)
    in_front = depth.amin(dim=1) > _NEAREST / 2
    cost = residual.square().sum(dim=1)
    return _Estimate(
        rotation, position, residual, jacobian, cost.where(in_front, cost.new_tensor(math.inf))
    )


def _exp(vectors: Tensor) -> Tensor:
    """Convert rotation vectors (n, 3), rad, to rotations (n, 3, 3) by Rodrigues' formula."""
    import torch

    angle = vectors.norm(dim=1)[:, None, None]
    zero = torch.zeros_like(vectors[:, 0])
    x, y, z = vectors.unbind(1)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).view(-1, 3, 3)
    eye = torch.eye(3, dtype=vectors.dtype, device=vectors.device)
    half = torch.sinc(angle / (2 * math.pi))
    return eye + torch.sinc(angle / math.pi) * cross + 0.5 * half.square() * (cross @ cross)
