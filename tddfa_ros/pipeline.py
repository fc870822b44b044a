"""Face pipeline: detection, cropping, regression and, on first access, reconstruction of 3D faces."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from tddfa_ros.config import CameraConfig, PipelineConfig, load_config
from tddfa_ros.detection import Detector, create_detector
from tddfa_ros.face import Face, grouped
from tddfa_ros.geometry.pose import crop_to_image
from tddfa_ros.geometry.roi import crop_batch, roi_from_box, roi_from_landmarks, rows_of_four
from tddfa_ros.geometry.scale import HeadScale, scale_from_interpupillary_distance
from tddfa_ros.model_store.store import ModelStore, default_store
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.precision.networks import detection_network, regression_network
from tddfa_ros.regression.appearance import color_layout
from tddfa_ros.regression.regressor import RegressionResult, Regressor
from tddfa_ros.types import DoubleArray, FloatArray, ImageBGR, Intrinsics, RealArray, check_image

_assumed_camera = lru_cache(maxsize=8)(Intrinsics.from_fov)  # one object for a stream


class FacePipeline:
    """Reconstruct the faces of an image. Not thread-safe.

    Every detection yields a face, whatever its `Face.confidence`; the caller filters by confidence, as `FaceTracker` does
    with ``tracking.min_confidence``.

    Args:
        config: None for the defaults.
        store: provides the models; None for those of this package.

    Attributes:
        model: the morphable model.
        timings: ms per stage (``detection``, ``crop``, ``regression``) of the last call. Meshes are not included: a `Face`
            computes them on first access.
        too_many_faces: whether the last detection found more faces than ``detection.max_faces``; the smallest are left out.

    Raises:
        ModelError: a model is missing or damaged. The detector is loaded on first use.
    """

    def __init__(
        self, config: PipelineConfig | None = None, store: ModelStore | None = None
    ) -> None:
        self.config = config or PipelineConfig()
        self.store = store or default_store()
        self.timings: dict[str, float] = {}
        self.too_many_faces = False
        chosen = self.config.regression
        self.model = MorphableModel.load(self.store.path(self.store.morphable_model(chosen)))
        network = regression_network(chosen, self.store)
        self._regressor = Regressor(network, self.model, chosen.device, chosen.threads)

    @classmethod
    def from_config(
        cls, source: str | Path | Mapping[str, Any] | PipelineConfig | None
    ) -> FacePipeline:
        """Create a pipeline from a YAML file or a mapping; see `load_config`."""
        return cls(load_config(source))

    def __call__(self, image: ImageBGR, intrinsics: Intrinsics | None = None) -> list[Face]:
        """Detect and reconstruct all faces of an image.

        Args:
            image: (H, W, 3) uint8 BGR; convert grayscale images first.
            intrinsics: of the camera; None assumes the configured field of view.

        Returns:
            The faces, largest first.

        Raises:
            ImageError: the image has another shape or type, or no pixels.
        """
        with self._new_call(image):
            boxes = self._detect(image)[:, :4]
            return self._align([image], [boxes], intrinsics)[0]

    def detect(self, image: ImageBGR, min_score: float | None = None) -> FloatArray:
        """Detect faces: (n, 5) ``x0, y0, x1, y1, score``, image px, largest first; see `Detector`.

        Args:
            image: (H, W, 3) uint8 BGR.
            min_score: lowest score of a detection, 0..1; None = the configured threshold.
        """
        with self._new_call(image):
            if min_score is None:
                return self._detect(image)
            self.detector.score_threshold = min_score
            try:
                return self._detect(image)
            finally:
                self.detector.score_threshold = self.config.detection.score_threshold

    def align(
        self, image: ImageBGR, boxes: RealArray, intrinsics: Intrinsics | None = None
    ) -> list[Face]:
        """Fit faces to detector boxes (n, 4 or more) ``x0, y0, x1, y1 ...``, image px, in two passes.

        The first pass uses the ROI of the box, the second the ROI of the landmarks of the first pass, which reduces the NME of
        3DDFA_V2 on AFLW2000-3D from 3.81 to 3.49.

        Raises:
            ImageError: the image cannot be used, or a box has no area or contains NaN.
        """
        with self._new_call(image):
            rows = rows_of_four(boxes, "boxes")
            return self._align([image], [rows], intrinsics, with_colors=True)[0]

    def align_batch(
        self, images: Sequence[ImageBGR], boxes: Sequence[RealArray]
    ) -> list[list[Face]]:
        """Fit faces to the boxes of several images: :meth:`align`, with all crops of a pass in one call of the network.

        Args:
            images: of any sizes; intrinsics follow from the configured field of view.
            boxes: (n, 4 or more) of each image.

        Raises:
            ImageError: as :meth:`align`; which image it was is not said.
        """
        for image in images:
            check_image(image)
        self.timings = {}
        return self._align(images, [rows_of_four(rows, "boxes") for rows in boxes], None)

    def regress(
        self, image: ImageBGR, rois: RealArray, intrinsics: Intrinsics | None = None
    ) -> list[Face]:
        """Fit faces to square ROIs (n, 4) ``x0, y0, x1, y1``, image px, in one pass; `Face.box` is the landmarks' box.

        Raises:
            ImageError: the image cannot be used, or a ROI is empty, not finite or unreasonably large.
        """
        with self._new_call(image):
            rois = rows_of_four(rois, "regions of interest")
            result, colors = self._regress([image], [rois], with_colors=True)
            points = crop_to_image(result.landmarks, rois)[..., :2]
            boxes = np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1).astype(
                np.float64
            )
            return self._faces([image], [boxes], [rois], result, colors, intrinsics)[0]

    @cached_property
    def detector(self) -> Detector:
        """Face detector; created on first use, when its model is fetched if missing."""
        device, threads = self.config.regression.device, self.config.regression.threads
        network = detection_network(self.config, self.store)
        detector = create_detector(self.config.detection, self.store, device, threads, network)
        detector.max_faces = self.config.detection.max_faces + 1  # to see that there are more
        return detector

    def reconfigure(self, config: PipelineConfig) -> None:
        """Apply options that can change at run time; options that require other models keep their values."""
        self.config = config
        if "detector" in self.__dict__:
            self.detector.score_threshold = config.detection.score_threshold
            self.detector.max_faces = config.detection.max_faces + 1

    @property
    def face_limit_note(self) -> str | None:
        """One sentence if the last detection found more faces than ``detection.max_faces``, else None."""
        if not self.too_many_faces:
            return None
        limit = self.config.detection.max_faces
        return f"more faces than detection.max_faces ({limit}); the smallest are left out"

    @property
    def provider(self) -> str:
        """Execution provider of the regression network, as ONNX Runtime reports it."""
        return self._regressor.session.provider

    @property
    def device_warnings(self) -> tuple[str, ...]:
        """Why networks do not run on the GPU, one sentence per reason; empty if they do or the CPU was requested."""
        reasons = [self._regressor.session.fallback_reason]
        if "detector" in self.__dict__:
            reasons.append(self.detector.fallback_reason)
        return tuple(dict.fromkeys(reason for reason in reasons if reason))

    def _detect(self, image: ImageBGR) -> FloatArray:
        limit = self.config.detection.max_faces
        with self._timed("detection"):
            found = self.detector(image)
        self.too_many_faces = len(found) > limit
        return found[:limit]

    def _align(
        self,
        images: Sequence[ImageBGR],
        boxes: Sequence[RealArray],
        intrinsics: Intrinsics | None,
        with_colors: bool = False,
    ) -> list[list[Face]]:
        if not images:
            return []
        ends = np.cumsum([len(rows) for rows in boxes])[:-1]
        rois = roi_from_box(np.concatenate(boxes))
        first_pass, _ = self._regress(images, np.split(rois, ends))
        refined = roi_from_landmarks(crop_to_image(first_pass.landmarks, rois))
        parts = np.split(refined, ends)
        result, colors = self._regress(images, parts, with_colors)
        return self._faces(images, boxes, parts, result, colors, intrinsics)

    def _regress(
        self, images: Sequence[ImageBGR], rois: Sequence[DoubleArray], with_colors: bool = False
    ) -> tuple[RegressionResult, Sequence[FloatArray | None]]:
        """Regress the ROIs (n, 4) of each image in one batch; return also their color layouts (48,) or None."""
        with self._timed("crop"):
            size = self._regressor.input_size
            crops = np.concatenate(
                [crop_batch(image, part, size) for image, part in zip(images, rois, strict=True)]
            )
            none: list[FloatArray | None] = [None] * len(crops)
            colors = [*color_layout(crops)] if with_colors else none
        with self._timed("regression"):
            return self._regressor(crops), colors

    def _faces(
        self,
        images: Sequence[ImageBGR],
        boxes: Sequence[RealArray],
        rois: Sequence[DoubleArray],
        result: RegressionResult,
        colors: Sequence[FloatArray | None],
        intrinsics: Intrinsics | None,
    ) -> list[list[Face]]:
        sigmas = result.landmark_sigma
        found = zip(
            result.confidence,
            result.params,
            [None] * len(result.params) if sigmas is None else sigmas,
            colors,
            strict=True,
        )
        faces = []
        for image, of_image, parts in zip(images, boxes, rois, strict=True):
            size, fov = image.shape[1::-1], self.config.camera.assumed_fov_deg
            camera = intrinsics or _assumed_camera(*size, fov)
            faces.append(
                grouped(
                    Face(
                        box,
                        float(confidence),
                        params,
                        roi,
                        self.model,
                        camera,
                        sigma,
                        known_scale(self.model, params, self.config.camera),
                        color_layout=layout,
                    )
                    for box, roi in zip(np.asarray(of_image, np.float64), parts, strict=True)
                    for confidence, params, sigma, layout in [next(found)]
                )
            )
        return faces

    @contextmanager
    def _new_call(self, image: ImageBGR) -> Iterator[None]:
        check_image(image)
        self.timings = {}
        yield

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.timings[stage] = self.timings.get(stage, 0.0) + (time.perf_counter() - start) * 1e3


def known_scale(
    model: MorphableModel, params: FloatArray, camera: CameraConfig
) -> HeadScale | None:
    """Return the scale of a head with parameters (P,) by the configured interpupillary distance; None without one."""
    if camera.interpupillary_distance <= 0 or not np.isfinite(params).all():
        return None
    landmarks = model.head_landmarks(params)
    return scale_from_interpupillary_distance(landmarks, camera.interpupillary_distance)
