from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import cv2
import numpy as np
import pytest

from tddfa_ros.errors import ImageError, ModelError

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx", reason="needed to build the network under test")

from support.synthetic_model import synthetic_model
from support.tiny_regressor import MIDPOINT, WIDTH, write_tiny_regressor

from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.regression.appearance import color_layout
from tddfa_ros.regression.regressor import Regressor, pose_disorder


@pytest.fixture
def regressor(tmp_path: Path) -> Regressor:
    return Regressor(
        write_tiny_regressor(tmp_path / "tiny.onnx", synthetic_model()), synthetic_model(), "cpu"
    )


def blob(
    x: int, y: int, side: int, color: tuple[int, int, int] = (255, 255, 255), size: int = 120
) -> np.ndarray:
    """A bright square on black; its centroid is at (x, y) plus (side - 1) / 2."""
    image = np.zeros((size, size, 3), np.uint8)
    image[y : y + side, x : x + side] = color
    return image


def test_batch_equals_single_crops(regressor: Regressor) -> None:
    crops = np.stack([blob(30, 40, 41), blob(10, 20, 51), blob(50, 50, 21, (255, 100, 50))])
    batch = regressor(crops)
    assert batch.params.shape == (3, regressor.morphable.layout.size)
    assert batch.landmarks_direct.shape == (3, 68, 2)
    for i, crop in enumerate(crops):
        single = regressor(crop[None])
        np.testing.assert_allclose(single.params[0], batch.params[i], rtol=1e-5)
        np.testing.assert_allclose(single.landmarks[0], batch.landmarks[i], rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose(single.confidence[0], batch.confidence[i], rtol=1e-4)


def test_input_and_output_contract(regressor: Regressor) -> None:
    """The tiny network computes centroid and area of brightness exactly, which reveals a wrong scale or frame."""
    result = regressor(blob(30, 40, 41)[None])
    mean = result.landmarks[0].mean(axis=0)
    np.testing.assert_allclose(mean[:2], [50, 60], atol=0.1)
    assert np.ptp(result.landmarks[0, :, :2], axis=0).max() == pytest.approx(41, rel=0.01)
    assert (
        result.landmarks[0, 8, 1] > result.landmarks[0, 27, 1]
    )  # the chin is below the nose: y points down
    np.testing.assert_allclose(result.landmarks[0, :, :2], result.landmarks_direct[0], atol=0.1)


def test_confidence_is_logistic_in_disagreement(regressor: Regressor) -> None:
    crops = np.stack([blob(30, 40, 41, (128 + d, 128 - d, 128)) for d in (0, 8, 16, 60)])
    result = regressor(crops)
    distance = np.linalg.norm(result.landmarks[..., :2] - result.landmarks_direct, axis=-1).mean(
        axis=-1
    )
    np.testing.assert_allclose(
        result.confidence, 1 / (1 + np.exp((distance - MIDPOINT) / WIDTH)), rtol=1e-4
    )
    assert result.confidence[0] > 0.99
    assert (np.diff(result.confidence) < 0).all()
    assert 0 <= result.confidence[3] < 1e-6


@pytest.fixture
def with_head(tmp_path: Path) -> Regressor:
    """Return a regressor whose network has a confidence head."""
    path = write_tiny_regressor(tmp_path / "head.onnx", synthetic_model(), head=True)
    return Regressor(path, synthetic_model(), "cpu")


def test_uses_confidence_head(with_head: Regressor) -> None:
    assert with_head.metadata.agreement is None
    blues = (-24, -8, 0, 16)
    crops = np.stack([blob(30, 40, 41, (128 + d, 128 - d, 128)) for d in blues])
    result = with_head(crops)
    # the network's move in px is 40 times the blue light's excess over the green one, in units of all three; whatever lies between the heads
    apart = result.landmarks_direct[..., 0] - result.landmarks[..., 0]
    expected = 1 / (1 + np.exp(-apart.mean(axis=1) / 40))
    np.testing.assert_allclose(result.confidence, expected, rtol=1e-3)
    assert (np.diff(result.confidence) > 0).all(), "confidence rises with disagreement here"
    single = with_head(crops[2][None])
    assert single.confidence.shape == (1,) and single.confidence[0] == pytest.approx(0.5, abs=1e-3)


def test_confidence_head_takes_precedence(tmp_path: Path) -> None:
    told = {"tddfa.confidence": f"{MIDPOINT},{WIDTH}"}
    path = write_tiny_regressor(tmp_path / "both.onnx", synthetic_model(), head=True, **told)
    both = Regressor(path, synthetic_model(), "cpu")
    assert both.metadata.agreement == (MIDPOINT, WIDTH)
    assert both(blob(30, 40, 41)[None]).confidence[0] == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("head", [True, False])
def test_blank_crop_has_zero_confidence(tmp_path: Path, head: bool) -> None:
    path = write_tiny_regressor(tmp_path / "tiny.onnx", synthetic_model(), head=head)
    any_regressor = Regressor(path, synthetic_model(), "cpu")
    noise = np.random.default_rng(0).normal(90, 1.5, (120, 120, 3))  # sensor noise in the dark
    blank = np.stack([np.full((120, 120, 3), 200), noise]).astype(np.uint8)
    assert (any_regressor(blank).confidence == 0).all()
    stripes = blank[0].copy()
    stripes[::7] = 180
    assert any_regressor(np.stack([blank[0], stripes])).confidence[1] > 0.1


def test_rejects_network_without_confidence(tmp_path: Path) -> None:
    path = write_tiny_regressor(
        tmp_path / "tiny.onnx", synthetic_model(), **{"tddfa.confidence": ""}
    )
    with pytest.raises(ModelError, match="it has no output confidence"):
        Regressor(path, synthetic_model(), "cpu")


@pytest.mark.parametrize("fixture", ["regressor", "with_head"])
def test_no_crops_give_no_faces(fixture: str, request: pytest.FixtureRequest) -> None:
    regressor: Regressor = request.getfixturevalue(fixture)
    result = regressor(np.zeros((0, 120, 120, 3), np.uint8))
    assert result.params.shape == (0, regressor.morphable.layout.size)
    assert (result.landmarks.shape, result.landmarks_direct.shape) == ((0, 68, 3), (0, 68, 2))
    assert result.confidence.shape == (0,)


def test_input_size_does_not_change_the_crop_frame(tmp_path: Path) -> None:
    model = synthetic_model()
    path = write_tiny_regressor(tmp_path / "small.onnx", model, size=60)
    small = Regressor(path, model, "cpu")
    assert small.input_size == 60
    result = small(blob(15, 20, 21, size=60)[None])
    np.testing.assert_allclose(result.landmarks[0].mean(axis=0)[:2], [50, 60], atol=0.1)


@pytest.mark.parametrize(
    "crops",
    [
        np.zeros((1, 100, 100, 3), np.uint8),
        np.zeros((120, 120, 3), np.uint8),
        np.zeros((1, 120, 120, 3), np.float32),
        np.zeros((1, 3, 120, 120), np.uint8),
    ],
)
def test_rejects_wrong_crops(regressor: Regressor, crops: np.ndarray) -> None:
    with pytest.raises(ImageError, match="expected crops"):
        regressor(crops)


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("tddfa.layout", "", "metadata lack tddfa.layout"),
        ("tddfa.layout", "40", "cannot be read"),
        ("tddfa.layout", "40,10", "trained for another morphable model"),
        ("tddfa.topology_id", "0123456789abcdef", "trained for another morphable model"),
        ("tddfa.confidence", "1,0", "out of range"),
        ("tddfa.confidence", "1,nan", "out of range"),
        ("tddfa.input_size", "big", "cannot be read"),
    ],
)
def test_rejects_other_metadata(tmp_path: Path, key: str, value: str, sentence: str) -> None:
    path = write_tiny_regressor(tmp_path / "tiny.onnx", synthetic_model(), **{key: value})
    with pytest.raises(ModelError, match=sentence) as caught:
        Regressor(path, synthetic_model(), "cpu")
    assert "tiny.onnx" in str(caught.value)


