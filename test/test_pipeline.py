from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tddfa_ros.errors import ConfigError, ImageError, ModelError
from tddfa_ros.geometry.roi import roi_from_landmarks
from tddfa_ros.geometry.scale import eye_span
from tddfa_ros.outputs.records import face_from_record, face_record
from tddfa_ros.schema import from_dict
from tddfa_ros.types import Intrinsics

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx", reason="needed to build the network under test")

from support.synthetic_model import synthetic_model
from support.tiny_regressor import write_tiny_regressor

from tddfa_ros.config import PipelineConfig
from tddfa_ros.pipeline import FacePipeline

BLOBS = np.array([[100, 60, 180, 140], [400, 200, 500, 300]])  # x0, y0, x1, y1


class BlobDetector:
    """Detector that returns the known boxes of the squares."""

    provider, fallback_reason = "CPUExecutionProvider", None
    score_threshold, max_faces = 0.5, 20

    def __call__(self, image: np.ndarray) -> np.ndarray:
        boxes = np.hstack([BLOBS + [8, -12, -8, -20], [[0.9], [0.8]]])
        return boxes[: self.max_faces].astype(np.float32)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    folder = tmp_path_factory.mktemp("models")
    synthetic_model().save(folder / "head.npz")
    write_tiny_regressor(folder / "tiny.onnx", synthetic_model())
    files = {"model": str(folder / "tiny.onnx"), "morphable_model": str(folder / "head.npz")}
    return {"regression": {**files, "device": "cpu"}}


@pytest.fixture
def pipe(settings: dict[str, dict[str, str]]) -> FacePipeline:
    pipeline = FacePipeline.from_config(settings)
    pipeline.__dict__["detector"] = BlobDetector()
    return pipeline


@pytest.fixture
def image() -> np.ndarray:
    """(480, 640, 3) black, with two white squares where `BLOBS` says."""
    image = np.zeros((480, 640, 3), np.uint8)
    for x0, y0, x1, y1 in BLOBS:
        image[y0:y1, x0:x1] = 255
    return image


def centers(faces: list) -> np.ndarray:
    return np.array([face.landmarks68[:, :2].mean(axis=0) for face in faces])


def test_image_to_faces(pipe: FacePipeline, image: np.ndarray) -> None:
    faces = pipe(image)
    assert len(faces) == 2
    # The tiny network puts the landmarks' mean on the centroid of light and makes them as wide as the square.
    np.testing.assert_allclose(centers(faces), (BLOBS[:, :2] + BLOBS[:, 2:] - 1) / 2, atol=1.0)
    for face, blob in zip(faces, BLOBS, strict=True):
        side = np.ptp(face.landmarks68[:, :2], axis=0).max()
        assert side == pytest.approx(blob[2] - blob[0], rel=0.03)
        assert face.confidence > 0.9
        assert face.vertices.shape == (pipe.model.vertex_count, 3)
    assert set(pipe.timings) == {"detection", "crop", "regression"}
    assert all(ms > 0 for ms in pipe.timings.values())


def test_align_refines_the_roi_once(pipe: FacePipeline, image: np.ndarray) -> None:
    boxes = BLOBS + [8, -12, -8, -20]
    aligned = pipe.align(image, boxes)
    np.testing.assert_array_equal([face.box for face in aligned], boxes)
    for face in aligned:
        # The second region is that of the first pass's landmarks, so it fits those of the second.
        fits = roi_from_landmarks(face.landmarks68)
        assert np.abs(face.roi - fits).max() < 0.03 * (fits[2] - fits[0])
    assert "detection" not in pipe.timings


def test_regress_uses_the_roi_unchanged(pipe: FacePipeline, image: np.ndarray) -> None:
    rois = np.array([[60.0, 30.0, 220.0, 190.0], [390.0, 180.0, 530.0, 320.0]])
    faces = pipe.regress(image, rois)
    np.testing.assert_array_equal([face.roi for face in faces], rois)
    np.testing.assert_allclose(centers(faces), (BLOBS[:, :2] + BLOBS[:, 2:] - 1) / 2, atol=1.0)
    for face in faces:
        low, high = face.landmarks68[:, :2].min(axis=0), face.landmarks68[:, :2].max(axis=0)
        np.testing.assert_allclose(face.box, [*low, *high], atol=0.01)


def test_no_boxes_give_no_faces(pipe: FacePipeline, image: np.ndarray) -> None:
    for nothing in ([], np.zeros((0, 4)), np.zeros((0, 5), np.float32)):
        assert pipe.align(image, nothing) == []
        assert pipe.regress(image, nothing) == []


def test_camera_is_given_or_assumed(
    settings: dict[str, dict[str, str]], pipe: FacePipeline, image: np.ndarray
) -> None:
    camera = Intrinsics.from_fov(640, 480, 40.0)
    assert all(face.intrinsics is camera for face in pipe(image, camera))
    wide = FacePipeline.from_config({**settings, "camera": {"assumed_fov_deg": 90.0}})
    assumed = wide.regress(image, BLOBS)[0].intrinsics
    assert assumed.assumed and (assumed.width, assumed.height) == (640, 480)
    assert assumed.k[0, 0] == pytest.approx(320.0)


