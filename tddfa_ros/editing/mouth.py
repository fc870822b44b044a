"""Inside of the mouth in edited images: cavity, tongue, teeth and gums, darker the deeper they lie."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.editing.layers import Light, relit
from tddfa_ros.editing.openings import Opening, Patch
from tddfa_ros.geometry.pose import to_image
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.morphable.teeth import moved_teeth, teeth_of
from tddfa_ros.rendering.shading import image_normals
from tddfa_ros.rendering.texture import fill_gaps
from tddfa_ros.types import DoubleArray, FloatArray, ImageBGR, IntArray

_CAVITY = np.array([46, 42, 98], np.float32)  # BGR, close behind the lips
_TONGUE = np.array([116, 110, 184], np.float32)
_CAVITY_REACH, _REACH = 0.018, 0.034  # m; light falls off to 1/e so far behind the teeth
_LEAST = 0.55  # of the cavity's color, far behind: light scattered by the cheeks; the mouth is dark red, not black
_LAMP = np.array([0.1, 0.35, 0.93], np.float32)  # y up, z toward the viewer
_AMBIENT = 0.7
_LIP_SHADOW = (0.08, 0.25)  # of the width of the opening: reach from above; darkness
_RIM_SHADOW = (0.03, 0.30)
_OUTSIDE = (0.014, 0.004)  # m in front of the teeth: lips cast no shadow so far out; full shadow
_UPPER = 62  # inner edge of the upper lip among the 68 landmarks
_LEAST_SPREAD = np.array([9.0, 4.0, 4.0], np.float32)  # of lips in Lab, 8 bit
_LIKE, _UNLIKE = 2.0, 3.5  # spreads from the color of the lips


@dataclass(frozen=True, eq=False)
class _Part:
    """A mesh inside the mouth: vertices (n, 3) px, distance ahead of the teeth (n,) m, triangles (t, 3), colors (n, 3) BGR."""

    vertices: FloatArray
    ahead: FloatArray
    triangles: IntArray
    colors: FloatArray


def mouth_colors(
    model: MorphableModel,
    opening: Opening,
    rest: FloatArray,
    head: FloatArray,
    expression: FloatArray,
    vertices: FloatArray,
    to_pixels: DoubleArray,
    patch: Patch,
    covered: FloatArray,
    light: Light,
    own_teeth: float = 0.0,
) -> FloatArray:
    """Render the inside of a mouth, (h, w, 3) BGR 0..255, without occlusion by the lips.

    Args:
        rest: (N, 3) the neutral head, m, model frame.
        head: (N, 3) the head with its expression, m, model frame.
        expression: (E,) its coefficients.
        vertices: (N, 3) ``head`` in image px.
        to_pixels: (3, 4) affine map from the model frame to image px.
        covered: (h, w) coverage of each pixel of the patch by the inside, 0..1.
        light: illumination of the face.
        own_teeth: 0..1, share of the upper teeth that the source image shows; only the rest is drawn.
    """
    front = float(model.landmarks_of(rest)[_UPPER, 2]) - 0.008
    triangles = model.triangles[opening.inside[model.triangles].all(axis=1)]
    tongue = np.array([name == "tongue" for name in model.region_names])[model.regions]
    is_tongue = tongue[triangles].all(axis=1)
    ahead = head[:, 2] - front
    cavity = np.ones((len(vertices), 4), np.float32)
    depth = np.exp(np.minimum(ahead, 0) / _CAVITY_REACH)[:, None]
    cavity[:, :3] = _CAVITY * (_LEAST + (1 - _LEAST) * depth)
    shadow = _shadow_of_lips(covered)[..., None]
    behind = patch.draw(vertices, triangles[~is_tongue], cavity) * np.concatenate(
        [shadow, shadow, shadow, np.ones_like(shadow)], axis=2
    )
    # The lining of the lips would hide the teeth, so tongue and teeth are drawn over the cavity.
    parts = [_Part(vertices, ahead, triangles[is_tongue], np.tile(_TONGUE, (len(vertices), 1)))]
    teeth = teeth_of(model)
    if teeth is not None:
        placed = moved_teeth(model, teeth, rest, expression)
        pixels = (placed @ to_pixels[:, :3].T + to_pixels[:, 3]).astype(np.float32)
        rows = teeth.triangles
        if own_teeth > 0.5:
            rows = rows[teeth.lower[rows[:, 0]]]
        parts.append(_Part(pixels, placed[:, 2] - front, rows, 255 * teeth.colors))
    return relit(_over(behind, patch, parts, shadow), light)


def _over(behind: FloatArray, patch: Patch, parts: list[_Part], shadow: FloatArray) -> FloatArray:
    """Draw shaded meshes over an image with coverage (h, w, 4); ``shadow`` (h, w, 1) darkens what is not in front of the lips."""
    starts = np.cumsum([0, *(len(part.vertices) for part in parts)])
    vertices = np.concatenate([part.vertices for part in parts])
    triangles = np.concatenate([p.triangles + s for p, s in zip(parts, starts, strict=False)])
    ahead = np.concatenate([part.ahead for part in parts])
    facing = np.clip(image_normals(vertices, triangles) @ _LAMP, 0, 1)
    shade = (_AMBIENT + (1 - _AMBIENT) * facing) * np.exp(np.minimum(ahead, 0) / _REACH)
    colors = np.concatenate([part.colors for part in parts]) * shade[:, None]
    outside = np.clip((ahead - _OUTSIDE[1]) / (_OUTSIDE[0] - _OUTSIDE[1]), 0, 1)
    flags = np.stack([np.ones_like(ahead), outside], axis=1)
    drawn = patch.draw(
        vertices, triangles, np.concatenate([colors, flags], axis=1).astype(np.float32)
    )
    solid = drawn[..., 3:4]
    free = drawn[..., 4:5] / np.maximum(solid, 1e-6)
    light = shadow + (1 - shadow) * free
    color = behind[..., :3] * (1 - solid) + light * drawn[..., :3]
    trust = behind[..., 3:] * (1 - solid) + solid
    color = (color / np.maximum(trust, 1e-3)).astype(np.float32)
    return fill_gaps(color, np.where(trust[..., 0] > 0.3, 1, 0).astype(np.float32))


def _shadow_of_lips(covered: FloatArray) -> FloatArray:
    """Return the light (h, w) 0..1 that the lips leave: dark below the upper lip, and at the edge of the opening."""
    solid = (covered > 0.5).astype(np.uint8)
    width = max(float(np.count_nonzero(solid.any(axis=0))), 1.0)
    inward = cv2.distanceTransform(solid, cv2.DIST_L2, 5)
    top = np.where(solid.any(axis=0), solid.argmax(axis=0), 0)
    below = (np.arange(len(solid))[:, None] - top[None, :]).astype(np.float32)
    below = np.asarray(cv2.GaussianBlur(below, (0, 0), max(0.02 * width, 0.5)), np.float32)
    light = np.ones(solid.shape, np.float32)
    for distance, (reach, darkness) in ((below, _LIP_SHADOW), (inward, _RIM_SHADOW)):
        x = np.clip(distance / max(reach * width, 1.0), 0, 1)
        light *= 1 - darkness * (1 - x * x * (3 - 2 * x))
    return light


def unlike_lips(image: ImageBGR, lips: FloatArray, zone: FloatArray) -> FloatArray:
    """Return the part (h, w) 0..1 of a zone whose color is not that of the lips, such as teeth or the gap between lips.

    Args:
        image: (h, w, 3) uint8 BGR.
        lips: (h, w) 0..1, coverage by lips.
        zone: (h, w) 0..1, the margin of the mouth's inside.
    """
    sure = (lips > 0.9) & (zone < 0.1)
    if sure.sum() < 12:
        return zone
    lab = cv2.cvtColor(image, cv2.COLOR_BGR2Lab).astype(np.float32)
    middle = np.median(lab[sure], axis=0)
    spread = 1.48 * np.median(np.abs(lab[sure] - middle), axis=0)
    away = np.linalg.norm((lab - middle) / np.maximum(spread, _LEAST_SPREAD), axis=2)
    return np.asarray(zone * np.clip((away - _LIKE) / (_UNLIKE - _LIKE), 0, 1), dtype=np.float32)


def evened_lips(image: FloatArray, lips: FloatArray, share: float) -> FloatArray:
    """Return an image (h, w, 3) BGR 0..255 whose lips have less pale parts, such as highlights of a smile that would be spread over lips that close.

    Args:
        lips: (h, w) 0..1, coverage by lips.
        share: 0..1, how much of the difference from the color of the lips is taken away.
    """
    sure = lips > 0.9
    if share == 0 or sure.sum() < 12:
        return image
    lab = cv2.cvtColor((image / 255).astype(np.float32), cv2.COLOR_BGR2LAB)
    light, red = np.median(lab[sure][:, 0]), np.percentile(lab[sure][:, 1], 60)
    part = share * cv2.GaussianBlur(lips, (0, 0), 1.0)
    lab[..., 0] -= part * np.maximum(lab[..., 0] - light, 0)
    lab[..., 1] += part * np.maximum(red - lab[..., 1], 0)
    return np.asarray(255 * cv2.cvtColor(lab, cv2.COLOR_LAB2BGR), dtype=np.float32)


def affine_to_image(pose: FloatArray, roi: NDArray[np.floating]) -> DoubleArray:
    """Return the affine map (3, 4) from the model frame, m, to image px."""
    placed = to_image(np.concatenate([np.zeros((1, 3)), np.eye(3)]).astype(np.float32), pose, roi)
    placed = placed.astype(np.float64)
    return np.column_stack([(placed[1:] - placed[0]).T, placed[0]])
