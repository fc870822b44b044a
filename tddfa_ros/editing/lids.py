"""Closing eyelids in edited images: the lids of the image slide over the eye, which stays where it is."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.editing.openings import Opening, Patch
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.types import DoubleArray, FloatArray, ImageBGR, IntArray

_WIDER = 1.24  # real eyes against the lid margins of the model, which end before the lashes
_UPPER_MARGIN, _LOWER_MARGIN = (
    0.04,
    0.085,
)  # of the width; a bit of the lower lid does no harm, as it hardly moves
_FULLNESS = 0.75  # exponent: how round the contour is at the corners
_MEETING = 0.86  # of the opening: the upper lid travels so far, the lower lid the rest
_LASHES = 0.055  # of the width: margin of the lid that moves unstretched
_UPPER_BAND, _LOWER_BAND = (0.16, 0.62), 0.45  # of the width: skin that stretches; up to the brow
_BROW = 0.10  # of the width: half the height of a brow
_SHADOW, _SHADOW_REACH = 0.30, 0.10  # under the lid; of the width
_LINE, _LINE_WIDTH = 0.38, 0.030  # darkness and width of the closed line of lashes


@dataclass(frozen=True, eq=False)
class EyeContour:
    """Margins of the lids of one eye in an image.

    Positions are x along the line between the corners and y across it, downward, px; a margin at ``s = x / half`` is
    ``(1 - s^2)^0.75 (c0 + c1 s + c2 s^2)``.

    Attributes:
        origin: (2,) px, between the corners.
        axis: (2,) unit vector from the corner on the left in the image to the other one.
        half: half the distance of the corners, px.
        upper: (3,) coefficients c of the upper margin.
        lower: (3,) of the lower margin.
        brow: y of the lower edge of the brow.
    """

    origin: DoubleArray
    axis: DoubleArray
    half: float
    upper: DoubleArray
    lower: DoubleArray
    brow: float

    def local(
        self, x: NDArray[np.floating], y: NDArray[np.floating]
    ) -> tuple[FloatArray, FloatArray]:
        """Convert image px to positions along and across the eye."""
        dx, dy = x - self.origin[0], y - self.origin[1]
        along, across = self.axis[0] * dx + self.axis[1] * dy, self.axis[0] * dy - self.axis[1] * dx
        return along.astype(np.float32), across.astype(np.float32)

    def margins(self, along: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return y of the upper and of the lower margin at x ``along``; 0 beyond the corners."""
        basis = _basis(along / self.half)
        return (basis @ self.upper).astype(np.float32), (basis @ self.lower).astype(np.float32)


def _basis(s: FloatArray) -> DoubleArray:
    s = np.clip(s, -1, 1).astype(np.float64)
    return np.stack([(1 - s * s) ** _FULLNESS * s**i for i in range(3)], axis=-1)


def lid_margins(model: MorphableModel, opening: Opening) -> tuple[IntArray, IntArray]:
    """Return the vertices (k,) of the upper and of the lower lid margin, where the skin ends in front of the eyeball, ordered along x."""
    _, joined = np.unique(np.round(model.mean * 1e6), axis=0, return_inverse=True)
    sides = model.triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    key = np.sort(joined.ravel()[sides], axis=1)
    _, first, counts = np.unique(key, axis=0, return_index=True, return_counts=True)
    rim = sides[first[counts == 1]]
    rim = np.unique(rim[opening.around[rim].all(axis=1)])
    if len(rim) < 8:
        nothing = np.zeros(0, dtype=np.int32)
        return nothing, nothing
    x, y = model.mean[rim, 0], model.mean[rim, 1]
    outer, inner = x.argmin(), x.argmax()
    above = y >= np.interp(x, x[[outer, inner]], y[[outer, inner]])
    order = np.argsort(x)
    upper, lower = (rim[order][side[order]] for side in (above, ~above))
    return np.asarray(upper, dtype=np.int32), np.asarray(lower, dtype=np.int32)


