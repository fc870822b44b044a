"""Record the network outputs for each frame of a video, and replay them to resume an interrupted run.

Tracking and smoothing depend on all earlier frames. Both are fast and deterministic, so the journal stores their input, the results of
the pipeline, and not their state. Replaying the journal restores the exact state of tracker and smoother.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from tddfa_ros.config import PipelineConfig
from tddfa_ros.errors import TddfaError
from tddfa_ros.face import Face
from tddfa_ros.files import atomic_path
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.pipeline import FacePipeline, known_scale
from tddfa_ros.regression.appearance import COLOR_LAYOUT
from tddfa_ros.tracking.camera_motion import CameraMotion
from tddfa_ros.types import DoubleArray, FloatArray, ImageBGR, Intrinsics, RealArray

T = TypeVar("T")
_LANDMARKS = 68


@dataclass(frozen=True, eq=False)
class FaceRows:
    """Faces of one pipeline call as arrays.

    Boxes (n, 4), confidences (n,), rois (n, 4), params (n, P), color layouts (n, 48) and crop sigmas (n, 68), NaN without.
    """

    boxes: DoubleArray
    confidences: DoubleArray
    rois: DoubleArray
    params: FloatArray
    colors: FloatArray
    sigmas: FloatArray


@dataclass(eq=False)
class Journal:
    """Results of the pipeline for consecutive frames, in call order, and the frames completed meanwhile; see `VideoAnalysis`.

    Attributes:
        shape: height and width of the frames, px.
        times: timestamps of the completed frames, s.
        detections: results (n, 5) of ``detect``.
        faces: results of ``align`` and ``regress``.
        motions: (2,) camera motion of each frame, px.
        thumbnail: small image of the last frame, which the camera motion of the next one starts from; None before the first.
        attributes: state of the averaged attributes after the last frame; they are slow to estimate, so that they are not replayed.
        final: False if the run was stopped, so that the last frames were completed without those that follow.
    """

    shape: tuple[int, int] = (0, 0)
    times: list[float] = field(default_factory=list)
    detections: list[FloatArray] = field(default_factory=list)
    faces: list[FaceRows] = field(default_factory=list)
    motions: list[DoubleArray] = field(default_factory=list)
    thumbnail: FloatArray | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    final: bool = True

    def save(self, path: Path) -> None:
        """Write a compressed ``.npz`` atomically.

        Raises:
            TddfaError: the file cannot be written.
        """
        faces = self.faces
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file,
                shape=np.array(self.shape),
                times=np.array(self.times),
                detection_counts=np.array([len(rows) for rows in self.detections], np.int64),
                detections=_stacked(self.detections, 5),
                face_counts=np.array([len(rows.boxes) for rows in faces], np.int64),
                boxes=_stacked([rows.boxes for rows in faces], 4),
                confidences=np.concatenate([np.zeros(0), *(r.confidences for r in faces)]),
                rois=_stacked([rows.rois for rows in faces], 4),
                params=_stacked([rows.params for rows in faces], 0),
                colors=_stacked([rows.colors for rows in faces], COLOR_LAYOUT),
                sigmas=_stacked([rows.sigmas for rows in faces], _LANDMARKS),
                motions=np.reshape(self.motions, (-1, 2)).astype(np.float64),
                thumbnail=np.zeros((0, 0)) if self.thumbnail is None else self.thumbnail,
                attributes=np.array(json.dumps(self.attributes)),
                final=np.array(self.final),
            )

    @classmethod
    def load(cls, path: Path) -> Journal:
        """Read a journal written by :meth:`save`.

        Raises:
            TddfaError: the file is missing or damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                data = {name: stored[name] for name in stored.files}
            ends = np.cumsum(data["face_counts"])[:-1]
            names = ("boxes", "confidences", "rois", "params", "colors", "sigmas")
            rows = [np.split(data[name], ends) for name in names]
            faces = [FaceRows(*parts) for parts in zip(*rows, strict=True)]
            detections = np.split(data["detections"], np.cumsum(data["detection_counts"])[:-1])
            height, width = data["shape"].tolist()
            return cls(
                (height, width),
                data["times"].tolist(),
                detections if len(data["detection_counts"]) else [],
                faces if len(data["face_counts"]) else [],
                list(data["motions"]),
                data["thumbnail"].astype(np.float32) if data["thumbnail"].size else None,
                json.loads(str(data["attributes"])),
                bool(data["final"]),
            )
        except Exception as error:  # zip, zlib and NumPy raise different types
            raise TddfaError(f"{path} is damaged") from error


