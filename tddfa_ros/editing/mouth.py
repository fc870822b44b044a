"""Inside of the mouth in edited images: cavity, tongue, and two rows of teeth, which the morphable model lacks."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.editing.layers import relit
from tddfa_ros.editing.openings import Opening, Patch
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.types import DoubleArray, FloatArray, IntArray

_CAVITY = np.array([38, 34, 82], np.float32)  # BGR, close behind the lips
_TONGUE = np.array([98, 92, 168], np.float32)
_IVORY = np.array([188, 208, 220], np.float32)
_GAP = 0.72  # brightness between two teeth
_REACH = 0.014  # m; light falls off to 1/e so far behind the lips
_UPPER, _LOWER, _CHIN = 62, 66, 8  # inner edges of the lips and the chin among the 68 landmarks
_CORNERS = (48, 54)

# The rows of teeth: half ellipses seen from above, in half mouth widths of the face at rest; heights in m.
_HALF_WIDTH, _DEPTH, _BEHIND_LIPS = 1.05, 1.35, 0.006
_ANGLE = np.radians(78)
_COLUMNS = 161
_TEETH = 7.5  # on each side of the middle
_UPPER_EDGE, _UPPER_HEIGHT = -0.0050, 0.011  # the upper teeth show a little below the lip line
_LOWER_EDGE, _LOWER_HEIGHT = -0.0035, 0.009


def mouth_colors(
    model: MorphableModel,
    opening: Opening,
    rest: FloatArray,
    head: FloatArray,
    vertices: FloatArray,
    to_pixels: DoubleArray,
    patch: Patch,
    covered: FloatArray,
    skin: FloatArray,
) -> FloatArray:
    """Render the inside of a mouth, (h, w, 3) BGR 0..255, without occlusion by the lips.

    Args:
        rest: (N, 3) the neutral head, m, model frame.
        head: (N, 3) the head with its expression, m, model frame.
        vertices: (N, 3) ``head`` in image px.
        to_pixels: (3, 4) affine map from the model frame to image px.
        covered: (h, w) coverage of each pixel of the patch by the inside, 0..1.
        skin: (3,) BGR of the surrounding skin, to adapt the illumination.
    """
    front = float(model.landmarks_of(head)[[_UPPER, _LOWER], 2].mean())
    lit = np.exp(np.minimum(head[:, 2] - front, 0) / _REACH)
    tongue = np.array([name == "tongue" for name in model.region_names])[model.regions]
    color = np.where(tongue[:, None], _TONGUE, _CAVITY) * (0.12 + 0.88 * lit[:, None])
    inside = model.triangles[opening.inside[model.triangles].all(axis=1)]
    image = patch.draw(vertices, inside, color.astype(np.float32))
    teeth, rows, ivory = _teeth(model, rest, head)
    placed = (teeth @ to_pixels[:, :3].T + to_pixels[:, 3]).astype(np.float32)
    # The inner lips of the mesh would occlude the teeth, so these are drawn on top.
    solid = patch.covered(placed, rows, np.ones(len(placed), dtype=np.bool_))[..., None]
    image = image * (1 - solid) + patch.draw(placed, rows, ivory)
    return relit(image * _shade_of_lips(covered, patch)[..., None], skin)


def _shade_of_lips(covered: FloatArray, patch: Patch) -> FloatArray:
    """Return the shadow of the lips: darker at the edge of the opening."""
    solid = (covered > 0.5).astype(np.uint8)
    inward = cv2.distanceTransform(solid, cv2.DIST_L2, 3)
    reach = max(0.04 * patch.width, 1.0)
    return np.asarray(0.6 + 0.4 * np.clip(inward / reach, 0, 1), dtype=np.float32)


def _teeth(
    model: MorphableModel, rest: FloatArray, head: FloatArray
) -> tuple[DoubleArray, IntArray, FloatArray]:
    """Return vertices (n, 3) m, model frame, triangles (t, 3) and colors (n, 3) of both rows.

    The upper row is fixed to the skull, the lower one follows the chin.
    """
    at_rest, now = model.landmarks_of(rest).astype(float), model.landmarks_of(head).astype(float)
    half = float(abs(at_rest[_CORNERS[0], 0] - at_rest[_CORNERS[1], 0])) / 2
    jaw = (now - at_rest)[_CHIN]
    front = min(at_rest[_UPPER, 2], at_rest[_LOWER, 2]) - _BEHIND_LIPS
    upper = np.array([0, at_rest[_UPPER, 1] + _UPPER_EDGE, front])
    lower = np.array([0, at_rest[_LOWER, 1] + _LOWER_EDGE, front - 0.002]) + jaw * [0, 1, 1]
    rows = (_row(upper, half, _UPPER_HEIGHT), _row(lower, 0.92 * half, -_LOWER_HEIGHT))
    strip = _strip()
    ivory = _ivory()
    return (
        np.concatenate(rows),
        np.concatenate([strip, strip + 2 * _COLUMNS]),
        np.concatenate([ivory, 0.8 * ivory]).astype(np.float32),
    )


def _row(edge: DoubleArray, half: float, height: float) -> DoubleArray:
    """Return incisal edge, then gum line, of one row: (2 * columns, 3)."""
    angle = np.linspace(-_ANGLE, _ANGLE, _COLUMNS)
    x = _HALF_WIDTH * half * np.sin(angle)
    z = -_DEPTH * half * (1 - np.cos(angle))
    cut = np.stack([x, np.zeros_like(x), z], axis=1) + edge
    return np.concatenate([cut, cut + [0, height, 0]])


def _strip() -> IntArray:
    a = np.arange(_COLUMNS - 1)
    b, c, d = a + 1, a + _COLUMNS, a + 1 + _COLUMNS
    return np.concatenate([np.stack([a, b, d], 1), np.stack([a, d, c], 1)]).astype(np.int32)


def _ivory() -> FloatArray:
    """Return the colors of one row: bright in the middle, dark lines between teeth, redder at the gums."""
    angle = np.linspace(-1, 1, _COLUMNS)
    place = np.abs(angle) ** 1.1 * _TEETH
    between: NDArray[np.bool_] = np.abs(place - np.round(place)) < 0.09
    light = np.cos(angle * _ANGLE) ** 1.2 * np.where(between, _GAP, 1)
    cut = light[:, None] * _IVORY
    return np.concatenate([cut, 0.62 * cut * [0.85, 0.85, 1.0]]).astype(np.float32)