def test_confidence_from_pose_orthogonality(tmp_path: Path) -> None:
    """The tiny network's poses are scaled rotations but for the rows that the test spoils afterwards."""
    pose = np.zeros((4, 3, 4), np.float32)
    pose[:, :, :3] = 600 * np.linalg.qr(np.random.default_rng(0).normal(size=(4, 3, 3)))[0]
    pose[1, 2] *= 1.3
    pose[2, 1, :3] = pose[2, 0, :3]
    pose[3] *= 0
    # Lengths 1, 1, 1.3 about their mean 1.1: (-1, -1, 2) / 11; then one cosine of 1; then nothing but lengths of 0.
    expected = [0, np.sqrt(6 / 121 / 6), np.sqrt(pose_cosines(pose[2]) / 6), np.sqrt(3 / 6)]
    np.testing.assert_allclose(pose_disorder(pose), expected, atol=1e-5)
    told = {"tddfa.confidence": "", "tddfa.pose_order": "0.05,0.01"}
    path = write_tiny_regressor(tmp_path / "tiny.onnx", synthetic_model(), **told)
    result = Regressor(path, synthetic_model(), "cpu")(blob(30, 40, 41)[None])
    disorder = pose_disorder(synthetic_model().layout.split(result.params)[0])
    expected_confidence = 1 / (1 + np.exp((disorder - 0.05) / 0.01))
    np.testing.assert_allclose(result.confidence, expected_confidence, rtol=1e-4)


