from __future__ import annotations

import json
import signal
import struct
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx", reason="needed to build the network under test")

from PIL import Image
from support.audio import heard, write_beep
from support.blobs import (
    HEIGHT,
    WIDTH,
    blob_clip,
    blob_image,
    blob_path,
    blob_pipeline,
    read_clip,
    write_clip,
)
from support.synthetic_model import synthetic_model

from tddfa_ros.config import SmoothingConfig
from tddfa_ros.errors import ConfigError, SourceError, TddfaError
from tddfa_ros.face import TrackedFace
from tddfa_ros.outputs import face_from_record
from tddfa_ros.pipeline import FacePipeline
from tddfa_ros.smoothing import FaceSmoother
from tddfa_ros.smoothing.lookahead import LOOK_AHEAD, LookaheadSmoother
from tddfa_ros.sources import VideoSource, create_source
from tddfa_ros.tracking import FaceTracker
from tddfa_ros.video import VideoOptions, annotate_video
from tddfa_ros.video.join import join_videos

av = pytest.importorskip("av")

FRAMES = 26
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def pipe(models: Path) -> FacePipeline:
    return blob_pipeline(models)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return blob_clip(tmp_path_factory.mktemp("clip") / "in.mp4", FRAMES)


def run(pipe: FacePipeline, clip: Path, folder: Path, **changes: object) -> Path:
    options = {
        "json": folder / "out.jsonl",
        "part_frames": 10,
        "layers": ("landmarks",),
        **changes,
    }
    annotate_video(str(clip), folder / "out.mp4", pipe, VideoOptions(**options), progress=False)
    return folder / "out.mp4"


@pytest.fixture(scope="module")
def unbroken(pipe: FacePipeline, clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(pipe, clip, tmp_path_factory.mktemp("unbroken"))


def duration_of(video: Path) -> float:
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        return float(stream.duration * stream.time_base)


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]


def test_keeps_frames_and_timestamps(unbroken: Path, clip: Path) -> None:
    images, times = read_clip(unbroken)
    assert len(images) == FRAMES and images[0].shape == (HEIGHT, WIDTH, 3)
    np.testing.assert_allclose(times, read_clip(clip)[1], atol=1e-3)
    assert duration_of(unbroken) == pytest.approx(FRAMES / 25, abs=1e-3)
    assert not unbroken.with_name("out.mp4.parts").exists()


def test_draws_faces_at_their_position(unbroken: Path, clip: Path) -> None:
    pairs = zip(read_clip(unbroken)[0][5:], read_clip(clip)[0][5:], strict=True)
    changed = [np.abs(a.astype(int) - b).max(axis=2) > 80 for a, b in pairs]
    for i, where in enumerate(changed, start=5):
        assert where.sum() > 20
        assert np.nonzero(where)[1].mean() == pytest.approx(blob_path(i), abs=4)


def test_json_lines_match_tracker_and_smoother(
    unbroken: Path, clip: Path, pipe: FacePipeline
) -> None:
    header, *records = lines(unbroken.parent)
    assert header["format"] == "tddfa-video-1"
    assert header["model"]["topology_id"] == pipe.model.topology_id
    assert [r["frame"] for r in records] == list(range(FRAMES))
    tracker, smoother = FaceTracker(pipe), LookaheadSmoother()
    images, times = read_clip(clip)
    expected: list[list[TrackedFace]] = []
    for image, seconds in zip(images, times, strict=True):
        ready = smoother.push(tracker.update(image, seconds), tracker.earlier)
        expected += [] if ready is None else [ready]
    expected += [smoother.pop() for _ in range(len(smoother))]
    seen = 0
    for record, seconds, faces in zip(records, times, expected, strict=True):
        assert record["time"] == pytest.approx(seconds, abs=1e-9)
        assert [f["id"] for f in record["faces"]] == [face.id for face in faces]
        for stored, face in zip(record["faces"], faces, strict=True):
            seen += 1
            np.testing.assert_array_equal(np.array(stored["params"], np.float32), face.params)
            again = face_from_record(stored, synthetic_model(), face.intrinsics)
            np.testing.assert_array_equal(again.landmarks68, face.landmarks68)
    assert seen == FRAMES, "the face is in the first frame, too"


@pytest.mark.parametrize("parts", [1, 4, 300])
def test_faces_do_not_depend_on_parts(unbroken: Path, clip: Path, pipe: FacePipeline, tmp_path: Path, parts: int) -> None:  # fmt: skip
    run(pipe, clip, tmp_path, part_frames=parts)
    assert lines(tmp_path) == lines(unbroken.parent)


