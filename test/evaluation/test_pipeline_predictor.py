from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx", reason="needed to build the network under test")

from support.synthetic_model import synthetic_model
from support.tiny_regressor import DISAGREEMENT, write_tiny_regressor

from tddfa_ros.evaluation.pipeline import ANEW, SMOOTHED, TRACKED, PipelinePredictor
from tddfa_ros.evaluation.prediction import refined
from tddfa_ros.geometry.roi import roi_from_box
from tddfa_ros.pipeline import FacePipeline

BLOB = (100, 60, 180, 140)  # x0, y0, x1, y1


class BlobDetector:
    provider, fallback_reason = "CPUExecutionProvider", None
    score_threshold, max_faces = 0.5, 20

    def __call__(self, image: np.ndarray) -> np.ndarray:
        box = np.array([[*BLOB, 0.9]], np.float32)
        return box if image.any() else box[:0]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> FacePipeline:
    folder: Path = tmp_path_factory.mktemp("models")
    synthetic_model().save(folder / "head.npz")
    write_tiny_regressor(folder / "tiny.onnx", synthetic_model())
    files = {"model": str(folder / "tiny.onnx"), "morphable_model": str(folder / "head.npz")}
    made = FacePipeline.from_config({"regression": {**files, "device": "cpu"}})
    made.__dict__["detector"] = BlobDetector()
    return made


@pytest.fixture
def image() -> np.ndarray:
    image = np.zeros((240, 320, 3), np.uint8)
    image[BLOB[1] : BLOB[3], BLOB[0] : BLOB[2]] = 255
    return image


ROIS = np.array([[80.0, 40, 200, 160], [90, 30, 210, 150]])


def test_predictions_match_pipeline_faces(pipeline: FacePipeline, image: np.ndarray) -> None:
    predictor = PipelinePredictor(pipeline)
    assert predictor.name == "tiny"
    faces = pipeline.regress(image, ROIS)
    for said, face in zip(predictor.regress(image, ROIS), faces, strict=True):
        np.testing.assert_array_equal(said.landmarks, face.landmarks68)
        np.testing.assert_array_equal(said.rotation, face.image_pose.rotation)
        assert said.expression == face.expression
        assert said.confidence == face.confidence


def test_direct_landmarks_are_in_image_coordinates(
    pipeline: FacePipeline, image: np.ndarray
) -> None:
    predictor = PipelinePredictor(pipeline)
    mesh = np.stack([p.landmarks[:, :2] for p in predictor.regress(image, ROIS)])
    np.testing.assert_allclose(predictor.direct(image, ROIS), mesh, atol=0.05)
    image[..., 1] //= 2  # the heads of the tiny network disagree on colored input
    apart = predictor.direct(image, ROIS) - [
        p.landmarks[:, :2] for p in predictor.regress(image, ROIS)
    ]
    assert apart[..., 0].min() > 1 and apart[..., 0].max() < DISAGREEMENT
    np.testing.assert_allclose(apart[..., 1], 0, atol=0.05)


def test_two_passes_match_pipeline_align(pipeline: FacePipeline, image: np.ndarray) -> None:
    predictor = PipelinePredictor(pipeline)
    box = predictor.detect(image)[0]
    seen, roi = refined(predictor, image, roi_from_box(box))
    (face,) = pipeline.align(image, box[None])
    np.testing.assert_allclose(seen.landmarks, face.landmarks68, atol=1e-3)
    np.testing.assert_allclose(roi, face.roi, atol=1e-3)


def test_follower_reports_every_variant(pipeline: FacePipeline, image: np.ndarray) -> None:
    follow = PipelinePredictor(pipeline).follower()
    first = follow(image, 0.0)
    assert first[ANEW] is not None
    assert first[TRACKED] is None  # a track is reported from its second frame on
    second = follow(image, 0.04)
    for way in (ANEW, TRACKED, SMOOTHED):
        np.testing.assert_allclose(second[way], first[ANEW], atol=1.0)
    nothing = follow(np.zeros_like(image), 0.08)
    assert set(nothing.values()) == {None}
