"""A tracked face over time, as an animation of one mesh."""

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
        rotations: (n, 4) float32 quaternions x, y, z, w; translations: (n, 3) float32 m. They take the model frame to a frame with the camera at the
            origin, y up, looking along -z. None = the head keeps still.

    Raises:
        ConfigError: there is no key frame, times do not rise, or lengths differ.
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
            raise ConfigError("the times of an animation must rise from face to face")
        lengths = {"weights": (n, np.shape(self.weights)[-1])}
        lengths |= {"rotations": (n, 4), "translations": (n, 3)}
        for name, shape in lengths.items():
            value = getattr(self, name)
            if value is not None and (np.shape(value) != shape or not np.isfinite(value).all()):
                raise ConfigError(f"an animation of {n} times needs finite {name} of shape {shape}")

    @classmethod
    def from_faces(cls, faces: Sequence[TrackedFace], *, pose: bool = True) -> FaceAnimation:
        """The animation of one face that was tracked through a video.

        Args:
            faces: of one id, in the order of their stamps.
            pose: whether the head moves, too, as the camera saw it; needs faces with intrinsics.

        Raises:
            ConfigError: there are none, or stamps do not rise. CameraError: the head shall move and a face has no intrinsics.
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
        places = np.stack([_UPRIGHT @ fit.translation for fit in fits])
        return cls(
            times, weights, shortest_way(turns).astype(np.float32), places.astype(np.float32)
        )


def shortest_way(quaternions: np.ndarray) -> np.ndarray:
    """Give consecutive quaternions (n, 4) signs so that a player that interpolates them turns the shorter way."""
    flips = np.einsum("ni,ni->n", quaternions[1:], quaternions[:-1]) < 0
    signs = np.cumprod(np.where(flips, -1.0, 1.0))
    return np.concatenate([quaternions[:1], quaternions[1:] * signs[:, None]])
