from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.blobs import blob_path, blob_picture, read_clip, write_clip

from tddfa_ros.errors import TddfaError
from tddfa_ros.video.mp4 import VideoTrack, read_track
from tddfa_ros.video.mp4_join import TIMESCALE, join_tracks


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """30 pictures of a moving square, in three files of 10."""
    folder = tmp_path_factory.mktemp("clips")
    return [
        write_clip(folder / f"{k}.mp4", (blob_picture(blob_path(10 * k + i)) for i in range(10)))
        for k in range(3)
    ]


def uneven_times(count: int) -> np.ndarray:
    """``count`` pictures and the end: from 10 to 100 ms apart."""
    steps = np.random.default_rng(0).uniform(0.01, 0.1, count)
    return np.concatenate([[0.0], np.cumsum(steps)])


def test_a_track_is_read_as_it_was_written(clips: list[Path]) -> None:
    track = read_track(clips[0])
    assert track.size == (160, 120)
    np.testing.assert_allclose(track.times, np.arange(10) / 25, atol=1e-4)
    assert track.duration == pytest.approx(0.4, abs=1e-3)
    assert track.key[0] and len(track.sizes) == 10
    data = clips[0].read_bytes()
    # A coded picture of MPEG-4 part 2 is a VOP, before which only a group's header may stand (ISO/IEC 14496-2, 6.2).
    for offset, size in zip(track.offsets, track.sizes, strict=True):
        picture = data[offset : offset + size]
        assert picture[:4] in (b"\0\0\1\xb6", b"\0\0\1\xb3") and picture.count(b"\0\0\1\xb6") == 1


def test_joined_files_show_every_picture_at_its_own_time(clips: list[Path], tmp_path: Path) -> None:
    times = uneven_times(30)
    join_tracks([read_track(clip) for clip in clips], times, tmp_path / "all.mp4")
    shown, stamps = read_clip(tmp_path / "all.mp4")
    np.testing.assert_allclose(stamps, times[:-1], atol=1e-3)
    before = [image for clip in clips for image in read_clip(clip)[0]]
    assert len(shown) == 30
    for a, b in zip(shown, before, strict=True):
        np.testing.assert_array_equal(a, b)  # copied, not coded again
    track = read_track(tmp_path / "all.mp4")
    np.testing.assert_allclose(track.times, times[:-1], atol=1 / TIMESCALE)
    assert track.duration == pytest.approx(times[-1], abs=1 / TIMESCALE)


def test_pictures_that_are_decoded_in_another_order_than_shown(tmp_path: Path) -> None:
    """I P B B P B B: what H.264 does; the bytes do not matter here."""
    raw = tmp_path / "raw"
    raw.write_bytes(bytes(range(70)))
    order = np.array([0, 3, 1, 2, 6, 4, 5])
    track = VideoTrack(
        path=raw,
        description=bytes(12) + b"test" + bytes(78),
        size=(64, 48),
        offsets=np.arange(7) * 10,
        sizes=np.full(7, 10),
        times=(order + 2)
        / 30,  # encoders start late, so that nothing is shown before it is decoded
        key=order == 0,
        duration=7 / 30,
    )
    times = uneven_times(14)
    join_tracks([track, track], times, tmp_path / "out.mp4")
    joined = read_track(tmp_path / "out.mp4")
    shown = times[np.concatenate([order, order + 7])]
    np.testing.assert_allclose(joined.times, shown, atol=1 / TIMESCALE)
    np.testing.assert_array_equal(np.flatnonzero(joined.key), [0, 7])
    data = (tmp_path / "out.mp4").read_bytes()
    assert data[joined.offsets[8] : joined.offsets[8] + 10] == bytes(range(10, 20))


def test_times_must_rise_and_fit(clips: list[Path], tmp_path: Path) -> None:
    track = read_track(clips[0])
    for times in (np.arange(10) / 25, np.zeros(11), -np.arange(11.0)):
        with pytest.raises(TddfaError, match="10 pictures need 11 rising times"):
            join_tracks([track], times, tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


def test_parts_of_another_size_are_refused(clips: list[Path], tmp_path: Path) -> None:
    other = write_clip(tmp_path / "other.mp4", [np.zeros((64, 64, 3), np.uint8)] * 3)
    tracks = [read_track(clips[0]), read_track(other)]
    with pytest.raises(TddfaError, match="coded differently"):
        join_tracks(tracks, np.arange(14) / 25, tmp_path / "out.mp4")


@pytest.mark.parametrize("content", [b"", b"no video", bytes(100), b"\0\0\0\x10moovjunkjunk"])
def test_a_file_that_is_no_mp4(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(TddfaError, match=r"a\.mp4 is not an MP4 file"):
        read_track(path)


def test_a_file_that_is_cut_off(clips: list[Path], tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(clips[0].read_bytes()[:-200])
    with pytest.raises(TddfaError, match=r"a\.mp4"):
        read_track(path)
