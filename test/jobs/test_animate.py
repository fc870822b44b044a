"""Animation of an image by a video, with the real pipeline."""

from __future__ import annotations

from dataclasses import replace

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
    names = face.model.expression_names
    rest = face.params.copy()
    rest[face.model.layout.expression_slice.start + names.index("jawOpen")] -= 0.5
    (shown,) = animate(astronaut, face, [astronaut], 25.0, pipeline, neutral=rest)
    assert not np.array_equal(shown, astronaut), "the expression is not transferred"


def test_relative_transfer_starts_from_the_least_active_frames(
    astronaut: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = FacePipeline()
    target = face_of(pipeline, astronaut, "the portrait")
    model = target.model
    jaw = model.layout.expression_slice.start + model.expression_names.index("jawOpen")
    rest, wide = target.params.copy(), target.params.copy()
    wide[jaw] += 0.5
    sources = [replace(target, params=p) for p in [wide, *[rest] * 8, wide]]
    monkeypatch.setattr("tddfa_ros.jobs.animate._largest_faces", lambda *_: iter(sources))
    shown = list(animate(astronaut, target, [], 25.0, pipeline, relative=True))
    # The first frame, which is not at rest, opens the mouth, and frames at rest change nothing.
    assert np.abs(shown[4].astype(int) - astronaut).max() <= 2
    assert np.abs(shown[0].astype(int) - astronaut).max() > 60
    assert np.array_equal(shown[0], shown[-1])
