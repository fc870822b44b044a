"""Find the irises of a face in its image: center, radius, color and confidence.

A coarse search finds the dark disc of known size against a lighter surround inside the contour of the eye; then the limbus, the edge of the iris, is
fitted as the image of a circle on the eyeball, as in Daugman, "High confidence visual recognition of persons by a test of statistical independence"
(IEEE PAMI 1993), section III, with edges along rays instead of contour integrals. Lids hide the limbus above and below: edges near them and edges that
do not fit the circle have little weight.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.gaze.eyes import Eye, FaceWithEyes, eyes_of
from tddfa_ros.gaze.limbus import EyeView, Limbus
from tddfa_ros.rendering.irises import IRIS_RADIUS
from tddfa_ros.types import DoubleArray, FloatArray, ImageBGR, check_image

_R = 10  # px, radius of an average iris in the normalized patch
_RADII = (7.0, 8.5, 10.0)
_ROWS = 26  # px, half height of the patch
_RING = 1.5  # outer radius of the surround, in radii
_SIDES = (
    0.55  # sine of the largest angle of the surround from the horizontal: lids are above and below
)
_WIDER, _HIGHER = 1.15, 3.0  # the eye against its landmarks; px
_VERTICAL = 14.0  # px: irises lie near the middle between the lids
_COVERED = 0.35  # of the disc must lie in the contour
# No and full confidence of ...
_CONTRAST = (0.15, 0.5)  # the score of the disc
_SMALLEST = (1.5, 3.5)  # px, radius of the iris
_OPEN = (0.35, 0.8)  # height of the eye in radii of the iris
_TURNED = (0.35, 0.7)  # cosine between the head and the view, in the plane of both eyes
_EDGE = (0.1, 0.35)  # the strength of the limbus
# Radius of an iris, in those of an average one.
_SIZE = (0.98, 0.12)  # mean and standard deviation: also of the scale of the face
_SAME = 0.03  # standard deviation between both eyes
_OWN = 0.1  # weight of the mean against an iris of confidence 1


@dataclass(frozen=True, eq=False)
class Iris:
    """The iris of one eye in an image.

    Attributes:
        center: (2,) px; also the position of the pupil.
        radius: px, half the longest diameter.
        color: (3,) median BGR 0..255.
        confidence: 0..1, from contrast, size, opening of the eye, turn of the head and fit of the limbus; 0 = not found, ``center`` is the middle of
            the eye.
        sigma: (2,) px, standard deviation of the center along and across the eye; infinite = not found.
    """

    center: DoubleArray
    radius: float
    color: FloatArray
    confidence: float
    sigma: DoubleArray


def find_irises(image: ImageBGR, face: FaceWithEyes) -> tuple[Iris, Iris]:
    """Find the irises of the person's own left and right eye.

    Args:
        image: (H, W, 3) uint8 BGR.
        face: the face in it.

    Raises:
        ImageError: the image is invalid.
    """
    return irises_of_eyes(image, eyes_of(face))


def irises_of_eyes(image: ImageBGR, eyes: tuple[Eye, Eye]) -> tuple[Iris, Iris]:
    """Find the irises of both eyes, which have the same size; see :func:`find_irises`."""
    check_image(image)
    first = [_Search.of(image, eye) for eye in eyes]
    found = [search for search in first if search is not None]
    if not found:
        return _nothing(eyes[0]), _nothing(eyes[1])
    weights = [max(search.confidence, 1e-3) for search in found]
    sizes = [search.limbus.radius / search.view.radius for search in found]
    size = float(np.average([*sizes, _SIZE[0]], weights=[*weights, _OWN]))
    left, right = (
        _nothing(eye) if search is None else search.refined(size).iris
        for eye, search in zip(eyes, first, strict=True)
    )
    return left, right


def iris_color(irises: tuple[Iris, Iris], least: float = 0.3) -> FloatArray | None:
    """Return the BGR color (3,) 0..255 of the iris found with the higher confidence; None below ``least``."""
    best = max(irises, key=lambda iris: iris.confidence)
    return best.color if best.confidence >= least else None


def _nothing(eye: Eye) -> Iris:
    black = np.zeros(3, np.float32)
    return Iris(eye.contour.mean(axis=0), IRIS_RADIUS * eye.scale, black, 0.0, np.full(2, np.inf))


def _confidence(value: float, limits: tuple[float, float]) -> float:
    low, high = limits
    return float(np.clip((value - low) / (high - low), 0, 1))


@dataclass(frozen=True, eq=False)
class _Search:
    """The limbus found in an eye, and what its confidence follows from."""

    view: EyeView
    patch: _Patch
    score: float
    facing: float
    limbus: Limbus

    @classmethod
    def of(cls, image: ImageBGR, eye: Eye) -> _Search | None:
        """Search an eye; None = there is no iris to see."""
        radius = IRIS_RADIUS * eye.scale
        middle = eye.contour.mean(axis=0)
        width = float(np.linalg.norm(eye.contour[3] - eye.contour[0]))
        if not np.isfinite(eye.contour).all() or width < 4 or radius < _SMALLEST[0]:
            return None
        if ((middle < 0) | (middle > np.array(image.shape[1::-1]) - 1)).any():
            return None
        level = float(np.hypot(*eye.rotation[[0, 2], 2]))
        facing = abs(float(eye.rotation[2, 2])) / max(level, 1e-6)
        patch = _Patch.of(image, eye, radius, max(facing, 0.4))
        place, score = _best_disc(patch.red, patch.mask)
        if score <= 0:
            return None
        view = EyeView.of(image, eye, radius, patch.contrast)
        limbus = view.search(patch.to_image(place), _SIZE)
        return cls(view, patch, score, facing, limbus)

    def refined(self, size: float) -> _Search:
        """Fit again with the radius ``size``, in those of an average iris."""
        return replace(self, limbus=self.view.refine(self.limbus, (size, _SAME)))

    @property
    def confidence(self) -> float:
        """From 0 to 1."""
        out = _confidence(self.score, _CONTRAST) * _confidence(self.view.radius, _SMALLEST)
        out *= _confidence(self.patch.opening, _OPEN) * _confidence(self.facing, _TURNED)
        return out * _confidence(self.limbus.strength, _EDGE)

    @property
    def iris(self) -> Iris:
        """The result."""
        found = self.limbus
        color = self.patch.color(found.center, found.radius / self.view.radius * _R)
        return Iris(found.center, found.radius, color, self.confidence, found.sigma)


@dataclass(frozen=True, eq=False)
class _Patch:
    """The eye with level corners, scaled so that the iris of a person looking straight ahead is a circle of radius ``_R``.

    Attributes:
        bgr: (h, w, 3) uint8.
        mask: (h, w) 0..1, the eye, a little larger than its landmarks.
        units: (2, 2) px of the image of one px to the right and one down.
        origin: (2,) px of the image at the top-left px.
        opening: height of the eye in radii of the iris.
    """

    bgr: NDArray[np.uint8]
    mask: FloatArray
    units: DoubleArray
    origin: DoubleArray
    opening: float

    @classmethod
    def of(cls, image: ImageBGR, eye: Eye, radius: float, facing: float) -> _Patch:
        center = eye.contour.mean(axis=0)
        axis = eye.contour[3] - eye.contour[0]
        width = float(np.linalg.norm(axis))
        along = axis / width
        across = np.array([-along[1], along[0]])
        # Columns are narrowed with the head.
        units = np.stack([along * radius * facing, across * radius], axis=1) / _R
        half = np.ceil(0.5 * _WIDER * width / np.linalg.norm(units[:, 0]))
        columns = int(np.clip(half, _R, 4 * _R))
        local = np.linalg.solve(units, (eye.contour - center).T).T
        shape = (2 * _ROWS + 1, 2 * columns + 1)
        middle = np.array([columns, _ROWS])
        origin = center - units @ middle
        bgr = cv2.warpAffine(
            image, np.column_stack([units, origin]), shape[::-1],
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        mask = _eye_mask(local, middle, shape)
        opening = float(np.mean(local[[4, 5], 1] - local[[2, 1], 1])) / _R
        return cls(np.asarray(bgr, np.uint8), mask, units, origin, opening)

    @property
    def contrast(self) -> float:
        """Range of brightness in the eye."""
        low, high = np.percentile(self.red[self.mask > 0.5], (5, 90))
        return float(high - low)

    @property
    def red(self) -> NDArray[np.uint8]:
        """Irises of all colors are dark in red, and skin is light."""
        return np.ascontiguousarray(self.bgr[..., 2])

    def to_image(self, place: DoubleArray) -> DoubleArray:
        return np.asarray(self.origin + self.units @ place)

    def color(self, center: DoubleArray, size: float) -> FloatArray:
        """Return the median color (3,) inside the iris around ``center``, px of the image; ``size`` is its radius in px of the patch."""
        column, row = np.linalg.solve(self.units, center - self.origin)
        y, x = np.ogrid[: self.mask.shape[0], : self.mask.shape[1]]
        inside = (np.hypot(x - column, y - row) < 0.85 * size) & (self.mask > 0.5)
        if not inside.any():
            return np.zeros(3, np.float32)
        return np.asarray(np.median(self.bgr[inside], axis=0), np.float32)


def _eye_mask(local: DoubleArray, middle: NDArray[np.int64], shape: tuple[int, int]) -> FloatArray:
    """Return the eye, a little wider than its landmarks (6, 2) in patch px, as (h, w) 0..1."""
    wide = local * [_WIDER, 1.0]
    wide[[1, 2], 1] -= _HIGHER
    wide[[4, 5], 1] += _HIGHER
    canvas = np.zeros(shape, np.uint8)
    points = np.rint(16 * (wide + middle)).astype(np.int32)
    cv2.fillConvexPoly(canvas, cv2.convexHull(points), 255, cv2.LINE_AA, 4)
    return np.asarray(canvas, np.float32) / np.float32(255)


def _best_disc(red: NDArray[np.uint8], mask: FloatArray) -> tuple[DoubleArray, float]:
    """Return center (2,) x, y and score of the disc that is darkest against its surround, in patch px."""
    # Without highlights, which lie on pupils.
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))
    flat = np.asarray(cv2.morphologyEx(red, cv2.MORPH_OPEN, kernel), np.float32)
    seen = flat[mask > 0.5]
    if seen.size < 20:
        return np.zeros(2), 0.0
    low, high = np.percentile(seen, (5, 95))
    span = max(float(high - low), 12.0)
    found = (np.zeros(2), 0.0)
    for radius in _RADII:
        disc, ring = _kernels(radius)
        cover, dark = _mean(flat, mask, disc)
        beside, light = _mean(flat, mask, ring)
        score = (light - dark) / span * np.sqrt(np.maximum(cover, 0)) * np.clip(beside / 0.3, 0, 1)
        rows = np.arange(len(score), dtype=np.float32)[:, None] - (len(score) - 1) / 2
        score *= np.exp(-((rows / _VERTICAL) ** 2))
        score[cover < _COVERED] = -1
        score[mask < 0.5] = -1
        row, column = (int(i) for i in np.unravel_index(int(score.argmax()), score.shape))
        if score[row, column] > found[1]:
            place = np.array([_peak(score[row], column), _peak(score[:, column], row)])
            found = (place, float(score[row, column]))
    return found


def _kernels(radius: float) -> tuple[FloatArray, FloatArray]:
    reach = int(np.ceil(_RING * radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float32)
    away = np.hypot(x, y)
    disc = np.clip(radius - away + 0.5, 0, 1)
    ring = np.clip(away - radius - 0.5, 0, 1) * (away < _RING * radius)
    ring *= np.abs(y) <= _SIDES * np.maximum(away, 1e-6)
    return disc / disc.sum(), ring / ring.sum()


def _mean(
    values: FloatArray, mask: FloatArray, kernel: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the covered share of a kernel at each place, and the mean of the values in what it covers."""
    share = np.asarray(cv2.filter2D(mask, -1, kernel, borderType=cv2.BORDER_CONSTANT), np.float32)
    total = np.asarray(
        cv2.filter2D(values * mask, -1, kernel, borderType=cv2.BORDER_CONSTANT), np.float32
    )
    return share, (total / np.maximum(share, 1e-4)).astype(np.float32)


def _peak(line: FloatArray, at: int) -> float:
    """Return the place of a maximum between samples, by a parabola."""
    if not 0 < at < len(line) - 1:
        return float(at)
    a, b, c = (float(v) for v in line[at - 1 : at + 2])
    bend = a - 2 * b + c
    return at + (0.5 * (a - c) / bend if bend < 0 and min(a, c) > -1 else 0.0)
