"""Convert faces to ``hri_msgs`` (REP-155, ROS4HRI); imported by ``hri_node`` only, because the package is optional."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from geometry_msgs.msg import Quaternion, TransformStamped
from hri_msgs.msg import (
    Expression,
    FacialActionUnits,
    FacialLandmarks,
    NormalizedPointOfInterest2D,
    NormalizedRegionOfInterest2D,
)
from hri_msgs.msg import SoftBiometrics as SoftBiometricsMessage
from std_msgs.msg import Header

from tddfa_msgs.msg import FaceLandmarks
from tddfa_ros.attributes.expressions import basic_expression
from tddfa_ros.gaze.direction import Gaze
from tddfa_ros.gaze.track import UNKNOWN, SmoothedGaze
from tddfa_ros.geometry.roi import roi_from_landmarks
from tddfa_ros.geometry.rotation import quaternion
from tddfa_ros.nodes.convert.messages import points_from
from tddfa_ros.nodes.hri.values import (
    EXPRESSIONS,
    SoftBiometrics,
    action_units,
    facial_landmarks,
    gaze_rotation,
    region,
)
from tddfa_ros.types import DoubleArray, FloatArray


@dataclass(frozen=True, eq=False)
class HriFace:
    """A face of a ``FaceLandmarksArray``, with what the messages below need.

    Attributes:
        header: stamp and frame_id of the image.
        id: track ID.
        confidence: 0..1.
        landmarks: (68, 3) landmarks, px.
        coefficients: ARKit coefficients by name; empty when the morphable model has others.
        width: width of the image, px.
        height: height of the image, px.
        gaze: smoothed gaze; that of the head when unknown.
        pupils: (2, 3) right and left pupil, x, y, px, and confidence; None when not estimated.
    """

    header: Header
    id: str
    confidence: float
    landmarks: FloatArray
    coefficients: Mapping[str, float]
    width: int
    height: int
    gaze: SmoothedGaze = UNKNOWN
    pupils: FloatArray | None = None

    @classmethod
    def of(
        cls, face: FaceLandmarks, coefficients: Mapping[str, float], width: int, height: int
    ) -> HriFace:
        """Build from a message."""
        confidence = min(max(float(face.confidence), 0.0), 1.0)
        landmarks = points_from(face.landmarks_image)
        return cls(face.header, face.id, confidence, landmarks, coefficients, width, height)

    def with_gaze(self, smoothed: SmoothedGaze, estimate: Gaze | None) -> HriFace:
        """Return the face with its smoothed gaze, and the pupils of the estimate in its image."""
        pupils = None
        if estimate is not None:
            left, right = estimate.irises
            pupils = np.array([[*i.center, i.confidence] for i in (right, left)], np.float32)
        return replace(self, gaze=smoothed, pupils=pupils)

    @property
    def roi(self) -> DoubleArray:
        """Landmark ROI (4,) ``x0, y0, x1, y1``, px, which may exceed the image.

        Raises:
            ImageError: the landmarks are not finite or coincide.
        """
        return roi_from_landmarks(self.landmarks)


def roi_message(face: HriFace) -> NormalizedRegionOfInterest2D:
    """Build the ROI message, clipped to the image."""
    found = region(face.roi, face.width, face.height)
    return NormalizedRegionOfInterest2D(header=face.header, c=face.confidence, **found._asdict())


def landmarks_message(face: HriFace) -> FacialLandmarks:
    """Build the message of 70 landmarks; pupils that are not estimated have confidence 0."""
    points = facial_landmarks(face.landmarks, face.confidence, face.width, face.height, face.pupils)
    message = FacialLandmarks(header=face.header, width=face.width, height=face.height)
    message.landmarks = [
        NormalizedPointOfInterest2D(x=x, y=y, c=confidence) for x, y, confidence in points.tolist()
    ]
    return message


def facs_message(face: HriFace) -> FacialActionUnits:
    """Build the action unit message; units not derived from ARKit coefficients have confidence 0."""
    intensity, confidence = action_units(face.coefficients, face.confidence)
    return FacialActionUnits(header=face.header, intensity=intensity, confidence=confidence)


def expression_message(face: HriFace) -> Expression:
    """Build the expression message; valence and arousal are NaN, because they are not estimated (0 would mean neutral)."""
    found = basic_expression(face.coefficients)
    return Expression(
        header=face.header,
        expression=EXPRESSIONS[found.name],
        confidence=found.probability,
        valence=math.nan,
        arousal=math.nan,
    )


def soft_biometrics_message(found: SoftBiometrics, header: Header) -> SoftBiometricsMessage:
    """Build the message of age and gender presentation."""
    message = SoftBiometricsMessage(header=header)
    message.age, message.age_confidence = found.age, found.age_confidence
    message.gender = message.FEMALE if found.female else message.MALE
    message.gender_confidence = found.gender_confidence
    return message


def gaze_transform(face: HriFace) -> TransformStamped:
    """Build the transform ``face_<id>`` to ``gaze_<id>``: z along the gaze, x right, y down (REP-155, "Face and Gaze Frames").

    Without a known gaze it is that of the head.
    """
    message = TransformStamped(child_frame_id=f"gaze_{face.id}")
    message.header.stamp, message.header.frame_id = face.header.stamp, f"face_{face.id}"
    x, y, z, w = quaternion(gaze_rotation(face.gaze.yaw_pitch)).tolist()
    message.transform.rotation = Quaternion(x=x, y=y, z=z, w=w)
    return message


FACE_MESSAGES: Mapping[str, Callable[[HriFace], Any]] = MappingProxyType(
    {
        "roi": roi_message,
        "landmarks": landmarks_message,
        "facs": facs_message,
        "expression": expression_message,
    }
)
"""Message builders by topic name, for each face."""
