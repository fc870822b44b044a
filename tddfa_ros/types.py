"""The language that all rooms of the package speak: small, frozen values made of NumPy arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.errors import CameraError, ImageError

FloatArray: TypeAlias = NDArray[np.float32]
DoubleArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int32]
ImageBGR: TypeAlias = NDArray[np.uint8]
RealArray: TypeAlias = NDArray[np.floating[Any]]
"""Real numbers of either precision."""

POSE_SIZE = 12
"""Number of pose parameters: a row-major 3x4 ``[s*R | t]``."""

CROP_FRAME = 120.0
"""Side, in pixels, of the crop frame in which pose parameters are expressed (3DDFA_V2's input size)."""

DEFAULT_FOV_DEG = 60.0
"""Horizontal field of view assumed for an uncalibrated camera; typical of webcams."""


@dataclass(frozen=True)
class ParamLayout:
    """Where pose, identity and expression lie in a parameter vector.

    Official 3DDFA_V2: ``ParamLayout(shape=40, expression=10)``, 62 numbers. The default model of this package:
    ``ParamLayout(shape=40, expression=52)``, 104 numbers, the 52 being ARKit's blend shapes.
    """

    shape: int
    expression: int

    @property
    def size(self) -> int:
        """Length P of a parameter vector."""
        return POSE_SIZE + self.shape + self.expression

    @property
    def pose_slice(self) -> slice:
        return slice(0, POSE_SIZE)

    @property
    def shape_slice(self) -> slice:
        return slice(POSE_SIZE, POSE_SIZE + self.shape)

    @property
    def expression_slice(self) -> slice:
        return slice(POSE_SIZE + self.shape, self.size)

    def split(self, params: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Split ``(..., P)`` into views: pose ``(..., 3, 4)``, shape ``(..., S)``, expression ``(..., E)``."""
        pose = params[..., self.pose_slice].reshape(*params.shape[:-1], 3, 4)
        return pose, params[..., self.shape_slice], params[..., self.expression_slice]


@dataclass(frozen=True, eq=False)
class Intrinsics:
    """A pinhole camera with optional Brown-Conrady or rational distortion (OpenCV's, ROS's ``plumb_bob``).

    Attributes:
        width, height: image size in px that ``k`` belongs to.
        k: (3, 3) float64 camera matrix.
        d: (n,) float64 distortion coefficients in OpenCV's order; empty = none.
        assumed: True when no calibration was given and a field of view was assumed.
    """

    width: int
    height: int
    k: DoubleArray
    d: DoubleArray = field(default_factory=lambda: np.zeros(0))
    assumed: bool = False

    def __post_init__(self) -> None:
        k = np.asarray(self.k, dtype=np.float64).reshape(3, 3)
        d = np.asarray(self.d, dtype=np.float64).ravel()
        if not (np.isfinite(k).all() and np.isfinite(d).all()):
            raise CameraError("camera intrinsics contain NaN or infinity")
        if k[0, 0] <= 0 or k[1, 1] <= 0:
            raise CameraError("camera intrinsics have a focal length that is not positive")
        object.__setattr__(self, "k", k)
        object.__setattr__(self, "d", d)

    @classmethod
    def from_fov(cls, width: int, height: int, fov_deg: float = DEFAULT_FOV_DEG) -> Intrinsics:
        """Assume a distortion-free camera with the given horizontal field of view and a centred axis."""
        f = 0.5 * width / math.tan(math.radians(fov_deg) / 2)
        k = np.array(
            [[f, 0, (width - 1) / 2], [0, f, (height - 1) / 2], [0, 0, 1]], dtype=np.float64
        )
        return cls(width, height, k, assumed=True)


@dataclass(frozen=True, eq=False)
class HeadPose:
    """Rigid pose of the face frame (REP-155: origin at the sellion, x out of the face, z up) in the camera optical frame.

    Attributes:
        rotation: (3, 3) float64, camera <- face.
        position: (3,) float64 metres, the sellion in the camera optical frame.
        covariance: (6, 6) float64, order x, y, z, rotation about x, y, z (camera axes), as in
            ``geometry_msgs/PoseWithCovariance``; metres and radians.
        reprojection_error: root mean square distance of the 68 landmarks to their projections, px.
    """

    rotation: DoubleArray
    position: DoubleArray
    covariance: DoubleArray
    reprojection_error: float


def check_image(image: ImageBGR, what: str = "the image") -> None:
    """Require a non-empty (H, W, 3) uint8 array.

    Args:
        image: the array to check.
        what: subject of the error message, such as ``"the texture"``.

    Raises:
        ImageError: the type, shape or dtype is another.
    """
    if not isinstance(image, np.ndarray):
        got = f"a {type(image).__name__}"
    elif image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        got = f"one of shape {image.shape} and type {image.dtype}"
    else:
        return
    raise ImageError(
        f"{what} must be a non-empty BGR array of shape (height, width, 3) and type uint8, not {got}"
    )
