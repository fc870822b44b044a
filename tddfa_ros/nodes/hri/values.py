"""Contents of the face messages of REP-155 (ROS4HRI), as arrays and numbers, without ROS."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import cv2
import numpy as np

from tddfa_ros.attributes.estimate import Attributes
from tddfa_ros.attributes.expressions import ACTION_UNITS, intensities
from tddfa_ros.geometry.roi import crop
from tddfa_ros.types import DoubleArray, FloatArray, ImageBGR, RealArray

LANDMARKS = 70
"""Indices 0 to 67 of ``hri_msgs/FacialLandmarks`` are iBUG-68; 68 and 69 are the pupils."""

RIGHT_EYE, LEFT_EYE = slice(36, 42), slice(42, 48)
"""Right and left eye of the subject, among the 68 landmarks."""

ACTION_UNIT_CODES = 99
"""Length of the arrays of ``hri_msgs/FacialActionUnits``, indexed by the number of the action unit."""

EXPRESSIONS: Mapping[str, str] = MappingProxyType(
    {
        "neutral": "neutral",
        "happiness": "happy",
        "sadness": "sad",
        "surprise": "surprised",
        "fear": "scared",
        "disgust": "disgusted",
        "anger": "angry",
    }
)
"""Names of basic expressions to those of ``hri_msgs/Expression``."""

AGE_TOLERANCE = 5
"""Years; see :class:`SoftBiometrics`."""


class Region(NamedTuple):
    """A rectangle normalized by the width and height of the image, 0..1."""

    xmin: float
    ymin: float
    xmax: float
    ymax: float


class SoftBiometrics(NamedTuple):
    """Fields of ``hri_msgs/SoftBiometrics``.

    Attributes:
        age: expected age, whole years.
        age_confidence: probability that the age is within :data:`AGE_TOLERANCE` years, 0..1.
        female: whether the more probable gender presentation is feminine.
        gender_confidence: its probability, 0.5..1.
    """

    age: int
    age_confidence: float
    female: bool
    gender_confidence: float


def normalized(points: RealArray, width: int, height: int) -> FloatArray:
    """Normalize points (n, 2 or more), px, by the image size to (n, 2), 0..1 inside the image.

    Pixel coordinates start at the center of the top-left pixel, half a pixel inside the image.
    """
    return ((np.asarray(points)[:, :2] + 0.5) / (width, height)).astype(np.float32)


def region(box: RealArray, width: int, height: int) -> Region:
    """Normalize a box ``x0, y0, x1, y1``, px, and clip it to the image."""
    corners = normalized(np.reshape(box, (2, 2)), width, height).clip(0, 1)
    return Region(*corners.ravel().tolist())


def facial_landmarks(
    landmarks68: RealArray,
    confidence: float,
    width: int,
    height: int,
    pupils: RealArray | None = None,
) -> FloatArray:
    """Convert iBUG-68 landmarks (68, 2 or more), px, to (70, 3) normalized ``x, y`` and confidence ``c``.

    Landmarks outside the image are clipped to its edge and have ``c`` 0. All others have the confidence of the face.

    Args:
        landmarks68: as above.
        confidence: of the face, 0..1.
        width: of the image, px.
        height: of the image, px.
        pupils: (2, 3) right and left pupil, x, y, px, and confidence 0..1; None = not estimated, the centers of the eyes with ``c`` 0.
    """
    points = np.asarray(landmarks68)[:, :2]
    eyes = [[*points[eye].mean(axis=0), 0.0] for eye in (RIGHT_EYE, LEFT_EYE)]
    last = np.asarray(eyes if pupils is None else pupils)
    placed = normalized(np.vstack([points, last[:, :2]]), width, height)
    inside = np.asarray(((placed >= 0) & (placed <= 1)).all(axis=1))
    known = np.append(np.full(68, confidence), last[:, 2])
    return np.column_stack([placed.clip(0, 1), np.where(inside, known, 0)]).astype(np.float32)


def gaze_rotation(yaw_pitch: RealArray) -> DoubleArray:
    """Return the rotation (3, 3), face frame <- gaze frame: z along the gaze, x right, y down (REP-155, "Face and Gaze Frames").

    Args:
        yaw_pitch: (2,) degrees against the head, to the person's left and up.
    """
    left, up = np.radians(np.asarray(yaw_pitch, dtype=np.float64))
    ahead = np.array([np.cos(up) * np.cos(left), np.cos(up) * np.sin(left), np.sin(up)])
    right = np.array([np.sin(left), -np.cos(left), 0.0])
    return np.stack([right, np.cross(ahead, right), ahead], axis=1)


def action_units(
    coefficients: Mapping[str, float], confidence: float
) -> tuple[FloatArray, FloatArray]:
    """Convert ARKit coefficients to action unit intensities (99,), 0..1, and confidences (99,), 0 for units without a counterpart.

    Raises:
        ModelError: see :func:`tddfa_ros.attributes.expressions.intensities`.
    """
    codes = list(ACTION_UNITS)
    intensity = np.zeros(ACTION_UNIT_CODES, np.float32)
    intensity[codes] = intensities(coefficients).clip(0, 1)
    known = np.zeros(ACTION_UNIT_CODES, np.float32)
    known[codes] = confidence
    return intensity, known


def soft_biometrics(attributes: Attributes) -> SoftBiometrics:
    """Summarize attribute estimates as expected age, gender presentation and their confidences."""
    age = round(attributes.age)
    near = attributes.age_probabilities[max(age - AGE_TOLERANCE, 0) : age + AGE_TOLERANCE + 1]
    presentation, probability = attributes.gender_presentation
    return SoftBiometrics(age, float(near.sum()), presentation == "feminine", probability)


def aligned(image: ImageBGR, roi: RealArray, landmarks68: RealArray, size: int) -> ImageBGR:
    """Crop the square ``roi`` (4,), px, to (size, size, 3), rotated about its center so that the eyes are level.

    Raises:
        ImageError: see :func:`tddfa_ros.geometry.roi.crop`.
    """
    points = np.asarray(landmarks68, dtype=np.float64)[:, :2]
    right, left = points[RIGHT_EYE].mean(axis=0), points[LEFT_EYE].mean(axis=0)
    angle = math.degrees(math.atan2(left[1] - right[1], left[0] - right[0]))
    # A square larger by sqrt(2) covers any rotation; crop() samples it at the right scale.
    corners = np.reshape(np.asarray(roi, dtype=np.float64), (2, 2))
    center, wide = corners.mean(axis=0), math.ceil(size * math.sqrt(2))
    half = np.ptp(corners, axis=0) / 2 * wide / size
    larger = crop(image, np.concatenate([center - half, center + half]), wide)
    # crop() maps the center of the ROI to pixel wide / 2.
    matrix = np.asarray(cv2.getRotationMatrix2D((wide / 2, wide / 2), angle, 1.0), np.float64)
    matrix[:, 2] -= (wide - size) / 2
    return np.asarray(cv2.warpAffine(larger, matrix, (size, size)), dtype=np.uint8)
