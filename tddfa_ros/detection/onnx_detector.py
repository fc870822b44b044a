"""Base class of detectors that run in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from tddfa_ros.runtime.session import OnnxSession


class OnnxDetector:
    """Options and session of a detector; a subclass implements ``__call__`` of `Detector`.

    Args:
        path: ``.onnx`` file of the network.
        input_size: long side of the network input, px; larger values detect smaller faces, and time grows with the square. 0 for
            ``DEFAULT_SIZE``.
        score_threshold: minimum score of a detection, 0..1.
        max_faces: maximum number of detections; the largest are kept.
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

    @contextmanager
    def recording(self, fed: list[NDArray[Any]]) -> Iterator[None]:
        """Append the input (3, H, W) of the network to a list at each detection in the block."""
        run = self._session.run

        def recorded(
            feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str] | None = None
        ) -> list[NDArray[Any]]:
            fed.append(feeds[self._input][0])
            return run(feeds, outputs)

        self._session.run = recorded  # type: ignore[method-assign]
        try:
            yield
        finally:
            del self._session.run
