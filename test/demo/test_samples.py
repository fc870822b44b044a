"""Sample files of the documentation."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from tddfa_ros.demo import samples

pytest.importorskip("skimage", reason="scikit-image carries the portrait")


def test_writes_the_portrait_and_a_video_of_it(tmp_path: Path, astronaut: np.ndarray) -> None:
    image, video = samples.write_samples(tmp_path / "new")
    np.testing.assert_array_equal(cv2.imread(str(image)), astronaut)
    capture = cv2.VideoCapture(str(video))
    assert capture.get(cv2.CAP_PROP_FPS) == samples.VIDEO_RATE
    frames = []
    while (read := capture.read())[0]:
        frames.append(read[1])
    assert len(frames) == 100 and frames[0].shape == (480, 640, 3)
    # The camera moves: the mean absolute difference of coding noise alone is below 2 gray levels.
    assert cv2.absdiff(frames[0], frames[-1]).mean() > 10


def test_keeps_existing_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / samples.IMAGE_NAME).write_bytes(b"mine")
    assert samples.main([str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / samples.VIDEO_NAME)]
    assert (tmp_path / samples.IMAGE_NAME).read_bytes() == b"mine"
    assert samples.write_samples(tmp_path) == []


def test_reports_a_folder_that_cannot_be_created(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert samples.main([str(tmp_path / "file" / "samples")]) == 1
    assert capsys.readouterr().err.startswith("error: ")