def test_interpupillary_distance_sets_size_and_distance(
    pipe: FacePipeline, image: np.ndarray
) -> None:
    usual = pipe(image)
    camera = replace(pipe.config.camera, interpupillary_distance=0.05)
    pipe.reconfigure(replace(pipe.config, camera=camera))
    child = pipe(image)
    assert len(child) == len(usual)
    for before, after in zip(usual, child, strict=True):
        assert eye_span(after.landmarks_metric) == pytest.approx(0.05, rel=1e-4)
        factor = 0.05 / eye_span(before.landmarks_metric)
        np.testing.assert_allclose(
            after.head_pose.position, factor * before.head_pose.position, rtol=1e-5
        )
        np.testing.assert_array_equal(after.landmarks68, before.landmarks68)
        again = face_from_record(face_record(after), pipe.model, after.intrinsics)
        np.testing.assert_allclose(again.landmarks_metric, after.landmarks_metric, atol=1e-6)


def test_roi_outside_image_gives_low_confidence(pipe: FacePipeline, image: np.ndarray) -> None:
    (face,) = pipe.regress(image, [[-500.0, -500.0, -400.0, -400.0]])
    assert np.isfinite(face.params).all()


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (np.zeros((480, 640), np.uint8), "shape"),
        (np.zeros((480, 640, 4), np.uint8), "shape"),
        (np.zeros((480, 640, 3), np.float32), "uint8"),
        (np.zeros((0, 640, 3), np.uint8), "empty"),
        (None, "NoneType"),
    ],
)
def test_rejects_invalid_images(pipe: FacePipeline, bad: np.ndarray, sentence: str) -> None:
    for call in (
        pipe,
        pipe.detect,
        lambda i: pipe.align(i, BLOBS),
        lambda i: pipe.regress(i, BLOBS),
    ):
        with pytest.raises(ImageError, match=sentence) as caught:
            call(bad)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "bad", [[[1, 2, 3]], [1, 2, 3, 4], [[5, 5, 5, 9]], [[0, 0, np.nan, 9]], [[0, 0, np.inf, 9]]]
)
def test_rejects_invalid_boxes_and_rois(pipe: FacePipeline, image: np.ndarray, bad: list) -> None:
    with pytest.raises(ImageError):
        pipe.align(image, bad)
    with pytest.raises(ImageError):
        pipe.regress(image, bad)


def test_runtime_parameters_take_effect(pipe: FacePipeline, image: np.ndarray) -> None:
    changed = from_dict(
        PipelineConfig, {"detection": {"max_faces": 1}, "camera": {"assumed_fov_deg": 100.0}}
    )
    before = pipe(image)[0].intrinsics
    pipe.reconfigure(changed)
    (face,) = pipe(image)
    note = "more faces than detection.max_faces (1); the smallest are left out"
    assert pipe.face_limit_note == note
    pipe.reconfigure(from_dict(PipelineConfig, {"detection": {"max_faces": 2}}))
    assert len(pipe(image)) == 2 and pipe.face_limit_note is None
    assert face.intrinsics.k[0, 0] < before.k[0, 0]


def test_rejects_missing_config_and_models(settings: dict[str, dict[str, str]]) -> None:
    with pytest.raises(ConfigError, match="color"):
        FacePipeline.from_config({"color": {}})
    regression = settings["regression"]
    with pytest.raises(ModelError, match="there is no model 'mb99'"):
        FacePipeline.from_config({"regression": {**regression, "model": "mb99"}})
    with pytest.raises(ModelError, match="does not exist"):
        FacePipeline.from_config(
            {"regression": {**regression, "morphable_model": "/nowhere/head.npz"}}
        )


def test_provider_and_device_warnings_come_from_the_sessions(
    settings: dict[str, dict[str, str]], pipe: FacePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    assert (pipe.provider, pipe.device_warnings) == ("CPUExecutionProvider", ())
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr("tddfa_ros.runtime.session.gpu_present", lambda: True)
    automatic = FacePipeline.from_config(
        {"regression": {**settings["regression"], "device": "auto"}}
    )
    (note,) = automatic.device_warnings
    assert "CPU" in note


def test_detects_face_in_portrait(
    settings: dict[str, dict[str, str]], astronaut: np.ndarray
) -> None:
    try:
        faces = FacePipeline.from_config(settings)(astronaut)
    except ModelError as error:
        pytest.skip(f"CenterFace cannot be had here: {error}")
    (face,) = faces
    x0, y0, x1, y1 = face.box
    assert 170 < x0 < 205 < 240 < x1 < 285
    assert 50 < y0 < 100 < 140 < y1 < 200


def test_import_does_not_load_onnx_runtime(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = "import sys, tddfa_ros; assert not {'onnxruntime', 'cv2', 'scipy', 'rclpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    # SciPy takes half a second, and only int8 networks that are made at first use need it.
    code = (
        "import sys, tddfa_ros.pipeline; assert not {'scipy', 'torch', 'onnx'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
