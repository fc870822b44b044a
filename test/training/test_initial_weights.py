from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.tiny_training import tiny, write_cache

torch = pytest.importorskip("torch", reason="the extra [training] (torch) is not installed")
onnx = pytest.importorskip("onnx", reason="the extra [training] (onnx) is not installed")

import onnxruntime  # noqa: E402

from tddfa_ros.errors import ConfigError  # noqa: E402
from tddfa_ros.model_store.store import default_store  # noqa: E402
from tddfa_ros.morphable import MorphableModel  # noqa: E402
from tddfa_ros.training.cache import open_cache  # noqa: E402
from tddfa_ros.training.initial_weights import (  # noqa: E402
    estimate_normalization,
    read_weights,
    start_from,
)
from tddfa_ros.training.networks import FaceNet, MobileNetV1  # noqa: E402
from tddfa_ros.training.trainer import Trainer  # noqa: E402

SHIPPED = default_store().path("tddfa-mb05")


def images(count: int, seed: int = 0) -> torch.Tensor:
    """Smooth random images, normalized, (n, 3, 120, 120)."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 8, 8, generator=generator) * 2 - 1
    return torch.nn.functional.interpolate(coarse, size=120, mode="bilinear")


@pytest.fixture
def network() -> FaceNet:
    return FaceNet(MobileNetV1(0.5), torch.zeros(104), torch.ones(104), ("confidence",)).eval()


def answers(network: FaceNet, batch: torch.Tensor) -> list[np.ndarray]:
    with torch.no_grad():
        found = network(batch)
    return [found.params.numpy(), found.landmarks.numpy()]


def of_file(batch: torch.Tensor) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(str(SHIPPED), providers=["CPUExecutionProvider"])
    return session.run(["params", "landmarks"], {"image": batch.numpy()})


def test_network_matches_onnx_file(network: FaceNet) -> None:
    new = start_from(network, SHIPPED)
    assert new == []
    batch = images(3)
    for ours, theirs in zip(answers(network, batch), of_file(batch), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-3)


def test_estimated_statistics_preserve_evaluation_mode(network: FaceNet) -> None:
    start_from(network, SHIPPED)
    batch = images(32)
    before = answers(network, batch)
    estimate_normalization(network, [batch[:16], batch[16:]])
    for ours, theirs in zip(answers(network, batch), before, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=2e-3)
    first = network.backbone.layers[0]
    assert first[0].weight.detach().flatten(1).norm(dim=1).numpy() == pytest.approx(1, abs=1e-5)


def test_training_mode_matches_evaluation_mode(network: FaceNet) -> None:
    start_from(network, SHIPPED)
    batch = images(32)
    wanted = answers(network, batch)[1]
    folded = answers(network.train(), batch)[1]
    network.eval()
    start_from(network, SHIPPED)  # the pass in training mode moved the statistics
    estimate_normalization(network, [batch])
    estimated = answers(network.train(), batch)[1]
    assert np.abs(estimated - wanted).max() < 0.05
    assert np.abs(folded - wanted).max() > 1, (
        "without the estimate, batch statistics change the outputs"
    )


def test_reads_float16_weights(network: FaceNet, tmp_path: Path) -> None:
    from tddfa_ros.training.export import store_half

    graph = onnx.load(str(SHIPPED))
    store_half(graph)
    onnx.save(graph, str(tmp_path / "half.onnx"))
    whole, half = read_weights(SHIPPED), read_weights(tmp_path / "half.onnx")
    assert whole.keys() == half.keys()
    for name, value in whole.items():
        torch.testing.assert_close(half[name], value, rtol=1e-3, atol=1e-3)


def test_rejects_other_onnx_files(tmp_path: Path) -> None:
    (tmp_path / "no.onnx").write_bytes(b"nothing")
    with pytest.raises(ConfigError, match=r"not a readable ONNX file|not written by"):
        read_weights(tmp_path / "no.onnx")
    with pytest.raises(ConfigError, match="not written by 'tddfa export'"):
        read_weights(default_store().path("centerface"))


def test_run_is_initialized_from_onnx_file(tmp_path: Path) -> None:
    model = MorphableModel.load(default_store().path("tddfa-head"))
    write_cache(tmp_path / "cache", model, count=24)
    config = tiny(width=0.5, input_size=120, samples=0, batch=8, parsing=False)
    cache = open_cache(tmp_path / "cache", model)
    trainer = Trainer(config, cache, model, tmp_path / "run", start=SHIPPED)
    batch = images(4)
    ours = answers(trainer.network.eval(), batch)
    for found, wanted in zip(ours, of_file(batch), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=0.05)
