from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.disk import full_disk

from tddfa_ros.errors import TddfaError
from tddfa_ros.jobs.edit import write_video
from tddfa_ros.video import encoder as module
from tddfa_ros.video.encoder import VideoEncoder, has_pyav

SIZE = (64, 48)


def noise(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, (SIZE[1], SIZE[0], 3), np.uint8) for _ in range(count)]


@pytest.fixture(params=["PyAV", "OpenCV"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "PyAV" and not has_pyav():
        pytest.skip("PyAV is not installed")
    monkeypatch.setattr(module, "has_pyav", lambda: request.param == "PyAV")
    return str(request.param)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("after", [0, 10_000])
def test_full_disk_is_an_error(tmp_path: Path, after: int) -> None:
    """OpenCV's writer reports nothing; the file without an index would be found out much later."""
    with full_disk(after), pytest.raises(TddfaError, match=r"^cannot write .*a\.mp4"):
        writer = VideoEncoder(tmp_path / "a.mp4", SIZE, 30.0)
        try:
            for image in noise(40):
                writer.write(image)
        finally:
            writer.close()


@pytest.mark.usefixtures("backend")
def test_full_disk_leaves_no_video(tmp_path: Path) -> None:
    with full_disk(10_000), pytest.raises(TddfaError, match=r"^cannot write \S*/a\.mp4: "):
        write_video(tmp_path / "a.mp4", noise(40), 30.0)
    assert list(tmp_path.iterdir()) == []
    assert write_video(tmp_path / "a.mp4", noise(40), 30.0) == 40
