"""Fallbacks for images without a detection: the same detector at a lower threshold, or another detector."""

from __future__ import annotations

from tddfa_ros.detection.base import Detector
from tddfa_ros.types import FloatArray, ImageBGR


class LowerThreshold:
    """Detector that runs again at a lower threshold when the first pass has no detection.

    Args:
        detector: its ``score_threshold`` applies to the first pass.
        score_threshold: of the second pass, 0..1; there is none if it is not below that of the first pass.
    """

    def __init__(self, detector: Detector, score_threshold: float) -> None:
        self._detector, self._low = detector, score_threshold

    @property
    def score_threshold(self) -> float:
        """Threshold of the first pass."""
        return self._detector.score_threshold

    @score_threshold.setter
    def score_threshold(self, value: float) -> None:
        self._detector.score_threshold = value

    @property
    def max_faces(self) -> int:
        """See `Detector`."""
        return self._detector.max_faces

    @max_faces.setter
    def max_faces(self, value: int) -> None:
        self._detector.max_faces = value

    @property
    def provider(self) -> str:
        """See `Detector.provider`."""
        return self._detector.provider

    @property
    def fallback_reason(self) -> str | None:
        """See `Detector.fallback_reason`."""
        return self._detector.fallback_reason

    def __call__(self, image: ImageBGR) -> FloatArray:
        """See `Detector`; an image without a detection takes twice the time."""
        found = self._detector(image)
        usual = self._detector.score_threshold
        if len(found) or self._low >= usual:
            return found
        self._detector.score_threshold = self._low
        try:
            return self._detector(image)
        finally:
            self._detector.score_threshold = usual


class SecondDetector:
    """Two detectors; the second runs, at the same threshold, when the first has no detection."""

    def __init__(self, first: Detector, second: Detector) -> None:
        self._first, self._second = first, second

    @property
    def score_threshold(self) -> float:
        """Of both detectors."""
        return self._first.score_threshold

    @score_threshold.setter
    def score_threshold(self, value: float) -> None:
        self._first.score_threshold = self._second.score_threshold = value

    @property
    def max_faces(self) -> int:
        """Of both detectors."""
        return self._first.max_faces

    @max_faces.setter
    def max_faces(self, value: int) -> None:
        self._first.max_faces = self._second.max_faces = value

    @property
    def provider(self) -> str:
        """Of the first detector; see `Detector.provider`."""
        return self._first.provider

    @property
    def fallback_reason(self) -> str | None:
        """Of the first detector that has one; see `Detector.fallback_reason`."""
        return self._first.fallback_reason or self._second.fallback_reason

    def __call__(self, image: ImageBGR) -> FloatArray:
        """See `Detector`."""
        found = self._first(image)
        return found if len(found) else self._second(image)
