from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.fake_predictor import FakePredictor, numbered_image

from tddfa_ros.evaluation.detection import evaluate
from tddfa_ros.evaluation.sets import Sets

NEAR, FAR = [10.0, 10, 50, 50], [100.0, 100, 180, 180]


def test_matching_requires_iou_of_half(tmp_path: Path) -> None:
    folder = tmp_path / "eval" / "detection"
    for i in range(3):
        numbered_image(folder / f"{i}.png", i)
    (folder / "boxes.json").write_text(
        json.dumps({"0.png": [NEAR, FAR], "1.png": [NEAR], "2.png": []})
    )
    exact, twice, off = [*NEAR, 0.9], [10, 10, 52, 52, 0.8], [28, 10, 68, 50, 0.7]
    fake = FakePredictor(boxes=[np.array([exact, twice]), np.array([off]), np.zeros((0, 5))])
    result = evaluate(fake, Sets(tmp_path))
    assert result.figure("all faces", "recall") == pytest.approx(1 / 3)
    assert result.figure("all faces", "precision") == pytest.approx(1 / 3)
    assert result.figure("faces from 64 px", "recall") == 0
    assert result.figure("all faces", "recall, IoU 0.3") == pytest.approx(2 / 3)
    assert result.figure("all faces", "precision, IoU 0.3") == pytest.approx(2 / 3)
    assert [row.count for row in result.rows] == [3, 3, 3, 1]


def test_precision_is_undefined_without_detections(tmp_path: Path) -> None:
    folder = tmp_path / "detection"
    numbered_image(folder / "0.png", 0)
    (folder / "boxes.json").write_text(json.dumps({"0.png": [NEAR]}))
    result = evaluate(FakePredictor(boxes=[np.zeros((0, 5))]), Sets(tmp_path))
    assert result.figure("all faces", "recall") == 0
    assert result.figure("all faces", "precision") is None
