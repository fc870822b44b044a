"""Heads of maps that are added to an exported network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tddfa_ros.errors import ConfigError
from tddfa_ros.morphable import MorphableModel

torch = pytest.importorskip("torch", reason="the extra [training] (torch) is not installed")
onnx = pytest.importorskip("onnx")

from support.tiny_networks import as_input, settled, textures  # noqa: E402

from tddfa_ros.regression.maps import MapPredictor  # noqa: E402
from tddfa_ros.regression.regressor import Regressor  # noqa: E402
from tddfa_ros.training.add_heads import add_heads  # noqa: E402
from tddfa_ros.training.calibration import Confidence  # noqa: E402
from tddfa_ros.training.export import export_onnx  # noqa: E402
from tddfa_ros.training.initial_weights import start_from  # noqa: E402
from tddfa_ros.training.networks import OPTIONAL_HEADS, FaceNet, MobileNetV1  # noqa: E402

CURVE = Confidence(midpoint=0.4, width=0.7)


def network_of(model: MorphableModel, seed: int, heads: tuple[str, ...]) -> FaceNet:
    torch.manual_seed(seed)
    count = model.layout.size
    return settled(FaceNet(MobileNetV1(0.125), torch.zeros(count), torch.ones(count), heads))


@pytest.fixture(scope="module")
def base(tiny_model: MorphableModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("base") / "base.onnx"
    heads = ("confidence", "landmark_sigma")
    network = network_of(tiny_model, 0, heads)
    export_onnx(network, tiny_model, path, size=96, confidence=CURVE, heads=heads, sigma_scale=1.3)
    return path


@pytest.mark.parametrize("half", [False, True])
def test_other_outputs_stay_the_same(
    base: Path, tiny_model: MorphableModel, tmp_path: Path, half: bool
) -> None:
    network = network_of(tiny_model, 7, OPTIONAL_HEADS)
    assert start_from(network, base)
    network.eval()
    path = tmp_path / "maps.onnx"
    add_heads(base, network, path, size=96, half=half)
    before, after = Regressor(base, tiny_model, "cpu"), Regressor(path, tiny_model, "cpu")
    assert after.session.output_names == (*before.session.output_names, "parsing", "uv_position")
    assert after.session.metadata == before.session.metadata
    crops = textures(3, 96, seed=9)
    mine, theirs = after(crops), before(crops)
    for name in ("params", "landmarks_direct", "confidence", "landmark_sigma"):
        np.testing.assert_allclose(getattr(mine, name), getattr(theirs, name), rtol=1e-5, atol=1e-5)
    image = as_input(crops).contiguous()
    with torch.no_grad():
        wanted = network(image)
    found = after.session.run({"image": image.numpy()}, ("parsing", "uv_position"))
    tolerance = 0.05 if half else 1e-2
    np.testing.assert_allclose(found[0], wanted.parsing.softmax(1).numpy(), atol=tolerance)
    np.testing.assert_allclose(found[1], wanted.uv_position.numpy(), atol=tolerance)
    assert MapPredictor(path, tiny_model, "cpu").heads == ("parsing", "uv_position")
    with pytest.raises(ConfigError, match="already has the output parsing"):
        add_heads(path, network, tmp_path / "twice.onnx", size=96)


def test_rejects_other_backbone(base: Path, tiny_model: MorphableModel, tmp_path: Path) -> None:
    other = network_of(tiny_model, 3, OPTIONAL_HEADS)
    with pytest.raises(ConfigError, match="trained on another backbone"):
        add_heads(base, other, tmp_path / "x.onnx", size=96)
    without = network_of(tiny_model, 3, ("uv_position",))
    with pytest.raises(ConfigError, match="no head 'parsing'"):
        add_heads(base, without, tmp_path / "x.onnx", size=96)
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"x")
    with pytest.raises(ConfigError, match="not a readable ONNX file"):
        add_heads(broken, other, tmp_path / "x.onnx", size=96)
    assert not (tmp_path / "x.onnx").exists()
