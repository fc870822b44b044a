"""Animation of an image by a video, with the real pipeline."""

from __future__ import annotations

import numpy as np
import pytest

from tddfa_ros.errors import ImageError
from tddfa_ros.jobs.animate import animate
from tddfa_ros.jobs.edit import face_of
from tddfa_ros.pipeline import FacePipeline


def test_self_transfer_changes_little(astronaut: np.ndarray) -> None:
    pipeline = FacePipeline()
    face = face_of(pipeline, astronaut, "the portrait")
    shown = list(animate(astronaut, face, [astronaut] * 4, 25.0, pipeline))
    assert len(shown) == 4
    for image in shown:
        # Tracking uses another ROI than detection, so coefficients differ slightly.
        assert np.abs(image.astype(int) - astronaut).mean() < 1.0


def test_frames_without_face_keep_the_image(astronaut: np.ndarray) -> None:
    pipeline = FacePipeline()
    face = face_of(pipeline, astronaut, "the portrait")
    empty = np.full((240, 320, 3), 80, np.uint8)
    frames = animate(astronaut, face, [empty] * 2, 25.0, pipeline)
    assert np.array_equal(next(frames), astronaut)
    with pytest.raises(ImageError, match="no frame"):
        list(frames)


def test_one_frame_is_drawn(astronaut: np.ndarray) -> None:
    pipeline = FacePipeline()
    face = face_of(pipeline, astronaut, "the portrait")
    (shown,) = animate(astronaut, face, [astronaut], 25.0, pipeline, strength=0.0)
    assert not np.array_equal(shown, astronaut), "the expression is not transferred"
