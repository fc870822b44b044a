"""Adapter of `FacePipeline` for the suites, which evaluate the same code that users run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from tddfa_ros.config import INT8
from tddfa_ros.evaluation.prediction import Follower, MapPrediction, Prediction
from tddfa_ros.face import Face
from tddfa_ros.geometry.pose import crop_to_image
from tddfa_ros.geometry.roi import crop_batch
from tddfa_ros.pipeline import FacePipeline
from tddfa_ros.precision.networks import regression_network
from tddfa_ros.regression.maps import PARSING, UV_POSITION, MapPredictor, RegressedMaps
from tddfa_ros.regression.regressor import Regressor
from tddfa_ros.rendering.parsing import parsing_map
from tddfa_ros.rendering.uv_surface import uv_position_map, uv_surface
from tddfa_ros.smoothing import FaceSmoother
from tddfa_ros.tracking import FaceTracker
from tddfa_ros.types import FloatArray, ImageBGR, RealArray

_UV_SIZE = 32  # of the mesh's UV position map, for a network without that head
ANEW, TRACKED, SMOOTHED = "every frame anew", "tracked", "tracked, smoothed"
"""Tracking modes: detection in every frame; `FaceTracker`; `FaceTracker` and `FaceSmoother`."""


class PipelinePredictor:
    """`Predictor` of a pipeline.

    Faces do not contain the direct landmarks of the network, so these come from a second session of the same network.
    """

    def __init__(self, pipeline: FacePipeline) -> None:
        chosen = pipeline.config.regression
        self.name = Path(chosen.model).stem + f" ({INT8})" * (chosen.precision == INT8)
        self._pipeline = pipeline
        path = regression_network(chosen, pipeline.store)
        self._regressor = Regressor(path, pipeline.model, chosen.device, chosen.threads)

    def regress(self, image: ImageBGR, rois: RealArray) -> Sequence[Prediction]:
        """See `Predictor`."""
        return [
            Prediction(
                f.landmarks68,
                f.image_pose.rotation,
                f.expression,
                f.confidence,
                f.landmark_sigma,
            )
            for f in self._pipeline.regress(image, rois)
        ]

    def direct(self, image: ImageBGR, rois: RealArray) -> FloatArray | None:
        """See `Predictor`."""
        rois = np.asarray(rois, dtype=np.float64)
        crops = crop_batch(image, rois, self._regressor.input_size)
        return crop_to_image(self._regressor(crops).landmarks_direct, rois)

    @cached_property
    def _map_predictor(self) -> MapPredictor | None:
        if not {PARSING, UV_POSITION} & set(self._regressor.session.output_names):
            return None
        pipeline = self._pipeline
        return MapPredictor.from_config(pipeline.config.regression, pipeline.store, pipeline.model)

    def maps(self, image: ImageBGR, rois: RealArray) -> Sequence[MapPrediction] | None:
        """See `Predictor`."""
        if self._map_predictor is None:
            return None
        predict = self._map_predictor
        faces = self._pipeline.regress(image, rois)
        return [_with_mesh(predict(image, f.roi[None]), f, image.shape) for f in faces]

    def detect(self, image: ImageBGR) -> FloatArray:
        """See `Predictor`."""
        return self._pipeline.detect(image)

    def follower(self) -> Follower:
        """See `Predictor`; the modes are :data:`ANEW`, :data:`TRACKED` and :data:`SMOOTHED`."""
        tracker, smoother = (
            FaceTracker(self._pipeline),
            FaceSmoother(self._pipeline.config.smoothing),
        )

        def follow(image: ImageBGR, seconds: float) -> Mapping[str, FloatArray | None]:
            tracked = tracker.update(image, seconds)
            return {
                ANEW: _largest(self._pipeline(image)),
                TRACKED: _largest(tracked),
                SMOOTHED: _largest(smoother(tracked)),
            }

        return follow


def _with_mesh(found: RegressedMaps, face: Face, shape: Sequence[int]) -> MapPrediction:
    """Add the maps of the mesh, within the ROI, to those that the network regressed for this face."""
    size = _UV_SIZE if found.uv_position is None else found.uv_position.shape[1]
    parsing = parsing_map([face], shape)
    outside = np.ones(parsing.shape, dtype=np.bool_)
    low, high = np.ceil(face.roi[:2]).astype(int).clip(0), np.ceil(face.roi[2:]).astype(int)
    outside[low[1] : max(high[1], 0), low[0] : max(high[0], 0)] = False
    parsing[outside] = 0
    return MapPrediction(
        None if found.parsing is None else found.parsing_image(shape),
        parsing,
        None if found.uv_position is None else found.uv_position[0],
        uv_position_map(face, size),
        uv_surface(face.model, size).mask,
        1000 / face.image_pose.scale,
        face.face_size,
    )


def _largest(faces: Sequence[Face]) -> FloatArray | None:
    return max(faces, key=lambda face: face.face_size).landmarks68 if faces else None
