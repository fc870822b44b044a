"""Pipelines on failing GPUs, and with device="cpu"."""

from __future__ import annotations

import ctypes

import numpy as np
import onnxruntime as ort
import pytest
from support.fake_providers import FakeGpuSession

from tddfa_ros import FacePipeline
from tddfa_ros.runtime import session as session_module
from tddfa_ros.runtime.devices import CPU, CUDA

ROIS = np.array([[150.0 + i, 60.0, 290.0 + i, 200.0] for i in range(8)])


def landmarks(pipeline: FacePipeline, image: np.ndarray) -> np.ndarray:
    return np.stack([face.landmarks68 for face in pipeline.regress(image, ROIS)])


@pytest.fixture
def wanted(astronaut: np.ndarray) -> np.ndarray:
    return landmarks(FacePipeline.from_config({"regression": {"device": "cpu"}}), astronaut)


@pytest.mark.parametrize(
    ("capacity", "provider", "note"),
    [
        (3, CUDA, "CUDA ran out of memory with 4 items at once, so tddfa_mb05.onnx takes at most 2 at a time"),
        (0, CPU, "CUDA failed (out of memory), so tddfa_mb05.onnx now runs on the CPU"),
    ],
)  # fmt: skip
def test_cpu_fallback_gives_same_faces_and_one_warning(
    wanted: np.ndarray,
    astronaut: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    capacity: int,
    provider: str,
    note: str,
) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(ort, "InferenceSession", FakeGpuSession)
    monkeypatch.setattr(FakeGpuSession, "capacity", capacity)
    monkeypatch.setitem(session_module.BINDING_PLACES, CUDA, "cpu")
    pipeline = FacePipeline()
    assert (pipeline.provider, pipeline.device_warnings) == (CUDA, ())
    for _ in range(3):
        # Sums may be ordered otherwise in batches of another size: 5e-4 px of 140.
        np.testing.assert_allclose(landmarks(pipeline, astronaut), wanted, atol=5e-4)
    assert (pipeline.provider, pipeline.device_warnings) == (provider, (note,))
    assert capfd.readouterr() == ("", "")


def test_device_cpu_requests_cpu_only(
    astronaut: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("the GPU was looked for")

    class Spy(FakeGpuSession):
        opened: list[list[str]] = []

    for name in ("get_available_providers", "get_device", "preload_dlls"):
        monkeypatch.setattr(ort, name, forbidden, raising=False)
    monkeypatch.setattr(ctypes, "CDLL", forbidden)
    monkeypatch.setattr(ort, "InferenceSession", Spy)
    pipeline = FacePipeline.from_config({"regression": {"device": "cpu"}})
    assert len(pipeline(astronaut)) == 1
    assert Spy.opened == [[CPU], [CPU]] and pipeline.device_warnings == ()
