from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.synthetic_model import synthetic_model
from support.tiny_regressor import write_tiny_regressor

pytest.importorskip("torch", reason="torch is an optional dependency")

import torch

from tddfa_ros.device.crops import upload_frames
from tddfa_ros.device.dense import DeviceDense
from tddfa_ros.device.regressor import DeviceRegressor
from tddfa_ros.geometry.roi import crop_batch
from tddfa_ros.regression.regressor import Regressor
from tddfa_ros.runtime.torch_device import StagingBuffers

CPU = torch.device("cpu")
ROIS = np.array([[20.0, 10, 140, 130], [60.5, 30.5, 160.5, 130.5], [400.0, 300, 520, 420]])


def frame() -> np.ndarray:
    """A bluish square that two ROIs see, and black."""
    image = np.zeros((480, 640, 3), np.uint8)
    image[40:110, 60:120] = (190, 170, 180)
    return image


@pytest.mark.parametrize("head", [False, True])
@pytest.mark.parametrize("space", ["", "shared"])
def test_matches_regressor(tmp_path: Path, head: bool, space: str) -> None:
    model, metadata = synthetic_model(shape=4, expressions=6), {}
    if space:
        mix = np.eye(model.layout.size, dtype=np.float32)
        mix[:12, :12] += np.random.default_rng(0).normal(0, 0.0005, (12, 12))
        model = replace(model, parameter_space=space, from_space=mix)
        metadata = {"tddfa.parameter_space": space}
    path = write_tiny_regressor(tmp_path / "net.onnx", model, head=head, **metadata)
    expected = Regressor(path, model, "cpu")(crop_batch(frame(), ROIS))
    frames = upload_frames([frame()], StagingBuffers(CPU))
    regressor = DeviceRegressor(path, DeviceDense(model, CPU), max_batch=2)
    found = regressor(frames, np.zeros(3, np.intp), ROIS)
    np.testing.assert_allclose(found.params, expected.params, rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(found.crop_landmarks, expected.landmarks, atol=0.02)
    np.testing.assert_allclose(found.confidence, expected.confidence, atol=2e-3)
    assert found.crop_sigma is None
    assert expected.confidence[0] > 0.01 and found.confidence[2] == 0  # a blank crop shows no face
