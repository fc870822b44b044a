"""What REP-155 (ROS4HRI) says about a face, as arrays and plain numbers; no ROS in here."""

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
from tddfa_ros.types import FloatArray, ImageBGR, RealArray

LANDMARKS = 70
"""Codes 0 to 67 of ``hri_msgs/FacialLandmarks`` are iBUG-68, point for point; 68 and 69 are the pupils."""

RIGHT_EYE, LEFT_EYE = slice(36, 42), slice(42, 48)
"""The person's own right and left."""

ACTION_UNIT_CODES = 99
"""Length of the arrays of ``hri_msgs/FacialActionUnits``: the index is the number of the unit."""

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
"""Our names to those of ``hri_msgs/Expression``."""

AGE_TOLERANCE = 5
"""Years; see :class:`SoftBiometrics`."""


class Region(NamedTuple):
    """A rectangle in parts of the picture's width and height, 0..1."""

    xmin: float
    ymin: float
    xmax: float
    ymax: float


class SoftBiometrics(NamedTuple):
    """Fields of ``hri_msgs/SoftBiometrics``.

    Attributes:
        age: expected age, whole years.
        age_confidence: 0..1, the probability that the age is within :data:`AGE_TOLERANCE` years of it.
        female: gender presentation, the more probable of two.
        gender_confidence: 0.5..1, its probability.
    """

    age: int
    age_confidence: float
    female: bool
    gender_confidence: float


def normalised(points: RealArray, width: int, height: int) -> FloatArray:
    """Points (n, 2 or more), px, as parts of the picture (n, 2), 0..1 from its corner when they are inside.

    Pixel coordinates count from the centre of the top-left pixel, which lies half a pixel inside the picture.
    """
    return ((np.asarray(points)[:, :2] + 0.5) / (width, height)).astype(np.float32)


def region(box: RealArray, width: int, height: int) -> Region:
    """The part inside the picture of a box ``x0, y0, x1, y1``, px."""
    corners = normalised(np.reshape(box, (2, 2)), width, height).clip(0, 1)
    return Region(*corners.ravel().tolist())


def facial_landmarks(
    landmarks68: RealArray, confidence: float, width: int, height: int
) -> FloatArray:
    """(70, 3) ``x, y, c`` of iBUG-68 landmarks (68, 2 or more), px, in the order of the codes.

    ``c`` is 0 for what is outside the picture, which is moved to its edge, and for the pupils: nothing here tells where these are, and the
    middle of the eye stands in for them. All others have the confidence of the face.
    """
    points = np.asarray(landmarks68)[:, :2]
    pupils = [points[eye].mean(axis=0) for eye in (RIGHT_EYE, LEFT_EYE)]
    placed = normalised(np.vstack([points, pupils]), width, height)
    inside = ((placed >= 0) & (placed <= 1)).all(axis=1)
    inside[68:] = False
    return np.column_stack([placed.clip(0, 1), np.where(inside, confidence, 0)]).astype(np.float32)


def action_units(
    coefficients: Mapping[str, float], confidence: float
) -> tuple[FloatArray, FloatArray]:
    """(99,) intensities 0..1 and (99,) confidences: that of the face for the units that ARKit's coefficients tell, else 0.

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
    """Age and gender presentation."""
    age = round(attributes.age)
    near = attributes.age_probabilities[max(age - AGE_TOLERANCE, 0) : age + AGE_TOLERANCE + 1]
    presentation, probability = attributes.gender_presentation
    return SoftBiometrics(age, float(near.sum()), presentation == "feminine", probability)


def aligned(image: ImageBGR, roi: RealArray, landmarks68: RealArray, size: int) -> ImageBGR:
    """The square ``roi`` (4,), px, as (size, size, 3), turned about its middle so that the eyes are level.

    Raises:
        ImageError: see :func:`tddfa_ros.geometry.roi.crop`.
    """
    points = np.asarray(landmarks68, dtype=np.float64)[:, :2]
    right, left = points[RIGHT_EYE].mean(axis=0), points[LEFT_EYE].mean(axis=0)
    angle = math.degrees(math.atan2(left[1] - right[1], left[0] - right[0]))
    # A square wider by sqrt(2) has all that any turn brings in, and crop() takes care of its size.
    corners = np.reshape(np.asarray(roi, dtype=np.float64), (2, 2))
    middle, wide = corners.mean(axis=0), math.ceil(size * math.sqrt(2))
    half = np.ptp(corners, axis=0) / 2 * wide / size
    larger = crop(image, np.concatenate([middle - half, middle + half]), wide)
    # crop() puts the middle of the ROI at pixel wide / 2.
    matrix = cv2.getRotationMatrix2D((wide / 2, wide / 2), angle, 1.0)
    matrix[:, 2] -= (wide - size) / 2
    return np.asarray(cv2.warpAffine(larger, matrix, (size, size)), dtype=np.uint8)
