"""Fit the limbus, the edge of the iris, as the image of a circle on the eyeball."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from tddfa_ros.gaze.eyes import Eye
from tddfa_ros.types import DoubleArray, FloatArray, ImageBGR

_RAYS = 28
_REACH = np.linspace(0.55, 1.45, 25)  # in radii
_WINDOWS = (0.18, 0.12, 0.08, 0.06)  # of the edge around the current circle, in radii
_ACROSS, _SIZES = (-0.3, 0.0, 0.3), (0.75, 0.9, 1.05)  # starts: the disc is least certain there
_SOFT = 3  # samples on each side of an edge
_CLEAR = 0.3  # strength of an edge of full weight
_MISSING = 0.4  # cost of a ray without an edge
_OUTLIER = 0.12  # radii
_EDGE_SIGMA = 0.1  # of an edge, radii; neighbors err alike
_PLACE_SIGMA = (
    0.4  # of the center across the eye, against the middle of the lids, radii: lids follow the gaze
)
_BLUR = 0.05  # radii
_LID = 0.15  # radii: edges closer to a lid may be those of the lid
_STEEP = 0.15  # weight of rays straight up and down, where lids end the iris
_FLAT = 0.25  # least ratio of the axes of the ellipse
_ANGLES = 2 * np.pi * (np.arange(_RAYS) + 0.5) / _RAYS
_SLOPE = 1 - (1 - _STEEP) * np.clip((np.abs(np.sin(_ANGLES)) - 0.5) / 0.4, 0, 1)


@dataclass(frozen=True, eq=False)
class Limbus:
    """The edge of an iris in an image.

    Attributes:
        center: (2,) px.
        radius: px, half the longest diameter.
        strength: mean contrast of the visible edge against that of the eye, 0..1.
        sigma: (2,) px, standard deviation of the center along and across the eye.
    """

    center: DoubleArray
    radius: float
    strength: float
    sigma: DoubleArray


@dataclass(frozen=True, eq=False)
class EyeView:
    """The surroundings of an eye in an image.

    Attributes:
        red: (h, w) float32, blurred.
        origin: (2,) px of the image at the top-left px of ``red``.
        contrast: step of brightness between iris and sclera.
        axes: (2, 2) unit vectors along and across (down) the eye.
        eye: the eye.
        radius: px, of an average iris.
    """

    red: FloatArray
    origin: DoubleArray
    contrast: float
    axes: DoubleArray
    eye: Eye
    radius: float

    @classmethod
    def of(cls, image: ImageBGR, eye: Eye, radius: float, contrast: float) -> EyeView:
        """Cut the surroundings of an eye from an image (H, W, 3) uint8 BGR."""
        half = int(np.ceil(0.5 * np.linalg.norm(eye.contour[3] - eye.contour[0]) + radius)) + 2
        x, y = (int(v) for v in np.rint(eye.contour.mean(axis=0)))
        left, top = max(x - half, 0), max(y - half, 0)
        red = np.asarray(image[top : y + half + 1, left : x + half + 1, 2], np.float32)
        if _BLUR * radius > 0.3:
            red = np.asarray(cv2.GaussianBlur(red, (0, 0), _BLUR * radius), np.float32)
        axis = eye.contour[3] - eye.contour[0]
        along = axis / max(float(np.linalg.norm(axis)), 1e-9)
        axes = np.stack([along, [-along[1], along[0]]])
        return cls(red, np.array([left, top], float), max(contrast, 12.0), axes, eye, radius)

    def search(self, center: DoubleArray, prior: tuple[float, float]) -> Limbus:
        """Fit the limbus around a coarse center.

        Args:
            center: (2,) px.
            prior: mean and standard deviation of the radius, in those of an average iris.
        """
        starts = [
            (center + across * self.radius * self.axes[1], size * self.radius)
            for across in _ACROSS
            for size in _SIZES
        ]
        return self._fit(np.array([c for c, _ in starts]), np.array([r for _, r in starts]), prior)

    def refine(self, found: Limbus, prior: tuple[float, float]) -> Limbus:
        """Fit the limbus once more with another prior of its radius; see :meth:`search`."""
        size = 0.5 * (found.radius + prior[0] * self.radius)
        return self._fit(found.center[None], np.array([size]), prior)

    def _fit(self, centers: DoubleArray, radii: DoubleArray, prior: tuple[float, float]) -> Limbus:
        """Fit circles from starts (s, 2), (s,); return the best."""
        circle = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1) @ self.axes  # image axes
        rows = np.column_stack([circle, np.ones(_RAYS)])
        products = rows[:, :, None] * rows[:, None, :]
        ball = self.eye.ball.distance * self.eye.scale
        middle = self.eye.contour.mean(axis=0)
        for window in _WINDOWS:
            shapes = _foreshortening((centers - self.eye.center) / ball)
            rays = radii[:, None, None] * (circle @ shapes)
            places, strengths = self._edges(centers, rays, window)
            seen = _SLOPE * self._visible(centers[:, None] + rays)
            error = places - 1
            fitting = seen / (1 + (error / _OUTLIER) ** 2) ** 2
            weights = fitting * np.minimum(strengths / _CLEAR, 1)
            # A move by q in the plane of the circle and a growth by s change the place of an edge by u q + s.
            normal = np.tensordot(weights, products, 1) / _EDGE_SIGMA**2
            right = (weights * error) @ rows / _EDGE_SIGMA**2
            normal[:, 2, 2] += (radii / (prior[1] * self.radius)) ** 2
            right[:, 2] += (prior[0] * self.radius - radii) * radii / (prior[1] * self.radius) ** 2
            down = np.concatenate([shapes @ self.axes[1], np.zeros((len(radii), 1))], axis=1)
            normal += down[:, :, None] * down[:, None, :] / _PLACE_SIGMA**2
            away = (middle - centers) @ self.axes[1] / radii
            right += down * away[:, None] / _PLACE_SIGMA**2
            normal[:, [0, 1], [0, 1]] += 1e-3
            step = np.clip(np.linalg.solve(normal, right[..., None])[..., 0], -0.25, 0.25)
            centers = centers + radii[:, None] * np.einsum("sij,sj->si", shapes, step[:, :2])
            radii = radii * (1 + step[:, 2])
        # A visible part of the circle without an edge speaks against it.
        best = int((weights - _MISSING * seen).sum(axis=1).argmax())
        strength = float((fitting * strengths)[best].sum() / max(seen[best].sum(), 1e-6))
        turned = self.axes @ shapes[best]
        covariance = radii[best] ** 2 * turned @ np.linalg.inv(normal[best])[:2, :2] @ turned.T
        sigma = np.sqrt(np.maximum(np.diag(covariance), 0))
        return Limbus(centers[best], float(radii[best]), strength, sigma)

    def _edges(
        self, centers: DoubleArray, rays: DoubleArray, window: float
    ) -> tuple[DoubleArray, DoubleArray]:
        """Return place, in radii, and strength 0..1 (s, n) of the edge from dark to bright on rays (s, n, 2), px, from (s, 2)."""
        points = centers[:, None, None] + rays[:, :, None] * _REACH[:, None] - self.origin
        flat = points.reshape(-1, len(_REACH), 2).astype(np.float32)
        values = cv2.remap(
            self.red, flat[..., 0], flat[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        step = _REACH[1] - _REACH[0]
        # The difference of the means of samples on both sides: the limbus is soft.
        sums = np.cumsum(np.pad(np.asarray(values), ((0, 0), (1, 0))), axis=1)
        means = (sums[:, _SOFT:] - sums[:, :-_SOFT]) / _SOFT
        rise = np.maximum(means[:, _SOFT:] - means[:, :-_SOFT], 0) / self.contrast
        where = _REACH[_SOFT - 1] + step / 2 + step * np.arange(rise.shape[1])
        likely = rise * np.exp(-0.5 * ((where - 1) / window) ** 2)
        best = np.clip(likely.argmax(axis=1), 1, rise.shape[1] - 2)
        row = np.arange(len(best))
        a, b, c = (likely[row, best + i] for i in (-1, 0, 1))
        bend = a - 2 * b + c
        shift = np.where(bend < -1e-9, 0.5 * (a - c) / np.minimum(bend, -1e-9), 0.0)
        places = where[best] + step * np.clip(shift, -1, 1)
        form = rays.shape[:2]
        return places.reshape(form), np.clip(rise[row, best], 0, 1).reshape(form)

    def _visible(self, points: DoubleArray) -> DoubleArray:
        """Return the weight 0..1 of points (..., 2), px, of the limbus, from their distance to the lids."""
        middle = self.eye.contour.mean(axis=0)
        local, lids = (points - middle) @ self.axes.T, (self.eye.contour - middle) @ self.axes.T
        upper = np.interp(local[..., 0], lids[[0, 1, 2, 3], 0], lids[[0, 1, 2, 3], 1])
        lower = np.interp(local[..., 0], lids[[0, 5, 4, 3], 0], lids[[0, 5, 4, 3], 1])
        room = np.minimum(local[..., 1] - upper, lower - local[..., 1]) / self.radius
        return np.asarray(1 / (1 + np.exp(-np.clip((room + 0.05) / _LID * 2, -30, 30))))


def _foreshortening(offsets: DoubleArray) -> DoubleArray:
    """Return the maps (s, 2, 2) from circles facing the viewer to the images of those with centers at ``offsets`` (s, 2), sines of the gaze."""
    sines = np.linalg.norm(offsets, axis=1)
    ways = offsets / np.maximum(sines, 1e-9)[:, None]
    ratios = np.maximum(np.sqrt(np.maximum(1 - sines**2, 0)), _FLAT)
    return np.asarray(np.eye(2) - (1 - ratios)[:, None, None] * ways[:, :, None] * ways[:, None])
