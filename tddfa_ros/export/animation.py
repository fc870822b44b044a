"""Animation of one mesh from a tracked face."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tddfa_ros.errors import ConfigError
from tddfa_ros.face import TrackedFace
from tddfa_ros.geometry.rotation import quaternion
from tddfa_ros.types import FloatArray

_UPRIGHT = np.diag(
    [1.0, -1.0, -1.0]
)  # camera optical frame (y down, z away) to glTF's (y up, z to the viewer)


@dataclass(frozen=True, eq=False)
class FaceAnimation:
    """Key frames of a face.

    Attributes:
        times: (n,) float32 s, rising from 0.
        weights: (n, E) float32 expression coefficients in the model's order.
        rotations: (n, 4) float32 quaternions x, y, z, w, from the model frame to a frame with the camera at the origin, y up, looking along
            -z; None = static head.
        translations: (n, 3) float32 m, to the same frame; None = static head.

    Raises:
        ConfigError: there is no key frame, times do not increase, or lengths differ.
    """

    times: FloatArray
    weights: FloatArray
    rotations: FloatArray | None = None
    translations: FloatArray | None = None

    def __post_init__(self) -> None:
        n = len(self.times)
        if n == 0:
            raise ConfigError("an animation needs at least one face")
        if not (np.isfinite(self.times).all() and (np.diff(self.times) > 0).all()):
            raise ConfigError("the times of an animation must increase")
        lengths = {"weights": (n, np.shape(self.weights)[-1])}
        lengths |= {"rotations": (n, 4), "translations": (n, 3)}
        for name, shape in lengths.items():
            value = getattr(self, name)
            if value is not None and (np.shape(value) != shape or not np.isfinite(value).all()):
                raise ConfigError(f"an animation of {n} times needs finite {name} of shape {shape}")

    @classmethod
    def from_faces(cls, faces: Sequence[TrackedFace], *, pose: bool = True) -> FaceAnimation:
        """Build an animation from one tracked face.

        Args:
            faces: faces of one track in order of time.
            pose: whether to animate the head pose; needs faces with intrinsics.

        Raises:
            ConfigError: there is no face, or stamps do not increase. CameraError: ``pose`` is set and a face has no intrinsics.
        """
        if not faces:
            raise ConfigError("an animation needs at least one face")
        stamps = np.array([face.stamp for face in faces], dtype=np.float64)
        times = (stamps - stamps[:1]).astype(np.float32)
        weights = np.array([face.expression_coefficients for face in faces], dtype=np.float32)
        if not pose:
            return cls(times, weights)
        fits = [face.metric_fit for face in faces]
        turns = quaternion(np.stack([_UPRIGHT @ fit.rotation for fit in fits]))
        # The mesh has the model's size.
        places = np.stack([_UPRIGHT @ fit.translation / fit.scale for fit in fits])
        return cls(
            times, weights, shortest_way(turns).astype(np.float32), places.astype(np.float32)
        )


def shortest_way(quaternions: np.ndarray) -> np.ndarray:
    """Choose the signs of consecutive quaternions (n, 4) so that interpolation takes the shorter arc."""
    flips = np.einsum("ni,ni->n", quaternions[1:], quaternions[:-1]) < 0
    signs = np.cumprod(np.where(flips, -1.0, 1.0))
    return np.concatenate([quaternions[:1], quaternions[1:] * signs[:, None]])
