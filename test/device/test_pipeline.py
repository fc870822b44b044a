"""The device path against the CPU path, with the same code that runs on a GPU."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is an optional dependency")

import onnx
import torch
from support.faces import model_parameters

from tddfa_ros.config import PipelineConfig
from tddfa_ros.device.dense import HALF_STEP
from tddfa_ros.device.pipeline import DevicePipeline
from tddfa_ros.errors import DeviceError, ImageError
from tddfa_ros.face import Face
from tddfa_ros.pipeline import FacePipeline
from tddfa_ros.schema import from_dict
from tddfa_ros.types import Intrinsics

pytestmark = pytest.mark.skipif(
    bool(model_parameters()), reason="it runs with the models of the package"
)

# px of the image. OpenCV 4 rounds the coordinates of samples to 1/32 px, which moves landmarks of large faces.
LANDMARK_TOLERANCE = 0.05 if int(cv2.__version__.split(".")[0]) >= 5 else 0.5
METRIC_TOLERANCE = 1e-4 * LANDMARK_TOLERANCE / 0.05  # m
BOXES = [
    np.array([[176.0, 62.0, 267.0, 190.0]]),
    np.zeros((0, 4)),
    np.array([[70.0, 25.0, 107.0, 76.0, 0.9], [440.0, 155.0, 668.0, 475.0, 0.8]]),
]


@pytest.fixture(scope="module")
def frames(astronaut: np.ndarray) -> list[np.ndarray]:
    """Frames of two sizes with one face, none and two faces, one of them larger than twice the crop."""
    double = np.zeros((1280, 1400, 3), np.uint8)
    double[:, 120:] = cv2.resize(astronaut, (1280, 1280), interpolation=cv2.INTER_CUBIC)
    double[:205, :205] = cv2.resize(astronaut, (205, 205), interpolation=cv2.INTER_AREA)
    return [astronaut, np.full((40, 30, 3), 90, np.uint8), double]


@pytest.fixture(scope="module")
def astronaut(astronaut_path: Path) -> np.ndarray:
    return cv2.imread(str(astronaut_path), cv2.IMREAD_COLOR)


def config(**camera: float) -> PipelineConfig:
    return from_dict(PipelineConfig, {"regression": {"device": "cpu"}, "camera": camera})


@pytest.fixture(scope="module")
def expected(frames: list[np.ndarray]) -> list[Face]:
    found = FacePipeline(config()).align_batch(frames, BOXES)
    return [face for faces in found for face in faces]


@pytest.fixture(scope="module")
def device() -> DevicePipeline:
    return DevicePipeline(config(), max_batch=8)


def test_matches_face_pipeline(
    device: DevicePipeline, frames: list[np.ndarray], expected: list[Face]
) -> None:
    found = device.align(frames, BOXES)
    assert found.index.tolist() == [0, 2, 2] and len(found) == 3
    assert device.provider == "CPUExecutionProvider" and found.params.device.type == "cpu"
    sides = found.rois[:, 2] - found.rois[:, 0]
    assert sides.min() < 120 and sides.max() > 240  # enlarged and averaged
    pixels, metric = found.vertices(), found.vertices_metric()
    assert not pixels.origin.any() and not metric.origin.any()
    for i, face in enumerate(expected):
        assert face.confidence > 0.5
        off = np.abs(found.landmarks[i].numpy() - face.landmarks68).max()
        assert off < LANDMARK_TOLERANCE
        assert np.abs(pixels.values[i].numpy() - face.vertices).max() < 2 * LANDMARK_TOLERANCE
        assert np.abs(metric.values[i].numpy() - face.vertices_metric).max() < METRIC_TOLERANCE
        assert found.confidence[i].item() == pytest.approx(face.confidence, abs=1e-3)
        assert found.landmark_sigma is not None and face.landmark_sigma is not None
        np.testing.assert_allclose(found.landmark_sigma[i], face.landmark_sigma, atol=0.01)
    assert np.ptp(metric.values.numpy(), axis=1).max() < 0.5  # heads, not something at infinity


def test_one_pass_in_given_regions(
    device: DevicePipeline, frames: list[np.ndarray], expected: list[Face]
) -> None:
    roi = expected[0].roi[None] + [3.0, -4.0, 3.0, -4.0]
    found = device.regress(frames[:1], [roi])
    face = FacePipeline(config()).regress(frames[0], roi)[0]
    np.testing.assert_array_equal(found.rois, roi)
    assert np.abs(found.landmarks[0].numpy() - face.landmarks68).max() < LANDMARK_TOLERANCE


def test_float16_is_rounded_by_its_documented_step(
    device: DevicePipeline, frames: list[np.ndarray]
) -> None:
    found = device.align(frames, BOXES)
    for compute in (found.vertices, found.vertices_metric):
        whole, half = compute(), compute(half=True)
        assert half.values.dtype == torch.float16 and half.values.shape == whole.values.shape
        distance = (whole.values - half.origin[:, None]).abs()
        off = (half.full() - whole.values).abs()
        assert (off <= distance * HALF_STEP + 1e-6 * whole.values.abs().amax()).all()
        assert off.max() > 0
    metric = found.vertices_metric(half=True)
    assert (metric.full() - found.vertices_metric().values).abs().max() < 1.3e-4  # m
    for i in range(len(found)):  # the origin is the sellion, on the surface
        nearest = (metric.full()[i] - metric.origin[i]).norm(dim=1).min()
        assert nearest < 0.003


def test_lens_distortion_and_known_size(frames: list[np.ndarray]) -> None:
    settings = config(interpupillary_distance=0.07)
    pinholes = [Intrinsics.from_fov(f.shape[1], f.shape[0], 60) for f in frames]
    wide = Intrinsics(1400, 1280, pinholes[2].k, np.array([-0.2, 0.05, 0, 0]))
    lenses = [*pinholes[:2], wide]
    found = DevicePipeline(settings).align(frames, BOXES, lenses)
    vertices = found.vertices_metric().values.numpy()
    pipeline = FacePipeline(settings)
    faces = [f for i in (0, 2) for f in pipeline.align(frames[i], BOXES[i], lenses[i])]
    for mine, face in zip(vertices, faces, strict=True):
        assert np.abs(mine - face.vertices_metric).max() < METRIC_TOLERANCE
    other = DevicePipeline(config()).align(frames, BOXES, pinholes).vertices_metric().values
    distance = np.linalg.norm(vertices - other.numpy(), axis=-1).min(axis=1)
    assert (distance > 0.003).all()  # both options change the result


def test_larger_batches_are_split(device: DevicePipeline, frames: list[np.ndarray]) -> None:
    whole = device.align(frames, BOXES)
    parts = DevicePipeline(config(), max_batch=2).align(frames, BOXES)
    torch.testing.assert_close(parts.params, whole.params, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(parts.rois, whole.rois, atol=1e-3)


def test_buffers_are_kept_when_the_number_of_faces_changes(
    device: DevicePipeline, frames: list[np.ndarray]
) -> None:
    pipeline = DevicePipeline(config(), max_batch=8)
    earlier = pipeline.align(frames, BOXES)
    kept = earlier.params.clone()
    pipeline.align(frames, BOXES)
    allocations = pipeline.allocations
    assert allocations == 2  # both upload buffers
    for boxes in ([BOXES[0], BOXES[1], BOXES[1]], [np.repeat(BOXES[0], 7, 0), *BOXES[1:]], BOXES):
        found = pipeline.align(frames, boxes)
        assert len(found) == sum(map(len, boxes))
    assert pipeline.allocations == allocations
    assert torch.equal(earlier.params, kept)  # results do not share the network's tensors


def test_results_stream_through_two_buffers(
    device: DevicePipeline, frames: list[np.ndarray]
) -> None:
    found = device.align(frames, BOXES)
    vertices = found.vertices_metric(half=True)
    pending = device.download(found.landmarks, vertices.values, vertices.origin)
    landmarks, values, origin = pending.arrays()
    np.testing.assert_array_equal(landmarks, found.landmarks)
    np.testing.assert_array_equal(values, vertices.values)
    np.testing.assert_array_equal(origin, vertices.origin)


def test_no_faces(device: DevicePipeline, frames: list[np.ndarray]) -> None:
    for images, boxes in ((frames[1:2], [np.zeros((0, 4))]), ([], [])):
        found = device.align(images, boxes)
        assert len(found) == 0 and found.landmarks.shape == (0, 68, 3)
        count = device.model.vertex_count
        assert found.vertices().values.shape == (0, count, 3)
        assert found.vertices_metric(half=True).values.shape == (0, count, 3)


def test_rejects_unusable_input(device: DevicePipeline, frames: list[np.ndarray]) -> None:
    with pytest.raises(ImageError, match="3 frames need as many lists of faces"):
        device.align(frames, BOXES[:2])
    with pytest.raises(ImageError, match="no area"):
        device.align(frames[:1], [np.zeros((1, 4))])
    with pytest.raises(ImageError, match=r"\(n, 4\)"):
        device.align(frames[:1], [np.zeros((1, 3))])
    with pytest.raises(ImageError, match="BGR array"):
        device.align([frames[0][..., 0]], BOXES[:1])
    with pytest.raises(ImageError, match="region of interest"):
        device.regress(frames[:1], [np.array([[0, 0, np.inf, 9]])])


def test_exhausted_memory_halves_the_batch(
    frames: list[np.ndarray], expected: list[Face], monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes = [np.repeat(BOXES[0], 7, axis=0)]
    pipeline = DevicePipeline(config(), max_batch=6)
    bound = pipeline._regressor.session
    run, counts = bound.run, []

    def limited(outputs: object, count: int) -> object:
        counts.append(count)
        if count > 2:
            raise MemoryError("CUDA out of memory")
        return run(outputs, count)

    monkeypatch.setattr(bound, "run", limited)
    found = pipeline.align(frames[:1], boxes)
    assert counts == [6, 3, 1, 1, 1, 1, 1, 1, 1, *[1] * 7]
    for landmarks in found.landmarks.numpy():
        assert np.abs(landmarks - expected[0].landmarks68).max() < LANDMARK_TOLERANCE
    monkeypatch.setattr(bound, "run", lambda *_: (_ for _ in ()).throw(MemoryError("full")))
    with pytest.raises(DeviceError, match="out of memory with a single face"):
        pipeline.align(frames[:1], boxes)


def test_memory_for_vertices_is_reported(
    device: DevicePipeline, frames: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    found = device.align(frames, BOXES)
    monkeypatch.setattr("tddfa_ros.device.dense.DeviceDense.heads", full)
    with pytest.raises(DeviceError) as caught:
        found.vertices()
    assert str(caught.value) == (
        "the GPU is out of memory for the vertices of 3 faces: take fewer at once"
    )


def test_gpu_that_onnx_runtime_cannot_use_is_reported(
    frames: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tddfa_ros.device.pipeline.torch_device", lambda _: _Gpu())
    monkeypatch.setattr("tddfa_ros.device.pipeline.DeviceDense", _Dense)
    with pytest.raises(DeviceError, match=r"tddfa_mb05.onnx cannot run on cuda: .* on the CPU"):
        DevicePipeline(config())


class _Gpu:
    type, index = "cuda", 0


class _Dense:
    def __init__(self, model: object, device: _Gpu) -> None:
        self.model, self.device = model, device


def test_network_without_heads(frames: list[np.ndarray], tmp_path: Path) -> None:
    """The confidence follows from the pose, and there is no sigma."""
    pipeline = FacePipeline(config())
    bare = onnx.load(str(pipeline.store.path("tddfa-mb05")))
    kept = [output for output in bare.graph.output if output.name == "params"]
    del bare.graph.output[:]
    bare.graph.output.extend(kept)
    entry = bare.metadata_props.add()
    entry.key, entry.value = "tddfa.pose_order", "0.1,0.02"
    onnx.save(bare, str(tmp_path / "bare.onnx"))
    settings = from_dict(
        PipelineConfig, {"regression": {"device": "cpu", "model": str(tmp_path / "bare.onnx")}}
    )
    found = DevicePipeline(settings).align(frames, BOXES)
    faces = [f for part in FacePipeline(settings).align_batch(frames, BOXES) for f in part]
    assert found.landmark_sigma is None
    for i, face in enumerate(faces):
        assert np.abs(found.landmarks[i].numpy() - face.landmarks68).max() < LANDMARK_TOLERANCE
        assert found.confidence[i].item() == pytest.approx(face.confidence, abs=0.01)
