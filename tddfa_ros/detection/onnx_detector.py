"""What all detectors that run in ONNX Runtime have in common."""

from __future__ import annotations

from pathlib import Path

from tddfa_ros.runtime.session import OnnxSession


class OnnxDetector:
    """Options and session of a detector; `Detector` says what a subclass must answer when it is called.

    Args:
        path: the network, an ``.onnx`` file.
        input_size: long side in px of what the network sees; smaller faces need a larger one, and time grows with its square. 0 for
            ``DEFAULT_SIZE``.
        score_threshold: faces below are dropped, 0..1.
        max_faces: at most so many faces are returned, the largest ones.
        device, threads: see `OnnxSession`.
    """

    DEFAULT_SIZE = 640

    def __init__(
        self,
        path: str | Path,
        input_size: int = 0,
        score_threshold: float = 0.5,
        max_faces: int = 20,
        device: str = "auto",
        threads: int = 1,
    ) -> None:
        self.input_size = input_size or self.DEFAULT_SIZE
        self.score_threshold = score_threshold
        self.max_faces = max_faces
        self._session = OnnxSession(path, device, threads)
        self._input = self._session.input_names[0]

    @property
    def provider(self) -> str:
        """See `Detector.provider`."""
        return self._session.provider

    @property
    def fallback_reason(self) -> str | None:
        """See `Detector.fallback_reason`."""
        return self._session.fallback_reason
