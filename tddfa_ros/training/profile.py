"""Face profiling (Zhu et al., "Face Alignment Across Large Poses", CVPR 2016): rotate an image of a face to a larger yaw.

Images of profiles are rare, so fitted frontal faces are rotated out of the image plane. The image is warped by a displacement field, which is
exact where the rotated mesh shows skin that is visible in the image. Elsewhere (background, hair, hidden skin) it is the smoothest field between
these regions and the border.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.morphable import MorphableModel
from tddfa_ros.rendering.raster import rasterize
from tddfa_ros.training.cache import CACHE_SIDE, MARGIN
from tddfa_ros.types import CROP_FRAME, POSE_SIZE, FloatArray, ImageBGR

_GRID = 4  # px per cell of the grid on which the field is interpolated
_SWEEPS = 160  # Jacobi iterations
_DEPTH_SLACK = 2.5  # px behind the nearest surface up to which a vertex counts as visible
_FACING = 0.12  # smallest cosine between normal and viewing direction of skin that is used
_MOSTLY = 0.6  # least visibility of a pixel of the rotated mesh
_SOME = 0.15  # least share of pixels with known displacement per cell
_NEIGHBORS = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], np.float32) / 4
_ROI_PER_FACE = float(np.sqrt(2))


class Profiler:
    """Callable: (stored image, params, rotation in degrees, > 0 to the right of the image) -> the rotated face, same format."""

    def __init__(self, model: MorphableModel) -> None:
        self._model = model
        self._joint = np.concatenate([model.shape_basis, model.expression_basis], axis=2)

    def __call__(
        self, image: ImageBGR, params: FloatArray, turn_deg: float
    ) -> tuple[ImageBGR, FloatArray]:
        field, params, after = self._turned(params, turn_deg)
        return self._reframe(image, field, params, after)

    def field(self, params: FloatArray, turn_deg: float) -> FloatArray:
        """Return the displacement field (192, 192, 2) of a rotation, stored px: position in the original image minus that in the rotated one."""
        return self._turned(params, turn_deg)[0]

    def _turned(
        self, params: FloatArray, turn_deg: float
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the displacement field, the parameters and the vertices (N, 3), stored px, after a rotation."""
        head = np.asarray(self._model.mean + self._joint @ params[POSE_SIZE:], dtype=np.float32)
        pose = params[:POSE_SIZE].reshape(3, 4).astype(np.float64)
        turned = pose.copy()
        turned[:, :3] = pose[:, :3] @ _about_y(np.radians(turn_deg))
        before, after = _stored_pixels(head, pose), _stored_pixels(head, turned)
        params = params.copy()
        params[:POSE_SIZE] = turned.ravel()
        return self._field(before, after), params, after

    def _field(self, before: FloatArray, after: FloatArray) -> FloatArray:
        """Return the displacement field (192, 192, 2): position in the original image minus position in the rotated one, px.

        The background moves with the outline of the head: each end of a row of the rotated head maps to the end of that row in the
        original. Hidden skin is interpolated between visible skin and the outline.
        """
        seen, depth = self._seen(before)
        values = np.concatenate([(before - after)[:, :2], seen[:, None]], axis=1)
        raster = rasterize(
            after, self._model.triangles, values.astype(np.float32), (CACHE_SIDE, CACHE_SIDE)
        )
        known = raster.mask & (raster.values[..., 2] > _MOSTLY)
        moves, outline = _outline(np.isfinite(depth), raster.mask)
        inside = _fill(
            np.where(known[..., None], raster.values[..., :2], moves), known | outline, border=False
        )
        outside = _fill(moves, outline, border=True)
        inside = np.where(known[..., None], raster.values[..., :2], inside)
        return np.where(raster.mask[..., None], inside, outside).astype(np.float32)

    def _seen(self, vertices: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the visibility (N,) of vertices, 1 or 0, and the depth map (192, 192) of the head."""
        triangles = self._model.triangles
        corners = vertices[triangles]
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        summed = np.zeros_like(vertices)
        for corner in range(3):
            for axis in range(3):
                summed[:, axis] += np.bincount(
                    triangles[:, corner], normal[:, axis], minlength=len(vertices)
                )
        # y points down in pixels, which inverts the orientation of triangles
        facing = -summed[:, 2] / np.maximum(np.linalg.norm(summed, axis=1), 1e-9)
        raster = rasterize(vertices, triangles, vertices, (CACHE_SIDE, CACHE_SIDE))
        column, row = (np.rint(vertices[:, i]).astype(int) for i in (0, 1))
        inside = (column >= 0) & (column < CACHE_SIDE) & (row >= 0) & (row < CACHE_SIDE)
        nearest = np.full(len(vertices), np.inf)
        nearest[inside] = raster.depth[row[inside], column[inside]]
        seen = (facing > _FACING) & inside & (vertices[:, 2] > nearest - _DEPTH_SLACK)
        return seen.astype(np.float32), raster.depth

    def _reframe(
        self, image: ImageBGR, field: FloatArray, params: FloatArray, vertices: FloatArray
    ) -> tuple[ImageBGR, FloatArray]:
        """Center the ROI of the rotated face, and sample the original image once."""
        model = self._model
        corners = vertices[model.triangles[model.landmark_triangles]]
        landmarks = np.einsum("lcx,lc->lx", corners, model.landmark_weights)[:, :2]
        low, high = landmarks.min(axis=0), landmarks.max(axis=0)
        side = float((high - low).max()) * _ROI_PER_FACE
        scale = side / CROP_FRAME  # px of the rotated image per px of the result
        start = (low + high) / 2 - scale * (CACHE_SIDE - 1) / 2
        axis = np.arange(CACHE_SIDE, dtype=np.float32) * scale
        x, y = np.meshgrid(axis + start[0], axis + start[1])
        x, y = x.astype(np.float32), y.astype(np.float32)
        shift = cv2.remap(field, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        warped = cv2.remap(
            image,
            x + shift[..., 0],
            y + shift[..., 1],
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        out = params.copy()
        pose = out[:POSE_SIZE].reshape(3, 4)
        pose /= scale
        # stored px = crop px + MARGIN; crop px is x - 1, and 120 - y
        old = np.array([pose[0, 3] * scale - 1, CROP_FRAME - pose[1, 3] * scale]) + MARGIN
        new = (old - start) / scale - MARGIN
        pose[0, 3], pose[1, 3] = new[0] + 1, CROP_FRAME - new[1]
        return np.asarray(warped, dtype=np.uint8), out


def pose_angles(params: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return yaw (n,) and roll (n,) in degrees, positive to the right of the image and toward its left."""
    pose = params[:, :POSE_SIZE].reshape(-1, 3, 4)
    yaw = np.degrees(np.arctan2(pose[:, 0, 2], pose[:, 2, 2]))
    roll = np.degrees(np.arctan2(pose[:, 1, 0], pose[:, 1, 1]))
    return yaw.astype(np.float32), roll.astype(np.float32)


def _stored_pixels(head: FloatArray, pose: NDArray[np.float64]) -> FloatArray:
    points = head @ pose[:, :3].T + pose[:, 3]
    points[:, 0] += MARGIN - 1
    points[:, 1] = CROP_FRAME + MARGIN - points[:, 1]
    return np.asarray(points, dtype=np.float32)


def _about_y(angle: float) -> NDArray[np.float64]:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])


