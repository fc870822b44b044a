"""Faces as ``hri_msgs`` (REP-155, ROS4HRI); only ``hri_node`` imports this, for the package is not everywhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

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
from tddfa_ros.geometry.roi import roi_from_landmarks
from tddfa_ros.nodes.convert.messages import points_from
from tddfa_ros.nodes.hri.values import (
    EXPRESSIONS,
    SoftBiometrics,
    action_units,
    facial_landmarks,
    region,
)
from tddfa_ros.types import DoubleArray, FloatArray


@dataclass(frozen=True, eq=False)
class SeenFace:
    """A face of a ``FaceLandmarksArray``, as the messages below need it.

    Attributes:
        header: stamp and frame of the picture.
        id: of the track.
        confidence: 0..1.
        landmarks: (68, 3) px.
        coefficients: ARKit's, by name; empty where the morphable model has others.
        width, height: of the picture, px.
    """

    header: Header
    id: str
    confidence: float
    landmarks: FloatArray
    coefficients: Mapping[str, float]
    width: int
    height: int

    @classmethod
    def of(
        cls, face: FaceLandmarks, coefficients: Mapping[str, float], width: int, height: int
    ) -> SeenFace:
        """The face of a message."""
        confidence = min(max(float(face.confidence), 0.0), 1.0)
        landmarks = points_from(face.landmarks_image)
        return cls(face.header, face.id, confidence, landmarks, coefficients, width, height)

    @property
    def square(self) -> DoubleArray:
        """(4,) ``x0, y0, x1, y1`` px around the landmarks, as the networks see a face; may reach beyond the picture.

        Raises:
            ImageError: the landmarks are not finite or all in one place.
        """
        return roi_from_landmarks(self.landmarks)


def roi_message(face: SeenFace) -> NormalizedRegionOfInterest2D:
    """The square around the face, as far as it is in the picture."""
    found = region(face.square, face.width, face.height)
    return NormalizedRegionOfInterest2D(header=face.header, c=face.confidence, **found._asdict())


def landmarks_message(face: SeenFace) -> FacialLandmarks:
    """All 70 points; the confidence of the pupils is 0."""
    points = facial_landmarks(face.landmarks, face.confidence, face.width, face.height)
    message = FacialLandmarks(header=face.header, width=face.width, height=face.height)
    message.landmarks = [
        NormalizedPointOfInterest2D(x=x, y=y, c=confidence) for x, y, confidence in points.tolist()
    ]
    return message


def facs_message(face: SeenFace) -> FacialActionUnits:
    """Action units; the confidence of those that ARKit's coefficients do not tell is 0."""
    intensity, confidence = action_units(face.coefficients, face.confidence)
    return FacialActionUnits(header=face.header, intensity=intensity, confidence=confidence)


def expression_message(face: SeenFace) -> Expression:
    """The basic expression; valence and arousal are NaN.

    They would be a table's values for the name and tell nothing that the name does not; 0 would say "calm and indifferent".
    """
    found = basic_expression(face.coefficients)
    return Expression(
        header=face.header,
        expression=EXPRESSIONS[found.name],
        confidence=found.probability,
        valence=math.nan,
        arousal=math.nan,
    )


def soft_biometrics_message(found: SoftBiometrics, header: Header) -> SoftBiometricsMessage:
    """Age and gender presentation."""
    message = SoftBiometricsMessage(header=header)
    message.age, message.age_confidence = found.age, found.age_confidence
    message.gender = message.FEMALE if found.female else message.MALE
    message.gender_confidence = found.gender_confidence
    return message


def gaze_transform(face: SeenFace) -> TransformStamped:
    """``gaze_<id>`` in ``face_<id>``: the same place, z where the head points, x right, y down (REP-155, "Face and Gaze Frames").

    Where the eyes look is not known beyond that.
    """
    message = TransformStamped(child_frame_id=f"gaze_{face.id}")
    message.header.stamp, message.header.frame_id = face.header.stamp, f"face_{face.id}"
    message.transform.rotation = Quaternion(x=-0.5, y=0.5, z=-0.5, w=0.5)
    return message


FACE_MESSAGES: Mapping[str, Callable[[SeenFace], Any]] = MappingProxyType(
    {
        "roi": roi_message,
        "landmarks": landmarks_message,
        "facs": facs_message,
        "expression": expression_message,
    }
)
"""What is published of every face, by the last part of the topic."""
