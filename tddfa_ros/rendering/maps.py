"""Render maps of faces: depth, and projected normalized coordinate code (PNCC)."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.errors import ImageError
from tddfa_ros.rendering.protocols import MeshFace, SurfaceModel, check_shape, far_to_near
from tddfa_ros.rendering.raster import rasterize, visible_surface
from tddfa_ros.types import FloatArray, ImageBGR

_DIMMEST = 48  # of 255: the farthest point must differ from the black background


def depth_map(face: MeshFace, shape: Sequence[int]) -> FloatArray:
    """Render the relative depth of a face.

    Args:
        face: a face whose ``vertices`` are in px of the image.
        shape: shape of the image, (height, width) or more.

    Returns:
        (height, width) float32, px as ``face.vertices[:, 2]``, nearer = larger; NaN outside the face.

    Raises:
        ConfigError: the shape has no height or width of at least 1.
    """
    surface = visible_surface(face.vertices, face.model.triangles, check_shape(shape))
    return np.where(surface.mask, surface.depth, np.float32(np.nan))


def color_depth(depth: FloatArray) -> ImageBGR:
    """Color-code a depth map (h, w) as (h, w, 3) uint8 BGR: near is bright, far is dark, NaN is black.

    Raises:
        ImageError: the depth is not (h, w).
    """
    if depth.ndim != 2:
        raise ImageError(f"a depth map must have the shape (h, w), not {depth.shape}")
    known = np.isfinite(depth)
    level = np.zeros(depth.shape, dtype=np.uint8)
    if known.any():
        far, near = float(depth[known].min()), float(depth[known].max())
        share = (depth[known] - far) / max(near - far, 1e-6)
        level[known] = np.rint(_DIMMEST + (255 - _DIMMEST) * share)
    image = cv2.applyColorMap(level, cv2.COLORMAP_INFERNO)
    image[~known] = 0
    return np.asarray(image, dtype=np.uint8)


def pncc(faces: Sequence[MeshFace], shape: Sequence[int]) -> NDArray[np.uint8]:
    """Render the projected normalized coordinate code (PNCC): the position on the mean head at every pixel.

    Zhu et al., "Face Alignment Across Large Poses: A 3D Solution" (CVPR 2016), eq. 3 and 4: the mean head's coordinates, each axis scaled to 0..1, are
    the colors of the mesh.

    Args:
        faces: faces of one image; near (large) faces occlude far ones.
        shape: shape of the image, (height, width) or more.

    Returns:
        (height, width, 3) uint8 BGR, so that R, G, B = x, y, z of the model frame; black outside the faces.

    Raises:
        ConfigError: the shape has no height or width of at least 1.
    """
    size = check_shape(shape)
    out = np.zeros((*size, 3), dtype=np.uint8)
    for face in far_to_near(faces):
        drawn = rasterize(face.vertices, face.model.triangles, coordinate_code(face.model), size)
        out[drawn.mask] = np.rint(255 * drawn.values[drawn.mask][:, ::-1])
    return out


def coordinate_code(model: SurfaceModel) -> FloatArray:
    """Return the mean head (N, 3), each axis scaled to 0..1: the NCC of Zhu et al., eq. 3."""
    low, high = model.mean.min(axis=0), model.mean.max(axis=0)
    return np.asarray((model.mean - low) / (high - low), dtype=np.float32)