class JournaledPipeline:
    """A pipeline that records its results in a journal, or replays those of a journal.

    Args:
        pipeline: called when there is nothing to replay.

    Attributes:
        journal: receives new results; replace it to start another one.
        camera_motion: records or replays the motion of the background, for a :class:`FaceTracker`.
    """

    def __init__(self, pipeline: FacePipeline) -> None:
        self.journal = Journal()
        self.timings: dict[str, float] = {}
        self._pipeline = pipeline
        self._detections: deque[FloatArray] = deque()
        self._faces: deque[FaceRows] = deque()
        self.camera_motion = JournaledMotion(self)

    @property
    def config(self) -> PipelineConfig:
        return self._pipeline.config

    @property
    def model(self) -> MorphableModel:
        return self._pipeline.model

    def replay(self, journal: Journal) -> None:
        """Serve the next calls from a journal."""
        self._detections.extend(journal.detections)
        self._faces.extend(journal.faces)
        self.camera_motion.replay(journal)

    @property
    def replaying(self) -> bool:
        """Whether results are left to replay."""
        return bool(self._detections or self._faces or self.camera_motion.replaying)

    def detect(self, image: ImageBGR, min_score: float | None = None) -> FloatArray:
        """See :meth:`FacePipeline.detect`."""
        if self._detections or self._faces:
            return _next(self._detections)
        found = self._call(lambda: self._pipeline.detect(image, min_score))
        self.journal.detections.append(found)
        return found

    def align(
        self, image: ImageBGR, boxes: RealArray, intrinsics: Intrinsics | None = None
    ) -> list[Face]:
        """See :meth:`FacePipeline.align`."""
        return self._recorded(
            image, intrinsics, lambda: self._pipeline.align(image, boxes, intrinsics)
        )

    def regress(
        self, image: ImageBGR, rois: RealArray, intrinsics: Intrinsics | None = None
    ) -> list[Face]:
        """See :meth:`FacePipeline.regress`."""
        return self._recorded(
            image, intrinsics, lambda: self._pipeline.regress(image, rois, intrinsics)
        )

    def _recorded(
        self, image: ImageBGR, intrinsics: Intrinsics | None, compute: Callable[[], list[Face]]
    ) -> list[Face]:
        if self._detections or self._faces:
            return self._faces_of(_next(self._faces), image, intrinsics)
        faces = self._call(compute)
        self.journal.faces.append(_rows(faces, self.model.layout.size))
        return faces

    def _call(self, compute: Callable[[], T]) -> T:
        result = compute()
        self.timings = self._pipeline.timings
        return result

    def _faces_of(
        self, rows: FaceRows, image: ImageBGR, intrinsics: Intrinsics | None
    ) -> list[Face]:
        height, width = image.shape[:2]
        if intrinsics is None:
            intrinsics = Intrinsics.from_fov(width, height, self.config.camera.assumed_fov_deg)
        camera = self.config.camera
        return [
            Face(
                box,
                float(confidence),
                params,
                roi,
                self.model,
                intrinsics,
                crop_sigma=None if np.isnan(sigma).any() else sigma,
                scale=known_scale(self.model, params, camera),
                color_layout=colors,
            )
            for box, confidence, roi, params, colors, sigma in zip(
                rows.boxes,
                rows.confidences,
                rows.rois,
                rows.params,
                rows.colors,
                rows.sigmas,
                strict=True,
            )
        ]


class JournaledMotion:
    """A :class:`BackgroundMotion` that records in the current journal of a pipeline, or replays a journal.

    Args:
        pipeline: has the current journal.
    """

    def __init__(self, pipeline: JournaledPipeline) -> None:
        self._pipeline = pipeline
        self._motion = CameraMotion()
        self._replayed: deque[DoubleArray] = deque()

    @property
    def replaying(self) -> bool:
        """Whether motions are left to replay."""
        return bool(self._replayed)

    def replay(self, journal: Journal) -> None:
        """Serve the next calls from a journal."""
        self._replayed.extend(journal.motions)
        if journal.motions:
            self._motion.thumbnail = journal.thumbnail

    def __call__(self, image: ImageBGR) -> DoubleArray:
        """See :class:`BackgroundMotion`."""
        if self._replayed:
            return self._replayed.popleft()
        motion = self._motion(image)
        self._pipeline.journal.motions.append(motion)
        self._pipeline.journal.thumbnail = self._motion.thumbnail
        return motion

    def reset(self) -> None:
        """Forget the last image; while replaying it is that of the end of the journal, and kept."""
        if not self._replayed:
            self._motion.reset()


def _rows(faces: Sequence[Face], parameters: int) -> FaceRows:
    return FaceRows(
        np.array([face.box for face in faces], np.float64).reshape(-1, 4),
        np.array([face.confidence for face in faces], np.float64),
        np.array([face.roi for face in faces], np.float64).reshape(-1, 4),
        np.array([face.params for face in faces], np.float32).reshape(-1, parameters),
        np.array([face.color_layout for face in faces], np.float32).reshape(-1, COLOR_LAYOUT),
        np.array([_sigma(face) for face in faces], np.float32).reshape(-1, _LANDMARKS),
    )


def _sigma(face: Face) -> FloatArray:
    missing = np.full(_LANDMARKS, np.nan, np.float32)
    return missing if face.crop_sigma is None else face.crop_sigma


def _stacked(parts: Sequence[RealArray], columns: int) -> RealArray:
    return np.concatenate(parts) if parts else np.zeros((0, columns))


def _next(results: deque[T]) -> T:
    if not results:
        raise TddfaError(
            "the journal of the interrupted run does not match the video; discard it with --restart"
        )
    return results.popleft()
