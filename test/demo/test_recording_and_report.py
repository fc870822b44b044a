"""Round trip of recordings, and figures of the report for known signals."""

import json

import numpy as np
import pytest

from tddfa_ros.demo.motion import invert
from tddfa_ros.demo.recording import (
    IMAGES,
    BestFace,
    RecordedFace,
    Recording,
    Stream,
    load_recording,
    save_tables,
)
from tddfa_ros.demo.report import measure, to_text, track_jitter
from tddfa_ros.errors import TddfaError

STEP = 33_333_333


def face(stamp, landmarks, face_id="f1"):
    return RecordedFace(
        stamp=stamp,
        id=face_id,
        confidence=0.9,
        params=np.arange(104, dtype=np.float32),
        distance=0.7,
        landmarks=landmarks.astype(np.float32),
        coarse=np.ones((5, 3), np.float32),
    )


def template():
    rng = np.random.default_rng(5)
    points = np.zeros((68, 3))
    points[:, :2] = rng.uniform(200, 300, (68, 2))
    points[36, :2], points[45, :2] = (210, 240), (290, 240)
    return points


def make_recording(folder, frames=60, dropped=(), noise=0.0, motion=None, size=(48, 64)):
    rng = np.random.default_rng(0)
    stamps = np.arange(frames, dtype=np.int64) * STEP + 1_000_000_000
    folder.mkdir(parents=True, exist_ok=True)
    pixels = rng.integers(0, 256, (frames, *size, 3)).astype(np.uint8)
    (folder / IMAGES).write_bytes(pixels.tobytes())
    meshes = Stream()
    for i, stamp in enumerate(stamps.tolist()):
        if i in dropped:
            continue
        points = template()
        points[:, :2] += rng.normal(0, noise, (68, 2)) if noise else 0
        if motion is not None:
            points[:, :2] = points[:, :2] @ motion(i)[:, :2].T + motion(i)[:, 2]
        meshes.stamps.append(stamp)
        meshes.arrivals.append(stamp + (10 + (i % 10)) * 1_000_000)
        meshes.faces.append(face(stamp, points))
    recording = Recording(
        folder=folder,
        image_shape=size,
        image_stamps=stamps,
        image_arrivals=stamps + 2_000_000,
        meshes=meshes,
        raw=Stream(),
        triangles=np.array([[0, 1, 2]], np.int32),
        coarse_triangles=np.array([[0, 1, 2], [2, 3, 4]], np.int32),
        uv=np.zeros((5, 2), np.float32),
        model_name="test head",
        diagnostics=[
            {"time": 1.0, "name": "face_node", "values": {"track ms": "4.0", "fps": "30"}},
            {"time": 2.0, "name": "face_node", "values": {"track ms": "6.0", "crop ms": "nan"}},
        ],
        best=BestFace(
            10**9,
            np.arange(4, dtype=np.float32),
            np.ones((5, 3), np.float32),
            np.zeros((5, 3), np.float32),
        ),
    )
    return recording, pixels


def test_recording_round_trips_through_files(tmp_path):
    saved, pixels = make_recording(tmp_path / "r", frames=12)
    save_tables(saved)
    loaded = load_recording(tmp_path / "r")
    stamps, images = zip(*loaded.images(), strict=True)
    np.testing.assert_array_equal(np.array(images), pixels)
    np.testing.assert_array_equal(stamps, saved.image_stamps)
    np.testing.assert_array_equal(loaded.image(stamps[7]), pixels[7])
    assert loaded.image(5) is None
    assert loaded.meshes.stamps == saved.meshes.stamps
    assert [f.id for f in loaded.meshes.faces] == ["f1"] * 12
    for name in ("landmarks", "coarse", "params"):
        np.testing.assert_array_equal(
            getattr(loaded.meshes.faces[4], name), getattr(saved.meshes.faces[4], name)
        )
    assert (loaded.model_name, loaded.best.stamp) == ("test head", saved.best.stamp)
    np.testing.assert_array_equal(loaded.best.params, [0, 1, 2, 3])
    assert loaded.raw.faces == []


