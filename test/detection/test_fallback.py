from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tddfa_ros.config import DetectionConfig
from tddfa_ros.detection import create_detector
from tddfa_ros.detection.fallback import LowerThreshold, SecondDetector
from tddfa_ros.errors import ConfigError
from tddfa_ros.model_store.store import default_store

IMAGE = np.zeros((8, 8, 3), np.uint8)


class Fixed:
    """A detector with one face of a given score, which counts its calls."""

    fallback_reason = None

    def __init__(self, score: float, provider: str = "CPU") -> None:
        self.score_threshold, self.max_faces, self.provider = 0.5, 20, provider
        self.score, self.looks = score, 0

    def __call__(self, image: np.ndarray) -> np.ndarray:
        self.looks += 1
        row = np.array([[0, 0, 4, 4, self.score]], np.float32)
        return row[row[:, 4] >= self.score_threshold]


@pytest.mark.parametrize(("score", "faces", "looks"), [(0.7, 1, 1), (0.3, 1, 2), (0.1, 0, 2)])
def test_lower_threshold_is_used_only_without_detections(
    score: float, faces: int, looks: int
) -> None:
    inner = Fixed(score)
    detector = LowerThreshold(inner, 0.2)
    assert len(detector(IMAGE)) == faces
    assert inner.looks == looks
    assert detector.score_threshold == inner.score_threshold == 0.5, "the threshold is restored"


def test_threshold_can_change_between_calls() -> None:
    inner = Fixed(0.15)
    detector = LowerThreshold(inner, 0.2)
    detector.score_threshold, detector.max_faces = 0.18, 3
    assert len(detector(IMAGE)) == 0 and inner.looks == 1
    assert (inner.score_threshold, inner.max_faces) == (0.18, 3)


def test_fallback_detector_runs_without_detections() -> None:
    first, second = Fixed(0.3), Fixed(0.8, "GPU")
    detector = SecondDetector(first, second)
    assert detector(IMAGE)[0, 4] == pytest.approx(0.8)
    first.score = 0.9
    assert detector(IMAGE)[0, 4] == pytest.approx(0.9)
    assert (first.looks, second.looks) == (2, 1)
    detector.score_threshold, detector.max_faces = 0.95, 1
    assert len(detector(IMAGE)) == 0
    assert (second.score_threshold, second.max_faces, detector.provider) == (0.95, 1, "CPU")


def test_config_selects_fallback(centerface_path: Path, astronaut: np.ndarray) -> None:
    certain = DetectionConfig(score_threshold=0.999)
    assert len(create_detector(certain, default_store(), "cpu")(astronaut)) == 0
    trying = DetectionConfig(score_threshold=0.999, fallback="0.3")
    assert len(create_detector(trying, default_store(), "cpu")(astronaut)) == 1
    by_file = DetectionConfig(score_threshold=0.3, fallback=str(centerface_path))
    assert isinstance(create_detector(by_file, default_store(), "cpu"), SecondDetector)


@pytest.mark.parametrize(
    ("fallback", "sentence"),
    [
        ("0.6", "a threshold below detection.score_threshold"),
        ("-1", "a threshold below detection.score_threshold"),
        ("centerface", "names the detector itself"),
        ("haar", "there is no detector 'haar'"),
        ("yunet", "needs your own weights"),
    ],
)
def test_rejects_invalid_fallback(centerface_path: Path, fallback: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        create_detector(DetectionConfig(fallback=fallback), default_store(), "cpu")
