"""Direction of the gaze from the irises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tddfa_ros.gaze.eyes import HUMAN, Eye, Eyeball, FaceWithEyes, eyes_of
from tddfa_ros.gaze.iris_fit import Iris, irises_of_eyes
from tddfa_ros.geometry.pose import CAMERA_FROM_CROP
from tddfa_ros.types import DoubleArray, ImageBGR

FULL_LOOK = 30.0
"""Degrees by which an eye turns at an ``eyeLook`` blend shape of 1."""

_LARGEST = 0.97  # sine of the largest angle between the gaze and the view


@dataclass(frozen=True, eq=False)
class Gaze:
    """Direction of the gaze of a face.

    Attributes:
        in_head: (3,) unit vector in the model frame: x to the person's left, y up, z out of the face.
        direction: (3,) the same in the camera optical frame, under weak perspective: x right, y down, z away from the camera.
        confidence: 0..1; 0 = unknown, the gaze is that of the head.
        irises: of the person's own left and right eye.
    """

    in_head: DoubleArray
    direction: DoubleArray
    confidence: float
    irises: tuple[Iris, Iris]

    @property
    def yaw_pitch(self) -> DoubleArray:
        """(2,) degrees against the head: to the person's left, and up."""
        return angles(self.in_head)


def estimate_gaze(image: ImageBGR, face: FaceWithEyes, ball: Eyeball = HUMAN) -> Gaze:
    """Find the irises of a face and the direction of its gaze.

    Args:
        image: (H, W, 3) uint8 BGR.
        face: the face in it.
        ball: place and size of the eyeballs.

    Raises:
        ImageError: the image is invalid.
    """
    return gaze_of_eyes(image, eyes_of(face, ball))


def gaze_of_eyes(image: ImageBGR, eyes: tuple[Eye, Eye]) -> Gaze:
    """Find the irises of both eyes and the direction of the gaze; see :func:`estimate_gaze`."""
    irises = irises_of_eyes(image, eyes)
    rotation = eyes[0].rotation
    weights = [iris.confidence for iris in irises]
    if sum(weights) <= 0:
        forward = np.array([0.0, 0.0, 1.0])
        return Gaze(forward, CAMERA_FROM_CROP @ rotation @ forward, 0.0, irises)
    rays = [ray(eye, iris) for eye, iris in zip(eyes, irises, strict=True)]
    total = np.average(rays, axis=0, weights=weights)
    way = total / np.linalg.norm(total)
    # Both eyes look at the same thing: one of two that disagree is wrong.
    agree = 1.0
    if min(weights) > 0:
        agree = float(np.clip((rays[0] @ rays[1] - 0.8) / 0.14, 0, 1))
    confidence = max(weights) * (0.5 + 0.5 * agree) if min(weights) > 0 else 0.7 * max(weights)
    return Gaze(rotation.T @ way, CAMERA_FROM_CROP @ way, min(confidence, 1.0), irises)


def ray(eye: Eye, iris: Iris) -> DoubleArray:
    """Return the unit vector (3,), y up and z to the viewer, from the center of an eyeball through its iris."""
    offset = (iris.center - eye.center) * [1, -1] / (eye.scale * eye.ball.distance)
    sine = float(np.hypot(*offset))
    offset = offset * min(sine, _LARGEST) / max(sine, 1e-9)
    return np.array([*offset, np.sqrt(1 - offset @ offset)])


def angles(way: Sequence[float] | DoubleArray) -> DoubleArray:
    """Return yaw to the person's left and pitch up (2,), degrees, of a unit vector (3,) in the model frame."""
    x, y, z = way
    return np.degrees([np.arctan2(x, z), np.arcsin(np.clip(y, -1, 1))])


def eye_look(yaw_pitch: Sequence[float] | DoubleArray) -> Mapping[str, float]:
    """Convert a gaze to ARKit's eight ``eyeLook`` coefficients, 0..1, equal for both eyes.

    Args:
        yaw_pitch: (2,) degrees against the head, to the person's left and up; 0, 0 = all are 0.
    """
    left, up = (float(v) / FULL_LOOK for v in yaw_pitch)
    amounts = {
        ("OutLeft", "InRight"): left,
        ("InLeft", "OutRight"): -left,
        ("UpLeft", "UpRight"): up,
        ("DownLeft", "DownRight"): -up,
    }
    return {
        f"eyeLook{name}": min(max(value, 0.0), 1.0)
        for names, value in amounts.items()
        for name in names
    }