def test_missing_recording_raises(tmp_path):
    with pytest.raises(TddfaError, match="no recording"):
        load_recording(tmp_path)


def test_counts_rates_and_latency(tmp_path):
    recording, _ = make_recording(tmp_path / "r", dropped=(5, 6, 30))
    numbers = measure(recording, {"face_node": 41.26})
    assert (numbers["frames_in"], numbers["meshes_out"]) == (60, 57)
    assert numbers["drop_rate"] == pytest.approx(3 / 60)
    assert numbers["frame_rate"] == pytest.approx(30, abs=0.01)
    assert numbers["latency_ms"]["p50"] == pytest.approx(14.5, abs=0.6)
    assert numbers["latency_ms"]["max"] == 19
    assert numbers["image_transport_ms"]["p99"] == 2
    assert numbers["stages_ms"] == {"face_node": {"track": 5.0}}
    assert numbers["cpu_percent"] == {"face_node": 41.3}
    json.dumps(numbers)
    text = to_text(numbers, "demo")
    assert "drop rate              5.00%" in text and "p50 14" in text


def test_mesh_without_image_counts_as_frame(tmp_path):
    recording, _ = make_recording(tmp_path / "r", frames=20)
    recording.image_stamps = recording.image_stamps[::2]
    recording.image_arrivals = recording.image_arrivals[::2]
    numbers = measure(recording)
    assert (numbers["frames_in"], numbers["matched_with_image"]) == (20, 10)


def test_empty_recording_has_report(tmp_path):
    recording, _ = make_recording(tmp_path / "r", frames=0)
    numbers = measure(recording)
    assert numbers["drop_rate"] is None and numbers["latency_ms"] is None
    assert "no messages" in to_text(numbers, "demo")


def test_jitter_of_white_noise(tmp_path):
    recording, _ = make_recording(tmp_path / "r", frames=300, noise=0.4)
    jitter = track_jitter(recording.meshes)
    # 2D noise of 0.4 px per axis.
    assert jitter["jitter_px"] == pytest.approx(0.4 * np.sqrt(2), rel=0.03)
    assert jitter["jitter_percent"] == pytest.approx(100 * 0.4 * np.sqrt(2) / 80, rel=0.05)


def camera(i):
    angle, scale = 0.2 * np.sin(i / 20), 1 + 0.2 * np.sin(i / 31)
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[c, -s, 3.0 * i], [s, c, 40 * np.sin(i / 9)]])


def motion_of(recording):
    return {s: invert(camera(i)) for i, s in enumerate(recording.image_stamps.tolist())}


def test_known_motion_is_compensated(tmp_path):
    recording, _ = make_recording(tmp_path / "r", frames=200, motion=camera)
    still = track_jitter(recording.meshes, motion_of(recording))
    assert still["drift_px"] < 0.01 and still["jitter_px"] < 0.01
    assert track_jitter(recording.meshes)["jitter_px"] > 0.1


def test_drift_against_known_motion(tmp_path):
    recording, _ = make_recording(tmp_path / "r", frames=400, noise=0.5, motion=camera)
    jitter = track_jitter(recording.meshes, motion_of(recording))
    mean_scale = 1 / np.mean([1 / np.sqrt(np.linalg.det(camera(i)[:, :2])) for i in range(400)])
    expected = 0.5 * np.sqrt(2) * mean_scale
    assert jitter["drift_px"] == pytest.approx(expected, rel=0.05)
    assert jitter["jitter_px"] == pytest.approx(expected, rel=0.05)


def test_dropped_frames_do_not_count_as_jitter(tmp_path):
    def steady(i):
        return np.array([[1.0, 0, 4.0 * i], [0, 1, 0]])

    recording, _ = make_recording(tmp_path / "r", dropped=(10, 11, 25), motion=steady)
    assert track_jitter(recording.meshes)["jitter_px"] < 0.01


def test_short_track_has_no_jitter(tmp_path):
    recording, _ = make_recording(tmp_path / "r", frames=5)
    assert track_jitter(recording.meshes) is None
    assert "too few frames" in to_text(measure(recording), "demo")
