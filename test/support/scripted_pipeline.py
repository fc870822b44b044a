"""A pipeline with a scripted scene: the geometry of detection and regression without networks.

Replaces `FacePipeline` in tests that need exact positions and visibility of every face. The image contains
only the frame index; the positions of people are functions of it. Regression has the measured behavior of the network: exact up to a quarter
of the ROI off its center, worse beyond, and lost at 0.45; a ROI without a face gives landmarks with a low confidence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from support.synthetic_model import frontal_params, synthetic_model

from tddfa_ros.config import PipelineConfig
from tddfa_ros.face import Face
from tddfa_ros.geometry import pose
from tddfa_ros.geometry.roi import BOX_GROWTH, BOX_SHIFT, roi_from_box, roi_from_landmarks

WIDTH, HEIGHT, HZ = 640, 480, 30.0
MODEL = synthetic_model()
_LANDMARKS = MODEL.head_landmarks(frontal_params(MODEL))[:, :2]
_ROI_M = float(np.ptp(roi_from_landmarks(_LANDMARKS)[[0, 2]]))
_CENTER_M = (_LANDMARKS.min(axis=0) + _LANDMARKS.max(axis=0)) / 2

Point = tuple[float, float]


def always(_: int) -> bool:
    return True


@dataclass(frozen=True)
class Person:
    """``path``: center of the landmark ROI, px, by frame; ``side``: side of that ROI, px; ``visible``: by frame.

    ``look``: appearance as a number; people whose numbers differ by 3 look different, by less than 1 the same; None = unknown.
    """

    path: Callable[[int], Point]
    side: Callable[[int], float] = lambda _: 120.0
    visible: Callable[[int], bool] = always
    detectable: Callable[[int], bool] = always
    confidence: Callable[[int], float] = lambda _: 0.9
    score: Callable[[int], float] = lambda _: 0.9
    look: float | None = None

    def roi(self, frame: int) -> NDArray[np.float64]:
        x, y = self.path(frame)
        half = self.side(frame) / 2
        return np.array([x - half, y - half, x + half, y + half])


def still(x: float, y: float) -> Callable[[int], Point]:
    return lambda _: (x, y)


@dataclass
class ScriptedPipeline:
    """The part of `FacePipeline` that `FaceTracker` uses.

    ``log`` holds one entry per call: ("detect" | "align" | "regress", number of faces).
    """

    people: list[Person]
    config: PipelineConfig = field(default_factory=PipelineConfig)
    log: list[tuple[str, int]] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)

    def detect(
        self, image: NDArray[np.uint8], min_score: float | None = None
    ) -> NDArray[np.float32]:
        frame = frame_of(image)
        lowest = self.config.detection.score_threshold if min_score is None else min_score
        found = [
            (p.roi(frame), p.score(frame))
            for p in self.people
            if p.visible(frame) and p.detectable(frame) and p.score(frame) >= lowest
        ]
        self._logged("detect", len(found))
        boxes = []
        for (x0, y0, x1, y1), score in found:
            side = (x1 - x0) / BOX_GROWTH
            x, y = (x0 + x1) / 2, (y0 + y1) / 2 - BOX_SHIFT * side
            boxes.append([x - side / 2, y - side / 2, x + side / 2, y + side / 2, score])
        return np.array(boxes, dtype=np.float32).reshape(-1, 5)

    def align(
        self, image: NDArray[np.uint8], boxes: NDArray, intrinsics: object = None
    ) -> list[Face]:
        self._logged("align", len(boxes))
        frame = frame_of(image)
        first = [self._look(frame, roi) for roi in roi_from_box(boxes)]
        rois = [roi_from_landmarks(face.landmarks68) for face in first]
        faces = [self._look(frame, roi) for roi in rois]
        return [
            replace(f, box=np.asarray(box[:4], dtype=float))
            for box, f in zip(boxes, faces, strict=True)
        ]

    def regress(
        self, image: NDArray[np.uint8], rois: NDArray, intrinsics: object = None
    ) -> list[Face]:
        self._logged("regress", len(rois))
        return [self._look(frame_of(image), roi) for roi in rois]

    def reconfigure(self, config: PipelineConfig) -> None:
        self.config = config

    def calls(self, name: str) -> list[int]:
        return [n for called, n in self.log if called == name]

    def _logged(self, name: str, n: int) -> None:
        self.log.append((name, n))
        self.timings = {name: 1.0}

    def _look(self, frame: int, roi: NDArray) -> Face:
        side, middle = roi[2] - roi[0], roi.reshape(2, 2).mean(axis=0)
        offset, person = min(
            (
                (float(np.hypot(*(np.array(p.path(frame)) - middle))) / side, p)
                for p in self.people
                if p.visible(frame)
            ),
            default=(np.inf, None),
            key=lambda pair: pair[0],
        )
        if person is None or offset > 0.45:
            return _face(middle, 0.5 * side, roi, 0.1)
        error = max(0.0, offset - 0.25)  # the network underestimates large offsets from the center
        seen = (1 - error) * np.array(person.path(frame)) + error * middle
        found = _face(seen, person.side(frame), roi, person.confidence(frame))
        return found if person.look is None else replace(found, color_layout=layout(person.look))


def layout(look: float) -> NDArray[np.float32]:
    """Color layout at a distance of ``look`` from that of 0, in units of `Descriptor.distance`."""
    return np.full(48, 8.0 * look / np.sqrt(48), np.float32)


def image_of(frame: int) -> NDArray[np.uint8]:
    image = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    image.reshape(-1)[:4] = np.frombuffer(np.uint32(frame).tobytes(), dtype=np.uint8)
    return image


def frame_of(image: NDArray[np.uint8]) -> int:
    return int(image.reshape(-1)[:4].copy().view(np.uint32)[0])


def play(tracker: object, frames: Iterable[int]) -> list[list]:
    """Return the output of the tracker for each frame, at HZ."""
    return [tracker.update(image_of(i), i / HZ) for i in frames]  # type: ignore[attr-defined]


def _face(middle: NDArray, side: float, roi: NDArray, confidence: float) -> Face:
    """Return a frontal face whose landmarks span the ROI of ``side`` around ``middle``, regressed in ``roi``."""
    scale = side / _ROI_M
    x, y = middle - scale * _CENTER_M * np.array([1.0, -1.0])
    params = frontal_params(MODEL)
    similarity = pose.Similarity(scale, np.eye(3), np.array([x, y, 0.0]))
    params[:12] = pose.crop_pose(similarity, roi).ravel()
    landmarks = pose.to_image(MODEL.head_landmarks(params), params[:12].reshape(3, 4), roi)[:, :2]
    box = np.concatenate([landmarks.min(axis=0), landmarks.max(axis=0)]).astype(float)
    return Face(box, confidence, params, np.asarray(roi, dtype=float), MODEL)
