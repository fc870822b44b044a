"""Core types shared by all subpackages: array aliases, parameter layout, camera intrinsics and head pose."""

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
"""Floating-point array of any precision."""

POSE_SIZE = 12
"""Number of pose parameters: a row-major 3x4 ``[s*R | t]``."""

CROP_FRAME = 120.0
"""Side of the crop frame that pose parameters refer to, px (3DDFA_V2's input size)."""

DEFAULT_FOV_DEG = 60.0
"""Horizontal field of view assumed for an uncalibrated camera, degrees; typical of webcams."""

MAX_IMAGE_PIXELS = 200_000_000
"""Largest width x height of a compressed image that is decoded by default; the largest sensors of phones have 200 million pixels."""

EQUIDISTANT = "equidistant"

DISTORTION_MODELS = ("plumb_bob", "rational_polynomial", EQUIDISTANT)
"""Supported lens models, as named in sensor_msgs/CameraInfo (``sensor_msgs/distortion_models.hpp``)."""

MAX_COEFFICIENTS = {"plumb_bob": 14, "rational_polynomial": 14, EQUIDISTANT: 4}
"""Largest number of distortion coefficients of each model; the first two share OpenCV's polynomial."""

LATE_S = 1.0
"""A frame older than the newest one by less than this is late and ignored, s; by more, the stream jumped back, as a bag that loops."""

# A focal length of 0.02 to 1000 image sides: fields of view from 170 degrees down to that of a small region of interest.
_FOCAL_RANGE = (0.02, 1000.0)
_MAX_COEFFICIENT = 1e4  # over-fitted rational polynomials reach some hundreds


@dataclass(frozen=True)
class ParamLayout:
    """Layout of a parameter vector: 12 pose parameters, then identity (shape) and expression coefficients.

    3DDFA_V2 uses ``ParamLayout(shape=40, expression=10)``, 62 parameters. The default model of this package uses
    ``ParamLayout(shape=40, expression=52)``, 104 parameters, with ARKit's 52 blend shapes as expression.

    Attributes:
        shape: number S of identity coefficients.
        expression: number E of expression coefficients.
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
        """Split parameters (..., P) into views of pose (..., 3, 4), shape (..., S) and expression (..., E)."""
        pose = params[..., self.pose_slice].reshape(*params.shape[:-1], 3, 4)
        return pose, params[..., self.shape_slice], params[..., self.expression_slice]


@dataclass(frozen=True, eq=False)
class Intrinsics:
    """Intrinsics of a camera: camera matrix and lens model.

    Attributes:
        width: image width, px; 0 = unknown.
        height: image height, px; 0 = unknown.
        k: (3, 3) float64 camera matrix, px.
        d: (n,) float64 distortion coefficients in OpenCV's order; empty = all zero.
        assumed: whether the field of view is assumed rather than calibrated.
        distortion_model: one of :data:`DISTORTION_MODELS`. ``plumb_bob`` (Brown-Conrady) and ``rational_polynomial`` are OpenCV's
            pinhole polynomial, which the number of coefficients selects; ``equidistant`` is the fisheye model of ``cv2.fisheye``,
            with r = f theta for zero coefficients.

    Raises:
        CameraError: a value is not finite or absurd, a focal length is not positive, the model is not supported, or it cannot have
            that many coefficients.
    """

    width: int
    height: int
    k: DoubleArray
    d: DoubleArray = field(default_factory=lambda: np.zeros(0))
    assumed: bool = False
    distortion_model: str = "plumb_bob"

    def __post_init__(self) -> None:
        k = np.asarray(self.k, dtype=np.float64).reshape(3, 3)
        d = np.asarray(self.d, dtype=np.float64).ravel()
        if not (np.isfinite(k).all() and np.isfinite(d).all()):
            raise CameraError("camera intrinsics contain NaN or infinity")
        if k[0, 0] <= 0 or k[1, 1] <= 0:
            raise CameraError(
                f"camera intrinsics need positive focal lengths, not {k[0, 0]:g} and {k[1, 1]:g} px"
            )
        self._check_plausible(k)
        _check_distortion(self.distortion_model, d)
        object.__setattr__(self, "k", k)
        object.__setattr__(self, "d", d)

    @property
    def distorted(self) -> bool:
        """Whether the lens differs from a pinhole."""
        return self.distortion_model == EQUIDISTANT or bool(self.d.any())

    def _check_plausible(self, k: DoubleArray) -> None:
        side = max(self.width, self.height)
        if not side:
            return
        low, high = (limit * side for limit in _FOCAL_RANGE)
        for focal in (k[0, 0] / k[2, 2], k[1, 1] / k[2, 2]) if k[2, 2] > 0 else ():
            if not low <= focal <= high:
                raise CameraError(
                    f"a focal length of {focal:g} px is not plausible for {self.width}x{self.height} px images"
                )
        if np.abs(k[:2, 2]).max() > high:
            raise CameraError(
                f"a principal point of ({k[0, 2]:g}, {k[1, 2]:g}) px is not plausible for "
                f"{self.width}x{self.height} px images"
            )

    @classmethod
    def from_fov(cls, width: int, height: int, fov_deg: float = DEFAULT_FOV_DEG) -> Intrinsics:
        """Build the intrinsics of a distortion-free camera with a horizontal field of view and a centered principal point."""
        f = 0.5 * width / math.tan(math.radians(fov_deg) / 2)
        k = np.array(
            [[f, 0, (width - 1) / 2], [0, f, (height - 1) / 2], [0, 0, 1]], dtype=np.float64
        )
        return cls(width, height, k, assumed=True)


@dataclass(frozen=True, eq=False)
class HeadPose:
    """Pose of the face frame (REP-155: origin at the sellion, x out of the face, z up) in the camera optical frame.

    Attributes:
        rotation: (3, 3) float64 rotation, camera <- face.
        position: (3,) float64 position of the sellion, m.
        covariance: (6, 6) float64 covariance of x, y, z and the rotation about x, y, z (camera axes), m and rad, as in
            ``geometry_msgs/PoseWithCovariance``.
        reprojection_error: RMS distance of the 68 landmarks to their projections, px.
    """

    rotation: DoubleArray
    position: DoubleArray
    covariance: DoubleArray
    reprojection_error: float


def _check_distortion(model: str, d: DoubleArray) -> None:
    if model not in DISTORTION_MODELS:
        raise CameraError(
            f"the distortion model {model!r} is not supported; supported are {', '.join(DISTORTION_MODELS)}"
        )
    if len(d) > MAX_COEFFICIENTS[model]:
        raise CameraError(
            f"the distortion model {model!r} has at most {MAX_COEFFICIENTS[model]} coefficients, got {len(d)}"
        )
    if len(d) and np.abs(d).max() > _MAX_COEFFICIENT:
        raise CameraError(
            f"a distortion coefficient of {np.abs(d).max():g} is not plausible for any lens"
        )


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
