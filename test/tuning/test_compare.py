from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tddfa_ros.config import PipelineConfig
from tddfa_ros.errors import ConfigError
from tddfa_ros.regression.regressor import RegressionResult
from tddfa_ros.tuning.compare import (
    Agreement,
    Comparison,
    Speed,
    aflw2000,
    agreement,
    as_table,
    as_tensor,
    calibration_crops,
    speed,
)


class Scripted:
    """A fake network: all landmarks of a face with brightness b are at ``step * b``, its confidence is b / 100."""

    input_size = 8

    def __init__(self, step: tuple[float, float], surer: float = 0.0) -> None:
        self.step, self.surer, self.calls = np.array(step), surer, 0

    def __call__(self, crops: np.ndarray) -> RegressionResult:
        self.calls += 1
        bright = crops[:, 0, 0, 0].astype(np.float64)
        landmarks = np.zeros((len(crops), 68, 3), np.float32)
        landmarks[..., :2] = (bright[:, None] * self.step)[:, None]
        confidence = (bright / 100 + self.surer).astype(np.float32)
        return RegressionResult(
            np.zeros((len(crops), 3)), landmarks, landmarks[..., :2], confidence
        )


def test_agreement_of_known_outputs() -> None:
    crops = np.zeros((20, 8, 8, 3), np.uint8)
    crops[:] = np.arange(20, dtype=np.uint8)[:, None, None, None]
    found = agreement(Scripted((3.0, 0.0)), Scripted((0.0, 4.0), 0.05), crops, 0.12)
    assert found.faces == 20
    assert found.landmarks_mean == pytest.approx(5 * 9.5)  # 3-4-5 triangles times 0 .. 19
    assert found.landmarks_worst == pytest.approx(5 * 19)
    assert found.confidence_mean == pytest.approx(0.05)
    # At 0.07 .. 0.11 only the second one is over the threshold.
    assert found.confidence_same == pytest.approx(15 / 20)


def test_networks_are_timed_alternately() -> None:
    before, after = Scripted((1, 1)), Scripted((1, 1))
    found = speed(before, after, rounds=10)
    assert before.calls == after.calls == 15
    assert found.before_ms > 0 and found.after_ms > 0 and found.ratio > 0


def test_table_lists_measurements(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"x" * 2_000_000)
    (tmp_path / "b.onnx").write_bytes(b"x" * 500_000)
    paths = tmp_path / "a.onnx", tmp_path / "b.onnx"
    timed = Speed(3.0, 2.0, 1.5)
    plain = as_table(Comparison(*paths, timed))
    assert "| size, MB | 2.00 | 0.50 |" in plain and "| times as fast | 1.00 | 1.50 |" in plain
    assert "landmarks" not in plain and "AFLW" not in plain
    whole = as_table(
        Comparison(*paths, timed, Agreement(7, 0.12, 0.34, 0.0021, 0.875), (3.5, None))
    )
    for row in (
        "| landmarks differ by, px: mean |  | 0.120 |",
        "| landmarks differ by, px: worst face |  | 0.340 |",
        "| same side of the confidence threshold |  | 87.5% |",
        "| AFLW2000-3D NME68, % | 3.500 |  |",
    ):
        assert row in whole
    assert "7 faces" in whole


def test_crops_become_network_input() -> None:
    crop = np.zeros((1, 2, 2, 3), np.uint8)
    crop[0, 0, 1] = (0, 127, 255)
    tensor = as_tensor(crop)
    assert tensor.shape == (1, 3, 2, 2) and tensor.dtype == np.float32
    np.testing.assert_allclose(tensor[0, :, 0, 1], [-127.5 / 128, -0.5 / 128, 127.5 / 128])


def test_calibration_faces_are_detected_and_cropped(tmp_path: Path, astronaut: np.ndarray) -> None:
    cv2.imwrite(str(tmp_path / "astronaut.png"), astronaut)
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    crops = calibration_crops(tmp_path, PipelineConfig())
    assert crops.shape == (1, 120, 120, 3) and crops.dtype == np.uint8
    # The ROI is about 135 px wide around (226, 131): the middle of the crop is skin of the same color.
    middle = astronaut[120:142, 215:237].mean(axis=(0, 1))
    np.testing.assert_allclose(crops[0, 50:70, 50:70].mean(axis=(0, 1)), middle, atol=20)


def test_rejects_calibration_images_without_faces(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "gray.png"), np.full((64, 64, 3), 128, np.uint8))
    with pytest.raises(ConfigError, match="there is no face in the 1 images"):
        calibration_crops(tmp_path, PipelineConfig())


def test_aflw2000_through_the_evaluation(data_dir: Path, repo_root: Path) -> None:
    found = aflw2000(repo_root / "models" / "tddfa_mb05.onnx", "tddfa-head", data_dir, limit=80)
    assert found is not None and 1.5 < found < 6.0