def eye_contour(
    vertices: FloatArray,
    margins: tuple[IntArray, IntArray],
    brow: FloatArray,
    face_size: float,
) -> EyeContour | None:
    """Fit the contour of an eye to its lid margins; None if the eye is seen edge-on.

    Args:
        vertices: (N, 3) px.
        margins: of :func:`lid_margins`.
        brow: (k, 2 or more) landmarks of the brow, px.
        face_size: px.
    """
    upper, lower = (vertices[side, :2].astype(np.float64) for side in margins)
    rim = np.concatenate([upper, lower])
    ends = rim[[rim[:, 0].argmin(), rim[:, 0].argmax()]]
    axis = ends[1] - ends[0]
    half = float(np.linalg.norm(axis)) / 2
    if half < max(0.03 * face_size, 2.0):
        return None
    axis /= 2 * half
    half *= _WIDER
    contour = EyeContour(ends.mean(axis=0), axis, half, np.zeros(3), np.zeros(3), 0.0)
    fitted = []
    for points, margin in ((upper, -_UPPER_MARGIN), (lower, _LOWER_MARGIN)):
        along, across = contour.local(points[:, 0], points[:, 1])
        basis = _basis(along / half)
        ridge = 1e-2 * np.eye(3) * len(basis) * [0, 1, 1]
        found = np.linalg.solve(basis.T @ basis + ridge, basis.T @ across)
        fitted.append(found + [margin * 2 * half, 0, 0])
    lowest = float(contour.local(brow[:, 0], brow[:, 1])[1].max()) + _BROW * 2 * half
    return EyeContour(contour.origin, axis, half, fitted[0], fitted[1], lowest)


def close_lids(image: ImageBGR, contour: EyeContour, closed: float) -> None:
    """Close the lids of one eye of an image in place.

    The skin above the upper margin and below the lower one is stretched over the eye; the eye itself does not move.

    Args:
        image: (H, W, 3) uint8 BGR.
        contour: the open eye in the image.
        closed: 0 = unchanged, 1 = closed.
    """
    if closed <= 0:
        return
    width = 2 * contour.half
    reach = np.array([[-1, -1], [1, 1]]) * (contour.half + _UPPER_BAND[1] * width)
    patch = Patch.around((contour.origin + reach).astype(np.float32), 2, image.shape)
    if patch is None:
        return
    x, y = np.meshgrid(
        np.arange(patch.x, patch.x + patch.width, dtype=np.float32),
        np.arange(patch.y, patch.y + patch.height, dtype=np.float32),
    )
    along, across = contour.local(x, y)
    upper, lower = contour.margins(along)
    meeting = upper + _MEETING * (lower - upper)
    new_upper, new_lower = upper + closed * (meeting - upper), lower + closed * (meeting - lower)
    above = new_upper - across
    below = across - new_lower
    low_band = np.full_like(upper, _LOWER_BAND * width)
    least, most = (share * width for share in _UPPER_BAND)
    band = np.clip(upper - contour.brow, least, most).astype(np.float32)
    source = np.where(
        across < (new_upper + new_lower) / 2,
        upper - _stretched(np.maximum(above, 0), new_upper - upper, band, width),
        lower + _stretched(np.maximum(below, 0), lower - new_lower, low_band, width),
    )
    shift = (source - across).astype(np.float32)
    # Across the eye is (-axis.y, axis.x) in the image.
    a, b = (np.float32(v) for v in contour.axis)
    here = patch.slices
    lids = cv2.remap(
        image, x - b * shift, y + a * shift, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    ).astype(np.float32)
    gap = np.clip(new_lower - new_upper, 0, 1)
    eye = np.clip(0.5 - above, 0, 1) * np.clip(0.5 - below, 0, 1) * gap
    depth = np.clip(-above / (_SHADOW_REACH * width), 0, 1)
    inside = image[here] * (1 - min(4 * closed, 1) * _SHADOW * (1 - depth))[..., None]
    out = lids * (1 - eye[..., None]) + inside * eye[..., None]
    s = np.clip(np.abs(along) / contour.half, 0, 1)
    thick = max(_LINE_WIDTH * width, 0.8) * (1 - 0.6 * s * s)
    line = _LINE * closed**2 * np.exp(-((above / thick) ** 2)) * (s < 1) * (1 - s**4)
    out *= (1 - line)[..., None]
    image[here] = np.clip(np.rint(out), 0, 255).astype(np.uint8)


def _stretched(height: FloatArray, moved: FloatArray, band: FloatArray, width: float) -> FloatArray:
    """Return the height over the old margin of skin now at ``height`` over a margin that has moved by ``moved`` px."""
    rigid = _LASHES * width
    scale = (band - rigid) / np.maximum(band + moved - rigid, 1e-3)
    stretched = np.where(height <= rigid, height, rigid + (height - rigid) * scale)
    return np.where(height < band + moved, stretched, height - moved).astype(np.float32)
