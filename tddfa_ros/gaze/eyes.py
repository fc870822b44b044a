"""Eyes of a face in an image: the contour of the lids, and where the eyeball is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from tddfa_ros.geometry.rotation import nearest_rotation
from tddfa_ros.rendering.protocols import in_regions
from tddfa_ros.types import DoubleArray, FloatArray, RealArray

SIDES = ("left", "right")
"""Order of pairs of eyes: the person's own left first."""

LANDMARKS = {"left": slice(42, 48), "right": slice(36, 42)}
"""The eyes among the 68 landmarks."""

_CORNERS = {"left": (42, 45), "right": (39, 36)}  # inner, outer
_CROP_FROM_IMAGE = np.array([1.0, -1.0, 1.0])  # image px have y down


class FaceWithEyes(Protocol):
    """The part of a ``Face`` that is needed here."""

    @property
    def landmarks68(self) -> FloatArray: ...

    @property
    def params(self) -> FloatArray: ...

    @property
    def model(self) -> Any: ...


@dataclass(frozen=True)
class Eyeball:
    """Place and size of an eyeball relative to the midpoint of the corners of its eye, in the axes of the head, m.

    Attributes:
        lateral: of the center of rotation, away from the nose.
        up: of the center of rotation.
        back: of the center of rotation, into the head.
        distance: from the center of rotation to the plane of the iris.
    """

    lateral: float
    up: float
    back: float
    distance: float

    @classmethod
    def of_model(cls, model: Any, iris_radius: float) -> Eyeball:
        """Measure the eyeballs of the mean head of a morphable model, whose irises have the radius ``iris_radius``, m."""
        landmarks = model.landmarks_of(model.mean).astype(np.float64)
        ball = model.mean[in_regions(model, ("left_eye",))].astype(np.float64)
        low, high = ball.min(axis=0), ball.max(axis=0)
        radius = float(high[0] - low[0]) / 2
        center = np.array([*(low + high)[:2] / 2, high[2] - radius])
        lateral, up, front = center - landmarks[[*_CORNERS["left"]]].mean(axis=0)
        distance = float(np.sqrt(radius**2 - iris_radius**2))
        return cls(float(lateral), float(up), float(-front), distance)


HUMAN = Eyeball(lateral=0.0008, up=0.0009, back=0.0072, distance=0.0103)
"""An average human eye."""


@dataclass(frozen=True, eq=False)
class Eye:
    """One eye in an image, under weak perspective.

    Attributes:
        side: "left" or "right", the person's own.
        contour: (6, 2) landmarks of the lids, px, in the order of iBUG-68.
        center: (2,) projected center of rotation, px.
        scale: px per m.
        rotation: (3, 3) of the head, y up and z to the viewer <- model, as :attr:`tddfa_ros.geometry.pose.Similarity.rotation`.
        ball: place and size of the eyeball.
    """

    side: str
    contour: DoubleArray
    center: DoubleArray
    scale: float
    rotation: DoubleArray
    ball: Eyeball


def eyes_of(face: FaceWithEyes, ball: Eyeball = HUMAN) -> tuple[Eye, Eye]:
    """Return the person's own left and right eye of a face."""
    return eyes_from_landmarks(face.landmarks68, face.model.head_landmarks(face.params), ball)


def eyes_from_landmarks(
    landmarks: RealArray, head: RealArray, ball: Eyeball = HUMAN
) -> tuple[Eye, Eye]:
    """Return the person's own left and right eye.

    Args:
        landmarks: (68, 3) px, z nearer = larger; :attr:`tddfa_ros.face.Face.landmarks68`.
        head: (68, 3) the same landmarks in the model frame, m; the origin does not matter.
        ball: place and size of the eyeballs.
    """
    points = np.asarray(landmarks, dtype=np.float64) * _CROP_FROM_IMAGE
    model = np.asarray(head, dtype=np.float64)
    if not (np.isfinite(points).all() and np.isfinite(model).all()):
        points, model = np.zeros((68, 3)), np.zeros((68, 3))
    about = model - model.mean(axis=0)
    linear = np.linalg.lstsq(about, points - points.mean(axis=0), rcond=None)[0].T
    rotation = nearest_rotation(linear) if np.any(linear) else np.eye(3)
    scale = float(np.trace(rotation.T @ linear) / 3)
    left, right = (
        Eye(
            side,
            points[LANDMARKS[side], :2] * _CROP_FROM_IMAGE[:2],
            _center(side, points, rotation, scale, ball),
            scale,
            rotation,
            ball,
        )
        for side in SIDES
    )
    return left, right


def _center(
    side: str, points: DoubleArray, rotation: DoubleArray, scale: float, ball: Eyeball
) -> DoubleArray:
    lateral = ball.lateral if side == "left" else -ball.lateral
    offset = rotation @ np.array([lateral, ball.up, -ball.back])
    center = points[[*_CORNERS[side]]].mean(axis=0) + scale * offset
    return np.asarray(center[:2] * _CROP_FROM_IMAGE[:2])
