"""The comparison of ``benchmarks/detectors.py``."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BENCHMARKS = str(Path(__file__).resolve().parents[1] / "benchmarks")


@pytest.fixture
def detectors() -> Any:
    sys.path.insert(0, BENCHMARKS)
    yield importlib.import_module("detectors")
    sys.path.remove(BENCHMARKS)


def test_curve_counts_every_detection(detectors: Any) -> None:
    # The default limit keeps the largest faces: weak large detections would hide the small faces.
    image = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
    detector = detectors.created(["tddfa-detect"], 320)["tddfa-detect"]
    detector.score_threshold = 1e-5
    assert len(detector(image)) > 100
