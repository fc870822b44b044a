"""A second try where a detector sees no face: the same one at a lower threshold, or another one."""

from __future__ import annotations

from tddfa_ros.detection.base import Detector
from tddfa_ros.types import FloatArray, ImageBGR


class LowerThreshold:
    """A detector that tries again at a lower threshold when it finds nothing.

    Args:
        detector: the one that looks; its ``score_threshold`` is that of the first look.
        score_threshold: of the second look, 0..1; where the first one's is not higher there is no second look.
    """

    def __init__(self, detector: Detector, score_threshold: float) -> None:
        self._detector, self._low = detector, score_threshold

    @property
    def score_threshold(self) -> float:
        """Of the first look."""
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
        """See `Detector`; an image without faces takes twice the time."""
        found = self._detector(image)
        usual = self._detector.score_threshold
        if len(found) or self._low >= usual:
            return found
        self._detector.score_threshold = self._low
        try:
            return self._detector(image)
        finally:
            self._detector.score_threshold = usual


class OtherDetector:
    """Two detectors; the second one looks where the first finds nothing, at the same threshold."""

    def __init__(self, first: Detector, second: Detector) -> None:
        self._first, self._second = first, second

    @property
    def score_threshold(self) -> float:
        """Of both."""
        return self._first.score_threshold

    @score_threshold.setter
    def score_threshold(self, value: float) -> None:
        self._first.score_threshold = self._second.score_threshold = value

    @property
    def max_faces(self) -> int:
        """Of both."""
        return self._first.max_faces

    @max_faces.setter
    def max_faces(self, value: int) -> None:
        self._first.max_faces = self._second.max_faces = value

    @property
    def provider(self) -> str:
        """The first one's; see `Detector.provider`."""
        return self._first.provider

    @property
    def fallback_reason(self) -> str | None:
        """The first reason of the two; see `Detector.fallback_reason`."""
        return self._first.fallback_reason or self._second.fallback_reason

    def __call__(self, image: ImageBGR) -> FloatArray:
        """See `Detector`."""
        found = self._first(image)
        return found if len(found) else self._second(image)
