"""One frame of an avatar: blend shapes and head pose of a face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tddfa_ros.avatar.blend_shapes import BlendShapes
from tddfa_ros.face import TrackedFace
from tddfa_ros.gaze.track import SmoothedGaze
from tddfa_ros.geometry.pose import CAMERA_FROM_CROP, FACE_FROM_MODEL, yaw_pitch_roll
from tddfa_ros.geometry.rotation import quaternion
from tddfa_ros.types import DoubleArray, FloatArray


@dataclass(frozen=True, eq=False)
class AvatarFrame:
    """Blend shapes and head pose of one face at one time.

    Attributes:
        stamp: timestamp of the image, s.
        id: track ID, "f1", "f2" ...
        blendshapes: (52,) float32, 0..1, in the order of ``ARKIT_NAMES``.
        rotation: (4,) quaternion x, y, z, w of the head: glTF's axes (x to the right in the image, y up, z to the viewer), identity = facing
            the camera.
        position: (3,) m, sellion in those axes relative to the camera: z is negative.
        yaw_pitch_roll: (3,) degrees of that rotation; see :func:`tddfa_ros.geometry.pose.yaw_pitch_roll`.
    """

    stamp: float
    id: str
    blendshapes: FloatArray
    rotation: DoubleArray
    position: DoubleArray
    yaw_pitch_roll: DoubleArray

    @classmethod
    def from_face(
        cls, face: TrackedFace, shapes: BlendShapes, gaze: SmoothedGaze | None = None
    ) -> AvatarFrame:
        """Build a frame from a face; see :meth:`BlendShapes.__call__` for ``gaze``.

        Raises:
            CameraError: the face has no intrinsics.
        """
        pose = face.head_pose
        coefficients = shapes(face.expression_coefficients, gaze)
        return cls.from_pose(face.stamp, face.id, coefficients, pose.rotation, pose.position)

    @classmethod
    def from_pose(
        cls,
        stamp: float,
        name: str,
        blendshapes: FloatArray,
        rotation: DoubleArray,
        position: DoubleArray,
    ) -> AvatarFrame:
        """Build a frame from the pose of the REP-155 face frame: rotation (3, 3) and position (3,) m, camera optical frame."""
        turn = CAMERA_FROM_CROP @ rotation @ FACE_FROM_MODEL
        place = np.asarray(CAMERA_FROM_CROP @ position)
        return cls(stamp, name, blendshapes, quaternion(turn), place, yaw_pitch_roll(turn))