def _outline(
    before: NDArray[np.bool_], after: NDArray[np.bool_]
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Return the displacement of the pixels beyond both ends of each row of the mask ``after`` to the ends of that row of ``before``.

    Returns:
        Displacements (s, s, 2) px, and the mask (s, s) of pixels that have one.
    """
    moves = np.zeros((*after.shape, 2), dtype=np.float32)
    given = np.zeros(after.shape, dtype=np.bool_)
    rows = np.flatnonzero(before.any(axis=1) & after.any(axis=1))
    last = after.shape[1] - 1
    for first_of, outward in ((np.argmax, -1), (_last_true, 1)):
        old, new = first_of(before[rows], axis=1), first_of(after[rows], axis=1)
        for distance in range(1, _GRID + 1):
            column = np.clip(new + outward * distance, 0, last)
            moves[rows, column, 0] = old - new
            given[rows, column] = True
    given &= ~after
    return moves, given


def _last_true(mask: NDArray[np.bool_], axis: int) -> NDArray[np.int64]:
    return np.asarray(mask.shape[axis] - 1 - np.argmax(np.flip(mask, axis), axis=axis))


def _fill(values: FloatArray, known: NDArray[np.bool_], border: bool) -> FloatArray:
    """Keep ``values`` (s, s, 2) where known, and solve Laplace's equation on a coarse grid elsewhere; ``border``: 0 at the image border."""
    side = CACHE_SIDE // _GRID
    share = cv2.resize(known.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA)
    mean = (
        cv2.resize(
            values * known[..., None].astype(np.float32), (side, side), interpolation=cv2.INTER_AREA
        )
        / np.maximum(share, 1e-6)[..., None]
    )
    fixed = share > _SOME
    if border:
        fixed[[0, -1], :], fixed[:, [0, -1]] = True, True
        mean[[0, -1], :], mean[:, [0, -1]] = 0, 0
    grid = np.where(fixed[..., None], mean, mean[fixed].mean(axis=0) if fixed.any() else 0)
    grid, mean = grid.astype(np.float32), mean.astype(np.float32)
    for _ in range(_SWEEPS):
        smooth = cv2.filter2D(grid, -1, _NEIGHBORS, borderType=cv2.BORDER_REPLICATE)
        grid = np.where(fixed[..., None], mean, smooth)
    return np.asarray(
        cv2.resize(grid, values.shape[1::-1], interpolation=cv2.INTER_LINEAR), dtype=np.float32
    )
