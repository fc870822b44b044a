from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.audio import heard, write_beep
from support.blobs import HEIGHT, WIDTH, blob_image, blob_path, read_clip, write_clip

from tddfa_ros.errors import TddfaError
from tddfa_ros.video.encoder import VideoEncoder
from tddfa_ros.video.join import TIMESCALE, join_videos

av = pytest.importorskip("av")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """30 frames of a moving square, in three files of 10."""
    folder = tmp_path_factory.mktemp("clips")
    paths = []
    for k in range(3):
        paths.append(folder / f"{k}.mp4")
        encoder = VideoEncoder(paths[-1], (WIDTH, HEIGHT), 25.0)
        for i in range(10):
            encoder.write(blob_image(blob_path(10 * k + i)))
        encoder.close()
        assert encoder.count == 10
    return paths


def uneven_times(count: int) -> np.ndarray:
    """``count`` timestamps and the end: from 10 to 100 ms apart."""
    steps = np.random.default_rng(0).uniform(0.01, 0.1, count)
    return np.concatenate([[0.0], np.cumsum(steps)])


def test_joined_frames_keep_pixels_and_timestamps(clips: list[Path], tmp_path: Path) -> None:
    times = uneven_times(30)
    join_videos(clips, times, tmp_path / "all.mp4")
    shown, stamps = read_clip(tmp_path / "all.mp4")
    np.testing.assert_allclose(stamps, times[:-1], atol=1 / TIMESCALE)
    before = [image for clip in clips for image in read_clip(clip)[0]]
    assert len(shown) == 30
    for a, b in zip(shown, before, strict=True):
        np.testing.assert_array_equal(a, b)  # copied, not re-encoded
    with av.open(str(tmp_path / "all.mp4")) as container:
        (stream,) = container.streams
        duration = float(stream.duration * stream.time_base)
    assert duration == pytest.approx(times[-1], abs=2 / TIMESCALE)


def test_encoded_frames_resemble_their_input(clips: list[Path]) -> None:
    shown, stamps = read_clip(clips[0])
    np.testing.assert_allclose(stamps, np.arange(10) / 25, atol=1e-3)
    for i, image in enumerate(shown):
        error = np.abs(image.astype(int) - blob_image(blob_path(i)))
        assert np.median(error) <= 2 and error.mean() < 4


@pytest.mark.parametrize(
    ("name", "codec", "rate", "kept"),
    [
        ("a.m4a", "aac", 48000, "aac"),
        ("a.mp3", "libmp3lame", 44100, "mp3"),
        ("a.wav", "pcm_s16le", 48000, "aac"),  # MP4 holds PCM, but few players find it there
        ("a.wav", "pcm_mulaw", 8000, "aac"),
    ],
)
def test_audio_is_copied_or_becomes_aac(
    name: str, codec: str, rate: int, kept: str, clips: list[Path], tmp_path: Path
) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg has no {codec}")
    source = write_beep(tmp_path / name, codec, rate, (0.5, 0.8))
    times = np.arange(31) / 25
    join_videos(clips, times, tmp_path / "out.mp4", source)
    found, begin, end, length = heard(tmp_path / "out.mp4")
    assert found.startswith(kept)
    assert (begin, end) == pytest.approx((0.5, 0.8), abs=0.03)
    assert length == pytest.approx(1.2, abs=2 * 1152 / rate + 0.06), "cut to the video"
    shown, stamps = read_clip(tmp_path / "out.mp4")
    assert len(shown) == 30
    np.testing.assert_allclose(stamps, times[:-1], atol=1e-3)


def test_audio_stays_in_sync_with_a_late_video_stream(clips: list[Path], tmp_path: Path) -> None:
    sound = write_beep(tmp_path / "a.m4a", "aac", 48000, (1.0, 1.3))
    late = tmp_path / "late.mkv"
    with av.open(str(clips[0])) as video, av.open(str(sound)) as audio, av.open(str(late), "w") as out:  # fmt: skip
        streams = [out.add_stream_from_template(c.streams[0]) for c in (video, audio)]
        for container, stream, shift in ((video, streams[0], 0.5), (audio, streams[1], 0.0)):
            for packet in container.demux():
                if packet.dts is not None:
                    ticks = round(shift / packet.time_base)
                    packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
                    packet.stream = stream
                    out.mux(packet)
    join_videos(clips, np.arange(31) / 25, tmp_path / "out.mp4", late)
    _, begin, end, _ = heard(tmp_path / "out.mp4")
    assert (begin, end) == pytest.approx((0.5, 0.8), abs=0.03), "the video began 0.5 s late"


def test_source_without_audio_gives_none(clips: list[Path], tmp_path: Path) -> None:
    join_videos(clips, np.arange(31) / 25, tmp_path / "out.mp4", clips[0])
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert [stream.type for stream in container.streams] == ["video"]


@pytest.mark.parametrize("times", [np.arange(10) / 25, np.arange(12) / 25, np.zeros(11), -np.arange(11.0)])  # fmt: skip
def test_rejects_non_increasing_times(times: np.ndarray, clips: list[Path], tmp_path: Path) -> None:
    with pytest.raises(TddfaError, match="times do not fit"):
        join_videos(clips[:1], times, tmp_path / "out.mp4")
    assert list(tmp_path.iterdir()) == []


def test_rejects_parts_with_other_settings(clips: list[Path], tmp_path: Path) -> None:
    other = write_clip(tmp_path / "other.mp4", [np.zeros((64, 64, 3), np.uint8)] * 3)
    with pytest.raises(TddfaError, match="different codec settings"):
        join_videos([clips[0], other], np.arange(14) / 25, tmp_path / "out.mp4")


@pytest.mark.parametrize("content", [b"", b"no video", bytes(100), b"\0\0\0\x10moovjunkjunk"])
def test_rejects_non_mp4_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(TddfaError, match=r"a\.mp4"):
        join_videos([path], [0.0, 0.04], tmp_path / "out.mp4")
    assert [file.name for file in tmp_path.iterdir()] == ["a.mp4"]


def test_rejects_truncated_file(clips: list[Path], tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(clips[0].read_bytes()[:-200])
    with pytest.raises(TddfaError, match=r"a\.mp4|times do not fit"):
        join_videos([path], np.arange(11) / 25, tmp_path / "out.mp4")


def test_rejects_frames_of_another_size(tmp_path: Path) -> None:
    encoder = VideoEncoder(tmp_path / "a.mp4", (WIDTH, HEIGHT), 25.0)
    with pytest.raises(TddfaError, match="a frame of 64x64 px does not fit a video of 160x120 px"):
        encoder.write(np.zeros((64, 64, 3), np.uint8))
    encoder.close()


def test_rejects_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(TddfaError, match="there is no such folder"):
        VideoEncoder(tmp_path / "nix" / "a.mp4", (WIDTH, HEIGHT), 25.0)