def pose_cosines(pose: np.ndarray) -> float:
    """Sum of squares of the three cosines between rows (3, 4), one pair at a time."""
    rows = pose[:, :3].astype(np.float64)
    pairs = ((0, 1), (0, 2), (1, 2))
    return sum(
        float(rows[i] @ rows[j] / np.linalg.norm(rows[i]) / np.linalg.norm(rows[j])) ** 2
        for i, j in pairs
    )


def test_parameter_space_is_converted(tmp_path: Path) -> None:
    """A model of the same parameter space converts the parameters by its matrix; other models are refused."""
    model = synthetic_model()
    matrix = np.diag(np.linspace(1, 2, model.layout.size)).astype(np.float32)
    values = {f.name: getattr(model, f.name) for f in fields(model) if f.name != "topology_id"}
    shared = MorphableModel.create(**{**values, "parameter_space": "toy", "from_space": matrix})
    toy = {"tddfa.parameter_space": "toy", "tddfa.topology_id": ""}
    path = write_tiny_regressor(tmp_path / "tiny.onnx", model, **toy)
    found = Regressor(path, shared, "cpu")(blob(30, 40, 41)[None])
    plain = Regressor(write_tiny_regressor(tmp_path / "p.onnx", model), model, "cpu")
    expected = plain(blob(30, 40, 41)[None]).params * np.linspace(1, 2, model.layout.size)
    np.testing.assert_allclose(found.params, expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(ModelError, match=r"another morphable model \(toy\)"):
        Regressor(path, model, "cpu")


def test_network_input_is_exact(regressor: Regressor, monkeypatch: pytest.MonkeyPatch) -> None:
    """``(bgr - 127.5) / 128`` without rounding, planes in the order of the channels."""
    crops = np.random.default_rng(0).integers(0, 256, (3, 120, 120, 3)).astype(np.uint8)
    fed = []
    run = regressor.session.run

    def record(feeds: dict[str, np.ndarray], outputs: tuple[str, ...]) -> list[np.ndarray]:
        fed.append(feeds["image"])
        return run(feeds, outputs)

    monkeypatch.setattr(regressor.session, "run", record)
    regressor(crops)
    expected = (crops.astype(np.float64).transpose(0, 3, 1, 2) - 127.5) / 128
    assert fed[0].dtype == np.float32
    np.testing.assert_array_equal(fed[0], expected)


def test_color_layout_of_a_batch_is_that_of_each_crop() -> None:
    """The lightness of each crop has mean 0 and standard deviation 10 (a flat one less), in units of the grid."""
    rng = np.random.default_rng(1)
    crops = (
        rng.integers(0, 256, (4, 8, 8, 3)).astype(np.uint8).repeat(15, axis=1).repeat(15, axis=2)
    )
    crops[3] = 90
    layouts = color_layout(crops)
    for crop, layout in zip(crops, layouts, strict=True):
        np.testing.assert_allclose(color_layout(crop[None])[0], layout, atol=1e-5)
        face = crop[18:102, 18:102]  # the box of the landmarks
        small = cv2.resize(face, (4, 4), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        lab = cv2.cvtColor(small, cv2.COLOR_BGR2LAB)
        centered = lab[..., 0] - lab[..., 0].mean()
        lab[..., 0] = 10 * centered / max(centered.std(), 5.0)
        np.testing.assert_allclose(layout, lab.reshape(48) / 4, atol=1e-4)
    np.testing.assert_allclose(layouts[:3].reshape(3, 16, 3)[..., 0].std(axis=1), 2.5, rtol=1e-3)
    np.testing.assert_allclose(layouts[3].reshape(16, 3)[:, 0], 0.0, atol=1e-4)
