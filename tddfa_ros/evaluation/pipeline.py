"""Adapter of `FacePipeline` for the suites, which evaluate the same code that users run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tddfa_ros.config import INT8
from tddfa_ros.evaluation.prediction import Follower, Prediction
from tddfa_ros.face import Face
from tddfa_ros.geometry.pose import crop_to_image
from tddfa_ros.geometry.roi import crop_batch
from tddfa_ros.pipeline import FacePipeline
from tddfa_ros.precision.networks import regression_network
from tddfa_ros.regression.regressor import Regressor
from tddfa_ros.smoothing import FaceSmoother
from tddfa_ros.tracking import FaceTracker
from tddfa_ros.types import FloatArray, ImageBGR, RealArray

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


def _largest(faces: Sequence[Face]) -> FloatArray | None:
    return max(faces, key=lambda face: face.face_size).landmarks68 if faces else None