@pytest.mark.parametrize("name", ["one.mp4", "one.gif", "one.png"])
def test_one_frame_has_its_faces(pipe: FacePipeline, tmp_path: Path, name: str) -> None:
    if name.endswith(".gif"):
        Image.fromarray(blob_image(80.0)).save(tmp_path / name)
    elif name.endswith(".png"):
        cv2.imwrite(str(tmp_path / name), blob_image(80.0))
    else:
        write_clip(tmp_path / name, [blob_image(80.0)])
    out = run(pipe, tmp_path / name, tmp_path, part_frames=1)
    shown, _ = read_clip(out)
    assert len(shown) == 1 and (shown[0][..., 0] != shown[0][..., 2]).sum() > 20, "not drawn"
    (record,) = lines(tmp_path)[1:]
    assert [face["id"] for face in record["faces"]] == ["f1"]


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {test!r})
from support.blobs import blob_pipeline
from tddfa_ros.video import VideoOptions, annotate_video
seen = 0
def show(image):
    global seen
    seen += 1
    if seen == {after}:
        os.kill(os.getpid(), signal.{signal})
    return True
folder = Path({folder!r})
options = VideoOptions(json=folder / "out.jsonl", part_frames={parts}, layers=("landmarks",))
summary = annotate_video({clip!r}, folder / "out.mp4", blob_pipeline(Path({models!r})), options, show=show, progress=False)
print(summary.frames, summary.finished)
"""


def interrupted(clip: Path, models: Path, folder: Path, after: int, number: str, parts: int = 10) -> subprocess.CompletedProcess[str]:  # fmt: skip
    code = KILLED.format(
        test=str(ROOT / "test"), after=after, signal=number, parts=parts, folder=str(folder), clip=str(clip), models=str(models)
    )  # fmt: skip
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_resumes_killed_run_with_equal_result(
    unbroken: Path, clip: Path, pipe: FacePipeline, models: Path, tmp_path: Path
) -> None:
    done = interrupted(clip, models, tmp_path, 24, "SIGKILL")
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (tmp_path / "out.mp4").exists()
    asked: list[int] = []
    options = VideoOptions(json=tmp_path / "out.jsonl", part_frames=10, layers=("landmarks",))
    summary = annotate_video(
        str(clip), tmp_path / "out.mp4", pipe, options,
        show=lambda _: asked.append(1) or True, progress=False,
    )  # fmt: skip
    assert (summary.resumed, summary.frames, len(asked)) == (20, FRAMES, FRAMES - 20)
    assert (tmp_path / "out.mp4").read_bytes() == unbroken.read_bytes()
    assert lines(tmp_path) == lines(unbroken.parent)
    assert not (tmp_path / "out.mp4.parts").exists()


def test_resumes_run_killed_before_joining(
    clip: Path, pipe: FacePipeline, models: Path, tmp_path: Path
) -> None:
    done = interrupted(clip, models, tmp_path, FRAMES, "SIGKILL", parts=FRAMES // 2)
    assert done.returncode == -signal.SIGKILL, done.stderr
    out = run(pipe, clip, tmp_path, part_frames=FRAMES // 2)
    assert len(read_clip(out)[0]) == FRAMES
    (tmp_path / "anew").mkdir()
    run(pipe, clip, tmp_path / "anew", part_frames=FRAMES // 2)
    assert lines(tmp_path) == lines(tmp_path / "anew")


def test_interrupt_finishes_file_and_run_resumes(
    unbroken: Path, clip: Path, pipe: FacePipeline, models: Path, tmp_path: Path
) -> None:
    done = interrupted(clip, models, tmp_path, 14, "SIGINT")
    assert done.returncode == 0, done.stderr
    count, finished = done.stdout.split()
    # OpenCV may handle signals one frame later, and smoothing looks ahead.
    assert finished == "False" and 14 <= int(count) <= 15 + LOOK_AHEAD
    assert len(read_clip(tmp_path / "out.mp4")[0]) == int(count)
    assert len(lines(tmp_path)) == 1 + int(count)
    run(pipe, clip, tmp_path)
    assert (tmp_path / "out.mp4").read_bytes() == unbroken.read_bytes()


def test_rejects_parts_of_another_job(
    clip: Path, pipe: FacePipeline, models: Path, tmp_path: Path
) -> None:
    interrupted(clip, models, tmp_path, 14, "SIGINT")
    with pytest.raises(ConfigError, match="other options; --restart discards"):
        run(pipe, clip, tmp_path, layers=("pose",))
    run(pipe, clip, tmp_path, layers=("pose",), restart=True)
    assert len(read_clip(tmp_path / "out.mp4")[0]) == FRAMES


def test_keeps_varying_frame_rate(clip: Path, pipe: FacePipeline, tmp_path: Path) -> None:
    times = np.concatenate([[0], np.cumsum(np.random.default_rng(1).uniform(0.02, 0.12, FRAMES))])
    join_videos([clip], times, tmp_path / "vfr.mp4")
    out = run(pipe, tmp_path / "vfr.mp4", tmp_path)
    np.testing.assert_allclose(read_clip(out)[1], times[:-1], atol=2e-3)
    assert [r["time"] for r in lines(tmp_path)[1:]] == pytest.approx(times[:-1].tolist(), abs=2e-3)


def test_applies_rotation_metadata(clip: Path, pipe: FacePipeline, tmp_path: Path) -> None:
    turned = tmp_path / "turned.mp4"
    join_videos([clip], np.arange(FRAMES + 1) / 25, turned)
    data = bytearray(turned.read_bytes())
    # The matrix of tkhd version 0 begins 40 bytes into its content: a quarter turn clockwise.
    at = data.index(b"tkhd") + 4
    assert data[at] == 0
    at += 40
    data[at : at + 36] = struct.pack(">9i", 0, 0x10000, 0, -0x10000, 0, 0, HEIGHT << 16, 0, 1 << 30)
    turned.write_bytes(data)
    upright = cv2.rotate(read_clip(clip)[0][3], cv2.ROTATE_90_CLOCKWISE)
    shown = read_clip(run(pipe, turned, tmp_path))[0]
    assert len(shown) == FRAMES and shown[3].shape == (WIDTH, HEIGHT, 3)
    assert np.median(np.abs(shown[3].astype(int) - upright)) <= 2


def test_window_smoothing_matches_smoother(clip: Path, pipe: FacePipeline, tmp_path: Path) -> None:
    config = SmoothingConfig(method="window", window=3)
    run(pipe, clip, tmp_path, smoothing=config, look_ahead=0)
    tracker, smoother = FaceTracker(pipe), FaceSmoother(config)
    for image, seconds in zip(*read_clip(clip), strict=True):
        last = smoother(tracker.update(image, seconds))
    np.testing.assert_array_equal(
        np.array(lines(tmp_path)[-1]["faces"][0]["params"], np.float32), last[0].params
    )


def test_writes_json_lines_without_video(clip: Path, pipe: FacePipeline, tmp_path: Path) -> None:
    options = VideoOptions(json=tmp_path / "a.jsonl")
    summary = annotate_video(str(clip), None, pipe, options, progress=False)
    assert summary.files == (tmp_path / "a.jsonl",)
    assert [p.name for p in tmp_path.iterdir()] == ["a.jsonl"]


class Unplugged(VideoSource):
    """A camera that is unplugged after ten frames."""

    def read(self, seconds: float):
        frame = super().read(seconds)
        if self._count > 10:
            raise SourceError("camera 0 delivers no more images; was it unplugged?")
        return frame


@pytest.mark.parametrize("shown", [False, True])
def test_paints_only_frames_that_are_seen(
    clip: Path, pipe: FacePipeline, tmp_path: Path, shown: bool
) -> None:
    class Counter:
        name, needs_device, painted = "counter", False, 0

        def paint(self, image: np.ndarray, faces: object, model: object) -> np.ndarray:
            Counter.painted += 1
            return image

    options = VideoOptions(json=tmp_path / "out.jsonl", effects=(Counter(),))
    show = (lambda _: True) if shown else None
    annotate_video(str(clip), None, pipe, options, show=show, progress=False)
    assert Counter.painted == (FRAMES if shown else 0)


def test_keeps_frames_until_camera_fails(
    clip: Path, pipe: FacePipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "tddfa_ros.video.annotate.open_video", lambda *_: Unplugged(clip, 999, 999, loop=False)
    )
    said: list[str] = []
    summary = annotate_video(
        str(clip),
        tmp_path / "out.mp4",
        pipe,
        VideoOptions(audio=False),
        progress=False,
        on_message=said.append,
    )
    assert summary.frames == 10 and len(read_clip(tmp_path / "out.mp4")[0]) == 10
    assert said == ["camera 0 delivers no more images; was it unplugged?"]


def test_does_not_overwrite_files(clip: Path, pipe: FacePipeline, tmp_path: Path) -> None:
    (tmp_path / "out.mp4").write_bytes(b"mine")
    with pytest.raises(ConfigError, match=r"out\.mp4 exists; --overwrite"):
        run(pipe, clip, tmp_path)
    assert (tmp_path / "out.mp4").read_bytes() == b"mine"
    assert len(read_clip(run(pipe, clip, tmp_path, overwrite=True))[0]) == FRAMES


def test_rejects_bad_input_in_one_sentence(pipe: FacePipeline, clip: Path, tmp_path: Path) -> None:
    def attempt(source: str, output: str = "o.mp4", **changes: object) -> None:
        annotate_video(source, tmp_path / output, pipe, VideoOptions(**changes), progress=False)

    with pytest.raises(SourceError, match=r"nix\.mp4"):
        attempt(str(tmp_path / "nix.mp4"))
    with pytest.raises(ConfigError, match=r"must end in \.mp4"):
        attempt(str(clip), "o.avi")
    with pytest.raises(ConfigError, match="is an input"):
        annotate_video(str(clip), clip, pipe, VideoOptions(overwrite=True), progress=False)
    with pytest.raises(ConfigError, match="unknown layer 'hat': known are mesh"):
        attempt(str(clip), layers=("hat",))
    image = tmp_path / "a.png"
    cv2.imwrite(str(image), np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(TddfaError, match="cannot write"):
        attempt(str(clip), "a.png/o.mp4")
    with pytest.raises(SourceError, match="use 'tddfa image' for its images"):
        attempt(str(tmp_path))


def test_keeps_audio(clip: Path, pipe: FacePipeline, tmp_path: Path) -> None:
    sound = write_beep(tmp_path / "a.m4a", "aac", 48000, (0.4, 0.7))
    spoken = tmp_path / "spoken.mp4"
    join_videos([clip], np.arange(FRAMES + 1) / 25, spoken, sound)
    out = run(pipe, spoken, tmp_path)
    codec, begin, end, _ = heard(out)
    assert codec == "aac" and (begin, end) == pytest.approx((0.4, 0.7), abs=0.03)
    frames, times = read_clip(out)
    assert len(frames) == FRAMES
    np.testing.assert_allclose(times, np.arange(FRAMES) / 25, atol=1e-3)
    silent = run(pipe, spoken, tmp_path, audio=False, overwrite=True)
    with av.open(str(silent)) as container:
        assert not container.streams.audio


def test_writes_constant_rate_video_without_pyav(
    clip: Path, pipe: FacePipeline, unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    run(pipe, clip, whole, part_frames=FRAMES)
    monkeypatch.setitem(sys.modules, "av", None)
    said: list[str] = []
    options = VideoOptions(json=tmp_path / "out.jsonl", part_frames=10, layers=("landmarks",))
    output = tmp_path / "out.mp4"
    summary = annotate_video(
        str(clip), output, pipe, options, progress=False, on_message=said.append
    )
    assert summary.finished and summary.files == (output, tmp_path / "out.jsonl")
    assert len(said) == 1 and said[0].startswith(
        "PyAV 15 or later is not installed, so the video has"
    )
    frames, times = read_clip(output)
    assert len(frames) == FRAMES
    np.testing.assert_allclose(times, np.arange(FRAMES) / 25, atol=1e-3)
    for a, b in zip(frames, read_clip(unbroken)[0], strict=True):
        assert np.median(np.abs(a.astype(int) - b)) <= 2
    assert lines(tmp_path) == lines(whole)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.jsonl", "out.mp4", "whole"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"part_frames": 0}, "part_frames must be at least 1, not 0"),
        ({"width": "wide"}, "width must be an integer, not 'wide'"),
        ({"audio": 1}, "audio must be true or false, not 1"),
        ({"smoothing": "kalman"}, "smoothing must be a SmoothingConfig"),
    ],
)
def test_rejects_invalid_options(changes: dict, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        VideoOptions(**changes)


def test_source_skips_frames(clip: Path) -> None:
    skipping, reading = (create_source(str(clip), loop=False) for _ in range(2))
    assert isinstance(skipping, VideoSource) and skipping.count == FRAMES
    assert skipping.skip(7) == 7
    frames = [reading.read(0.0) for _ in range(8)]
    after = skipping.read(0.0)
    np.testing.assert_array_equal(after.image, frames[-1].image)
    assert after.seconds == frames[-1].seconds == pytest.approx(7 / 25, abs=1e-3)
    assert skipping.skip(100) == FRAMES - 8
