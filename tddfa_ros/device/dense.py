"""Reconstruction on the device: the bases of the morphable model stay there, and all heads of a batch are one matrix product."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tddfa_ros.device.pose import DevicePose
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.types import CROP_FRAME, POSE_SIZE

if TYPE_CHECKING:
    from torch import Tensor

HALF_STEP = 2.0**-11
"""Largest rounding of a float16 vertex, of its distance to the origin along an axis: 0.06 mm at 0.125 m, 0.06 px at 128 px."""


class DenseVertices(NamedTuple):
    """Vertices of n faces on the device.

    Attributes:
        values: (n, N, 3) float32, or float16 relative to ``origin``; image px, or m in the camera optical frame.
        origin: (n, 3) float32, to be added to ``values``: zero for float32; for float16 the origin of the model in the image, or
            the sellion, as in the message field ``vertices_float16``.
    """

    values: Tensor
    origin: Tensor

    def full(self) -> Tensor:
        """Return the vertices (n, N, 3) in float32."""
        return self.values.float() + self.origin[:, None]


class DeviceDense:
    """Landmarks and dense vertices of many faces from their parameters, on one device, in float32.

    Use PyTorch's default precision of float32 products: TF32 (``torch.backends.cuda.matmul.allow_tf32``) rounds the
    coefficients to ten bits.

    Args:
        model: the morphable model.
        device: a ``torch.device``.
    """

    def __init__(self, model: MorphableModel, device: Any) -> None:
        import torch

        self.model, self.device = model, device
        bases = (model.shape_basis, model.expression_basis)
        dense = np.concatenate([basis.reshape(-1, basis.shape[2]) for basis in bases], axis=1)
        self._mean = torch.tensor(model.mean.reshape(-1), device=device)
        self._basis = torch.tensor(np.ascontiguousarray(dense.T), device=device)
        mean, basis = model.landmark_bases
        self._landmark_mean = torch.tensor(mean.reshape(-1), device=device)
        self._landmark_basis = torch.tensor(basis, device=device)
        self._flip = torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64, device=device)
        self._shift = torch.tensor([-1.0, CROP_FRAME, -1.0], dtype=torch.float64, device=device)

    def head_landmarks(self, params: Tensor) -> Tensor:
        """Reconstruct the landmarks (n, 68, 3), m, model frame, of parameters (n, P)."""
        return self._evaluate(params, self._landmark_mean, self._landmark_basis)

    def heads(self, params: Tensor) -> Tensor:
        """Reconstruct the heads (n, N, 3), m, model frame, of parameters (n, P)."""
        return self._evaluate(params, self._mean, self._basis)

    def crop_landmarks(self, params: Tensor) -> Tensor:
        """Reconstruct the landmarks (n, 68, 3) in px of the crop; see :func:`tddfa_ros.geometry.pose.to_crop`."""
        return _placed(self.head_landmarks(params), *self._crop_affine(params))

    def landmarks(self, params: Tensor, rois: Tensor) -> Tensor:
        """Reconstruct the landmarks (n, 68, 3), image px, of parameters (n, P) in ROIs (n, 4) float64."""
        return _placed(self.head_landmarks(params), *self._image_affine(params, rois))

    def vertices(self, heads: Tensor, params: Tensor, rois: Tensor, half: bool) -> DenseVertices:
        """Place heads (n, N, 3) in the image: vertices in image px; see :func:`tddfa_ros.geometry.pose.to_image`."""
        linear, offset = self._image_affine(params, rois)
        return _vertices(heads, linear, offset, offset, half)

    def vertices_metric(
        self, heads: Tensor, pose: DevicePose, sellions: Tensor, scale: Tensor, half: bool
    ) -> DenseVertices:
        """Place heads (n, N, 3) in the camera optical frame: vertices in m.

        Args:
            heads: of :meth:`heads`.
            pose: of the heads at the size of the model.
            sellions: (n, 3) m, in the model frame.
            scale: (n,) float64 true size over regressed size.
            half: float16.
        """
        linear = scale[:, None, None] * pose.rotation
        origin = scale[:, None] * pose.sellion
        offset = origin - (linear @ sellions.double()[:, :, None])[:, :, 0]
        return _vertices(heads, linear, offset, origin, half)

    def _evaluate(self, params: Tensor, mean: Tensor, basis: Tensor) -> Tensor:
        import torch

        flat = torch.addmm(mean, params[:, POSE_SIZE:], basis)
        return flat.view(len(params), len(mean) // 3, 3)

    def _crop_affine(self, params: Tensor) -> tuple[Tensor, Tensor]:
        pose = params[:, :POSE_SIZE].reshape(-1, 3, 4).double()
        return pose[..., :3] * self._flip[:, None], pose[..., 3] * self._flip + self._shift

    def _image_affine(self, params: Tensor, rois: Tensor) -> tuple[Tensor, Tensor]:
        import torch

        linear, offset = self._crop_affine(params)
        sides = (rois[:, 2:] - rois[:, :2]) / CROP_FRAME
        factor = torch.cat([sides, sides.mean(dim=1, keepdim=True)], dim=1)
        corner = torch.nn.functional.pad(rois[:, :2], (0, 1))
        return linear * factor[:, :, None], offset * factor + corner


def _vertices(
    heads: Tensor, linear: Tensor, offset: Tensor, origin: Tensor, half: bool
) -> DenseVertices:
    import torch

    if not half:
        return DenseVertices(_placed(heads, linear, offset), torch.zeros_like(offset).float())
    # With a float32 origin, so that nothing is lost when it is added.
    origin = origin.float()
    return DenseVertices(_placed(heads, linear, offset - origin).half(), origin)


def _placed(points: Tensor, linear: Tensor, offset: Tensor) -> Tensor:
    """Compute ``linear @ point + offset`` (n, N, 3) in float32, in one pass."""
    import torch

    return torch.baddbmm(offset.float()[:, None], points, linear.float().transpose(1, 2))
