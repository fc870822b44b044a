"""A reconstructed face: network output and the landmarks, mesh, pose and expression derived from it on first access.

The landmarks and metric poses of all faces of one image are computed together, because 20 faces take little longer than one; see
:func:`grouped`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import TypeAlias, TypeVar

import numpy as np

from tddfa_ros.errors import CameraError
from tddfa_ros.geometry import camera
from tddfa_ros.geometry import pose as poses
from tddfa_ros.geometry.scale import HeadScale
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.types import CROP_FRAME, DoubleArray, FloatArray, HeadPose, Intrinsics, RealArray


@dataclass(frozen=True, eq=False)
class Face:
    """One face in one image.

    Attributes:
        box: (4,) x0, y0, x1, y1 image px: the detection, or the box of the landmarks when it was tracked.
        confidence: 0..1.
        params: (P,) float32, ``model.layout``; pose in the 120-px crop frame of ``roi``.
        roi: (4,) x0, y0, x1, y1 image px: the square crop that was the network input.
        model: morphable model that ``params`` belong to.
        intrinsics: of the image; without them (None) metric properties raise CameraError.
        crop_sigma: (68,) standard deviation of each landmark's x and y, px of the 120-px crop, predicted by the network; None if the network does not
            predict it.
        scale: metric scale of the head, where it is known better than by the prior of human sizes; see :mod:`tddfa_ros.geometry.scale`.
        pose_covariance: (6, 6) covariance of :attr:`head_pose` to report instead of the estimated one, such as that of the raw pose of a
            smoothed face.
        color_layout: (48,) coarse colors of the crop (`tddfa_ros.regression.appearance`), which tell faces of one scene apart; only in faces
            of :meth:`FacePipeline.align` and :meth:`FacePipeline.regress`, for the tracker.

    Pixel properties: x right, y down, z in px, relative, nearer = larger. Metric properties: meters, camera optical
    frame. Arrays are computed once and read-only.
    """

    box: RealArray
    confidence: float
    params: FloatArray
    roi: RealArray
    model: MorphableModel
    intrinsics: Intrinsics | None = None
    crop_sigma: FloatArray | None = None
    scale: HeadScale | None = None
    pose_covariance: DoubleArray | None = None
    color_layout: FloatArray | None = None

    @cached_property
    def landmark_sigma(self) -> FloatArray | None:
        """(68,) standard deviation of x and y of each of :attr:`landmarks68`, image px; None where the network does not predict it."""
        if self.crop_sigma is None:
            return None
        scale = (self.roi[2] - self.roi[0]) / CROP_FRAME
        return _frozen((self.crop_sigma * scale).astype(np.float32))

    @cached_property
    def pose(self) -> FloatArray:
        """Weak-perspective pose (3, 4) ``[s*R | t]`` in the crop frame."""
        return self.model.layout.split(self.params)[0]

    @cached_property
    def image_pose(self) -> poses.Similarity:
        """Weak-perspective pose in the image, independent of the ROI."""
        return poses.image_pose(self.pose, self.roi)

    @cached_property
    def landmarks68(self) -> FloatArray:
        """iBUG-68 landmarks (68, 3), image px."""
        group, i = self._place
        return _frozen(group.landmarks[i])

    @cached_property
    def vertices(self) -> FloatArray:
        """Dense vertices (N, 3), image px."""
        return _frozen(poses.to_image(self.head, self.pose, self.roi))

    @cached_property
    def coarse_vertices(self) -> FloatArray:
        """Coarse vertices (M, 3), image px."""
        return _frozen(poses.to_image(self._head_coarse, self.pose, self.roi))

    @cached_property
    def vertices_metric(self) -> FloatArray:
        """Dense vertices (N, 3), m, camera optical frame. CameraError without intrinsics."""
        return self._to_camera(self.head)

    @cached_property
    def landmarks_metric(self) -> FloatArray:
        """Landmarks (68, 3), m, camera optical frame. CameraError without intrinsics."""
        return self._to_camera(self._head_landmarks)

    @cached_property
    def coarse_vertices_metric(self) -> FloatArray:
        """Coarse vertices (M, 3), m, camera optical frame. CameraError without intrinsics."""
        return self._to_camera(self._head_coarse)

    @property
    def head_pose(self) -> HeadPose:
        """Pose of the REP-155 face frame in the camera optical frame. CameraError without intrinsics."""
        return self.metric_fit.head_pose

    @cached_property
    def metric_fit(self) -> camera.MetricFit:
        """Pose of the model in the camera frame, shared by all metric properties. CameraError without intrinsics."""
        if self.intrinsics is None:
            raise CameraError("metric values need camera intrinsics or an assumed field of view")
        group, i = self._place
        fit = group.fits[i]
        if isinstance(fit, CameraError):
            raise CameraError(*fit.args)
        if self.pose_covariance is None:
            return fit
        return fit._replace(head_pose=replace(fit.head_pose, covariance=self.pose_covariance))

    @cached_property
    def yaw_pitch_roll(self) -> DoubleArray:
        """Yaw, pitch, roll (3,), degrees, relative to a face looking straight into the camera.

        yaw > 0 turns to the person's own left, pitch > 0 looks down, roll > 0 tilts toward the person's own right
        shoulder; see :func:`tddfa_ros.geometry.pose.yaw_pitch_roll`.
        """
        return poses.yaw_pitch_roll(self.image_pose.rotation)

    @cached_property
    def expression_coefficients(self) -> FloatArray:
        """Expression coefficients (E,) in the order of the model, as used by the mesh."""
        return _frozen(self.model.layout.split(self.params)[2].copy())

    @cached_property
    def expression(self) -> Mapping[str, float]:
        """Expression coefficients by name; with the default model ARKit's 52 names, about 0..1."""
        values = self.expression_coefficients.tolist()
        return MappingProxyType(dict(zip(self.model.expression_names, values, strict=True)))

    @cached_property
    def face_size(self) -> float:
        """Square root of the area of the landmarks' bounding box, px: the unit of the NME, and of smoothing."""
        return float(np.sqrt(np.prod(np.ptp(self.landmarks68[:, :2], axis=0))))

    @cached_property
    def head(self) -> FloatArray:
        """Head without pose (N, 3), m, model frame."""
        return _frozen(self.model.head(self.params))

    @cached_property
    def _head_landmarks(self) -> FloatArray:
        group, i = self._place
        return _frozen(group.head_landmarks[i])

    @cached_property
    def _place(self) -> tuple[_Group, int]:
        """The faces that are evaluated together with this one, and its place among them; :func:`grouped` sets it."""
        return _Group([self]), 0

    @cached_property
    def _head_coarse(self) -> FloatArray:
        return self.model.head_coarse(self.params)

    def _to_camera(self, points: FloatArray) -> FloatArray:
        return _frozen(camera.camera_points(points, self.metric_fit))


