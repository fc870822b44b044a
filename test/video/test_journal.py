from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.scripted_pipeline import Person, ScriptedPipeline, image_of, layout, still

from tddfa_ros.tracking.tracker import FaceTracker
from tddfa_ros.video.journal import Journal, JournaledPipeline

PEOPLE = [Person(still(150, 240), look=0.0), Person(still(450, 240), look=3.0)]
SIGMA = np.linspace(0.5, 2.0, 68, dtype=np.float32)


class Pipeline(ScriptedPipeline):
    """Predicts a sigma for the left face only."""

    def _look(self, frame: int, roi: np.ndarray) -> Any:
        face = replace(super()._look(frame, roi), color_layout=layout(1.0))
        return replace(face, crop_sigma=SIGMA) if roi[0] < 300 else face

    @property
    def model(self) -> Any:
        return self.regress(image_of(0), np.array([PEOPLE[0].roi(0)]))[0].model


def test_faces_are_replayed_with_all_their_fields(tmp_path: Path) -> None:
    live = JournaledPipeline(Pipeline(PEOPLE))  # type: ignore[arg-type]
    image = image_of(0)
    rois = np.array([person.roi(0) for person in PEOPLE])
    given = [*live.regress(image, rois), *live.align(image, live.detect(image))]
    assert live.regress(image, rois[:0]) == []
    live.journal.save(tmp_path / "a.npz")

    again = JournaledPipeline(Pipeline(PEOPLE))  # type: ignore[arg-type]
    again.replay(Journal.load(tmp_path / "a.npz"))
    replayed = again.regress(image, rois)
    boxes = again.detect(image)
    replayed += again.align(image, boxes)
    assert again.regress(image, rois[:0]) == [] and not again.replaying
    for face, other in zip(given, replayed, strict=True):
        for name in ("box", "confidence", "params", "roi", "color_layout", "crop_sigma"):
            np.testing.assert_array_equal(getattr(face, name), getattr(other, name), err_msg=name)
    assert [face.crop_sigma is None for face in replayed] == [False, True] * 2


@pytest.mark.parametrize("jump", [None, 5])
def test_camera_motion_after_a_replay_equals_that_of_an_uninterrupted_run(
    tmp_path: Path, jump: int | None
) -> None:
    """A stamp that goes back resets the tracker, before and after the interruption."""
    rng = np.random.default_rng(0)
    scene = rng.integers(0, 255, (12, 16), np.uint8).repeat(40, 0).repeat(40, 1)
    images = []
    for i in range(10):
        image = np.roll(scene, 6 * i, axis=1)[..., None].repeat(3, 2).copy()
        image.reshape(-1)[:4] = np.frombuffer(np.uint32(i).tobytes(), np.uint8)
        images.append(image)

    def run(pipeline: JournaledPipeline, frames: range) -> list[np.ndarray]:
        tracker = FaceTracker(pipeline, camera_motion=pipeline.camera_motion)  # type: ignore[arg-type]
        for i in frames:
            tracker.update(images[i], i / 30 - (100.0 if jump and i >= jump else 0.0))
        return pipeline.journal.motions

    whole = run(JournaledPipeline(Pipeline(PEOPLE)), range(10))  # type: ignore[arg-type]
    assert np.abs(whole[1:]).max() > 3
    first = JournaledPipeline(Pipeline(PEOPLE))  # type: ignore[arg-type]
    run(first, range(7))
    first.journal.save(tmp_path / "a.npz")
    resumed = JournaledPipeline(Pipeline(PEOPLE))  # type: ignore[arg-type]
    resumed.replay(Journal.load(tmp_path / "a.npz"))
    np.testing.assert_array_equal(run(resumed, range(10)), whole[7:])
