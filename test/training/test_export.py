"""A checkpoint becomes an ONNX file that the regressor takes, and the confidence is calibrated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra [training] (torch) is not installed")

from support.synthetic_model import synthetic_model  # noqa: E402

from tddfa_ros.errors import ModelError  # noqa: E402
from tddfa_ros.regression.regressor import Regressor  # noqa: E402
from tddfa_ros.training.export import Confidence, export_onnx, load_network  # noqa: E402
from tddfa_ros.training.networks import FaceNet, MobileNetV1  # noqa: E402


def network_of(count: int) -> FaceNet:
    torch.manual_seed(0)
    backbone = MobileNetV1(0.125)
    mean, std = torch.linspace(-1, 1, count), torch.full((count,), 0.5)
    return FaceNet(backbone, backbone.features, mean, std).eval()


def test_the_exported_file_answers_as_the_network(tmp_path: Path) -> None:
    model = synthetic_model()
    network = network_of(model.layout.size)
    path = tmp_path / "net.onnx"
    export_onnx(network, model, Confidence(1.5, 0.25), path)
    regressor = Regressor(path, model)
    crops = np.random.default_rng(0).integers(0, 256, (3, 120, 120, 3), dtype=np.uint8)
    with torch.no_grad():
        image = (torch.from_numpy(crops).permute(0, 3, 1, 2).float() - 127.5) / 128
        params, landmarks = network(image)
    result = regressor(crops)
    np.testing.assert_allclose(result.params, params.numpy(), atol=1e-4)
    np.testing.assert_allclose(result.landmarks_direct, landmarks.numpy(), atol=1e-2)


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    model = synthetic_model()
    path = tmp_path / "checkpoint.pt"
    state = {"config": {"width": 0.125}, "network": network_of(20).state_dict()}
    torch.save(state, path)
    with pytest.raises(ModelError, match="predicts 20 parameters"):
        load_network(path, model)
    path.write_bytes(b"no checkpoint")
    with pytest.raises(ModelError, match="is not a training checkpoint"):
        load_network(path, model)