@dataclass(frozen=True, eq=False)
class TrackedFace(Face):
    """A face tracked over time.

    Attributes:
        id: "f1", "f2" ..., after the prefix of the tracker: unique in a run, never reused.
        stamp: seconds, of the image.
        age: frames since the track began.
    """

    id: str = ""
    stamp: float = 0.0
    age: int = 0

    def replace(self, **changes: object) -> TrackedFace:
        """Return a copy with changed attributes, such as ``replace(params=smoothed)``; derived values are recomputed."""
        return replace(self, **changes)  # type: ignore[arg-type]


EarlierFace: TypeAlias = tuple[int, TrackedFace]
"""A number of frames, and a face seen that many frames ago."""

AnyFace = TypeVar("AnyFace", bound=Face)


def grouped(faces: Iterable[AnyFace]) -> list[AnyFace]:
    """Let the faces of one image be evaluated together: the first access to landmarks or a pose computes those of all faces.

    `FacePipeline`, `FaceTracker` and `FaceSmoother` return their faces like that. The values are the same to rounding errors. Copies
    with changes (``dataclasses.replace``) leave the group.

    Returns:
        The same faces.
    """
    everyone = list(faces)
    groups: dict[object, list[Face]] = {}
    if (
        len({(id(face.model), id(face.intrinsics), face.crop_sigma is None) for face in everyone})
        == 1
    ):
        groups[None] = list(everyone)
    else:
        for face in everyone:
            groups.setdefault(_Group.key(face), []).append(face)
    for members in groups.values():
        group = _Group(members)
        for i, member in enumerate(members):
            vars(member)["_place"] = group, i
    return everyone


def reconstruct(faces: Sequence[Face]) -> None:
    """Compute the dense heads of faces together, in one product per model; :attr:`Face.head` and all vertices then start from them.

    It pays if the vertices of all faces are used: for 20 faces it takes about half as long as one by one.
    """
    models: dict[int, list[Face]] = {}
    for face in faces:
        if "head" not in vars(face):
            models.setdefault(id(face.model), []).append(face)
    for members in models.values():
        heads = members[0].model.heads(np.stack([face.params for face in members]))
        for face, head in zip(members, heads, strict=True):
            vars(face)["head"] = _frozen(head)


class _Group:
    """Landmarks and metric poses of faces with the same model and camera, computed together on first access."""

    def __init__(self, faces: Sequence[Face]) -> None:
        # No face is kept: it would live as long as the others of its image.
        first = faces[0]
        self._model, self._intrinsics = first.model, first.intrinsics
        self._inputs = [(face.params, face.roi, face.crop_sigma, face.scale) for face in faces]

    @staticmethod
    def key(face: Face) -> object:
        """Return what the faces of a group have in common."""
        lens = face.intrinsics
        seen_by = lens and (lens.k.tobytes(), lens.d.tobytes(), lens.distortion_model, lens.assumed)
        return id(face.model), face.params.shape, seen_by, face.crop_sigma is None

    @cached_property
    def head_landmarks(self) -> FloatArray:
        """Landmarks (n, 68, 3), m, model frame."""
        return self._model.head_landmarks(np.array([params for params, _, _, _ in self._inputs]))

    @cached_property
    def landmarks(self) -> FloatArray:
        """Landmarks (n, 68, 3), image px."""
        return poses.to_image(self.head_landmarks, self._poses, self._rois)

    @cached_property
    def _rois(self) -> DoubleArray:
        return np.array([roi for _, roi, _, _ in self._inputs], dtype=np.float64)

    @cached_property
    def _poses(self) -> FloatArray:
        size = self._model.layout.pose_slice
        return np.array([p[size] for p, _, _, _ in self._inputs], np.float32).reshape(-1, 3, 4)

    @cached_property
    def fits(self) -> list[camera.MetricFit | CameraError]:
        """Metric pose of each face, or why it has none."""
        assert self._intrinsics is not None
        sigma = None
        if self._inputs[0][2] is not None:
            sides = (self._rois[:, 2] - self._rois[:, 0]) / CROP_FRAME
            sigma = np.array([crop_sigma for _, _, crop_sigma, _ in self._inputs]) * sides[:, None]
        return camera.metric_fits(
            self.head_landmarks,
            self.landmarks,
            poses.decompose(self._poses)[1],
            self._intrinsics,
            sigma,
            [scale for _, _, _, scale in self._inputs],
        )


def _frozen(array: FloatArray) -> FloatArray:
    array.setflags(write=False)
    return array
