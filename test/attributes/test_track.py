"""Attributes averaged over tracks: weights, forgetting, hysteresis, unknown values, and their state."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from support.blobs import write_clip

from tddfa_ros.attributes import (
    AttributeEstimator,
    Attributes,
    AttributeTrack,
    AttributeTracks,
    Expression,
    SmoothedAttributes,
    smoothed_record,
)
from tddfa_ros.attributes.drawing import caption_lines
from tddfa_ros.attributes.expression_classifier import EXPRESSIONS
from tddfa_ros.attributes.track import estimate_weight


def estimate(age: float = 30, spread: float = 6, feminine: float = 0.9, **p: float) -> Attributes:
    years = np.arange(101)
    ages = np.exp(-(((years - age) / spread) ** 2) / 2)
    rest = (1 - sum(p.values())) / (len(EXPRESSIONS) - len(p)) if p else 0.0
    named = {name: p.get(name, rest) for name in EXPRESSIONS} if p else {"neutral": 1.0, **dict.fromkeys(EXPRESSIONS[1:], 0.0)}  # fmt: skip
    expression = Expression(max(named, key=named.__getitem__), MappingProxyType(named))
    return Attributes((ages / ages.sum()).astype(np.float32), feminine, expression)


def face(yaw: float = 0, confidence: float = 1.0, name: str = "f1", stamp: float = 0.0) -> Any:
    return SimpleNamespace(
        yaw_pitch_roll=(yaw, 0.0, 0.0), confidence=confidence, id=name, stamp=stamp
    )


def test_weight_falls_with_angle_expression_and_confidence() -> None:
    neutral = estimate(neutral=1.0).expression
    assert estimate_weight(face(), neutral) == pytest.approx(1)
    assert estimate_weight(face(yaw=-35), neutral) == pytest.approx(0.5)
    assert estimate_weight(face(yaw=60), neutral) == 0
    assert estimate_weight(face(confidence=0.4), neutral) == pytest.approx(0.4)
    assert estimate_weight(face(), estimate(anger=1.0).expression) == pytest.approx(0.1)
    assert estimate_weight(face(), estimate(happiness=1.0).expression) == pytest.approx(0.5)
    assert estimate_weight(face(), None) == pytest.approx(1)


def test_grimace_does_not_move_the_age_of_a_track() -> None:
    track = AttributeTrack()
    for i in range(20):
        before = track.add(estimate(25), 1.0, i / 25)
    assert before.age_known
    for i in range(20, 40):
        after = track.add(estimate(75, spread=9), 0.1, i / 25)
    assert after.attributes.age == pytest.approx(25, abs=5)
    assert after.age_known


def test_grimace_alone_leaves_age_and_gender_unknown() -> None:
    found = AttributeTrack().add(estimate(75, anger=0.9), 0.1, 0.0)
    assert not found.age_known and found.gender == "unknown"
    assert found.expression == "anger"
    assert caption_lines(found)[:2] == ["age unknown", "gender unknown"]
    assert smoothed_record(found)["known"] == {
        "age": False,
        "gender_presentation": "unknown",
        "expression": "anger",
    }


def test_first_good_frame_replaces_frames_without_weight() -> None:
    track = AttributeTrack()
    track.add(estimate(75, feminine=0.1), 0.0, 0.0)
    found = track.add(estimate(25, feminine=0.9), 1.0, 0.04)
    assert found.attributes.age == pytest.approx(25, abs=0.5)
    assert found.gender == "feminine"


def test_wide_age_distribution_is_unknown() -> None:
    assert AttributeTrack().add(estimate(40, spread=12), 1.0, 0.0).age_known
    assert not AttributeTrack().add(estimate(40, spread=20), 1.0, 0.0).age_known


def test_gender_does_not_flicker() -> None:
    """Noise about 0.6: the single estimates change sides, the track does not."""
    rng = np.random.default_rng(0)
    values = np.clip(rng.normal(0.6, 0.15, 200), 0.02, 0.98)
    track = AttributeTrack()
    shown = [track.add(estimate(feminine=float(v)), 1.0, i / 25).gender for i, v in enumerate(values)]  # fmt: skip
    single = values > 0.5
    assert np.count_nonzero(single[1:] != single[:-1]) > 40
    assert sum(a != b for a, b in pairwise(shown)) <= 2
    assert "masculine" not in shown


def test_gender_is_kept_down_to_a_lower_threshold() -> None:
    def shown(values: list[float]) -> list[str]:
        track = AttributeTrack()  # a minute apart: nothing is left of the frame before
        return [track.add(estimate(feminine=v), 1.0, 300.0 * i).gender for i, v in enumerate(values)]  # fmt: skip

    assert shown([0.65]) == ["unknown"]
    assert shown([0.75, 0.65, 0.55, 0.65]) == ["feminine", "feminine", "unknown", "unknown"]
    assert shown([0.75, 0.35, 0.25]) == ["feminine", "unknown", "masculine"]


def test_expression_follows_within_half_a_second() -> None:
    track = AttributeTrack()
    for i in range(10):
        assert track.add(estimate(neutral=0.9), 1.0, i / 25).expression == "neutral"
    one = track.add(estimate(happiness=0.9), 1.0, 10 / 25)
    assert one.expression == "neutral"
    for i in range(11, 23):
        last = track.add(estimate(happiness=0.9), 1.0, i / 25)
    assert last.expression == "happiness"
    assert sum(last.attributes.expression.probabilities.values()) == pytest.approx(1)  # type: ignore[union-attr]


def test_unsure_expression_is_unknown() -> None:
    found = AttributeTrack().add(estimate(sadness=0.4, fear=0.3), 1.0, 0.0)
    assert found.expression == "unknown"
    assert caption_lines(found)[2] == "expression unknown"


def test_models_without_expression() -> None:
    found = AttributeTrack().add(Attributes(estimate().age_probabilities, 0.2, None), 1.0, 0.0)
    assert found.expression is None
    assert caption_lines(found) == ["age 22 to 38", "masculine 0.80"]


def test_tracks_are_separate_and_absent_ones_start_over() -> None:
    tracks = AttributeTracks()
    both = [face(name="f1"), face(name="f2")]
    a, b = tracks.add(both, [estimate(20, feminine=0.9), estimate(60, feminine=0.1)])
    assert (a.gender, b.gender) == ("feminine", "masculine")
    assert b.attributes.age == pytest.approx(60, abs=1)
    tracks.add([face(name="f2", stamp=61)], [estimate(60, feminine=0.1)])
    assert set(tracks.state()) == {"f2"}


def test_restored_state_continues_equally() -> None:
    rng = np.random.default_rng(3)
    frames = [estimate(rng.uniform(20, 60), 8, rng.uniform(), neutral=rng.uniform()) for _ in range(9)]  # fmt: skip
    tracks, copy = AttributeTracks(), AttributeTracks()

    def step(on: AttributeTracks, i: int) -> SmoothedAttributes:
        return on.add([face(stamp=i / 25, yaw=3.0 * i)], [frames[i]])[0]

    for i in range(5):
        step(tracks, i)
    copy.restore(json.loads(json.dumps(tracks.state())))
    for i in range(5, 9):
        assert smoothed_record(step(copy, i)) == smoothed_record(step(tracks, i))
    fresh = AttributeTracks()
    assert smoothed_record(step(fresh, 8)) != smoothed_record(step(tracks, 8))


def alternating_estimator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the network: 20 and 60 years in turn, as a function of the brightness of the frame."""
    pytest.importorskip("onnxruntime")

    def estimate_rois(self: object, image: np.ndarray, rois: np.ndarray) -> dict[str, np.ndarray]:
        old = image[:20, :20].mean() > 100
        one = estimate(60 if old else 20, feminine=0.8 if old else 0.4)
        count = len(rois)
        return {
            "age": np.repeat(one.age_probabilities[None], count, axis=0),
            "feminine": np.full(count, one.feminine, np.float32),
        }

    monkeypatch.setattr(AttributeEstimator, "estimate_rois", estimate_rois)


def portrait_clip(path: Path, astronaut: np.ndarray, count: int) -> Path:
    head = cv2.resize(astronaut[:300, 80:380], (240, 240))
    frames = []
    for i in range(count):
        frame = head.copy()
        frame[:30, :30] = 200 if i % 2 else 0
        frames.append(frame)
    return write_clip(path, frames)


def attributes_of(lines: Path) -> list[dict[str, Any]]:
    frames = map(json.loads, lines.read_text().splitlines())
    return [f["attributes"] for frame in frames for f in frame.get("faces", [])]


def test_video_lines_have_averaged_attributes(
    tmp_path: Path, astronaut: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tddfa_ros.cli import main

    alternating_estimator(monkeypatch)
    clip = portrait_clip(tmp_path / "clip.mp4", astronaut, 12)
    lines = tmp_path / "faces.jsonl"
    arguments = ["video", str(clip), "--jsonl", str(lines), "--overlay", "attributes"]
    assert main([*arguments, "--no-audio"]) == 0
    found = attributes_of(lines)
    assert len(found) >= 11
    ages = np.array([one["age"] for one in found])
    assert 30 < ages[-3:].mean() < 50
    assert np.abs(np.diff(ages[-3:])).max() < 15, "single estimates differ by 40"
    assert len({one["gender_presentation"]["name"] for one in found[-6:]}) == 1
    assert {one["known"]["expression"] for one in found} == {"happiness"}


def test_resumed_video_continues_the_averages(
    tmp_path: Path, astronaut: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tddfa_ros.pipeline import FacePipeline
    from tddfa_ros.video import VideoOptions, annotate_video

    pytest.importorskip("av", reason="runs without PyAV start over")
    alternating_estimator(monkeypatch)
    clip = portrait_clip(tmp_path / "clip.mp4", astronaut, 12)
    pipeline = FacePipeline()

    def run(lines: Path, stop_after: int = 99) -> int:
        seen: list[int] = []
        options = VideoOptions(json=lines, part_frames=4, look_ahead=0, layers=("attributes",))
        summary = annotate_video(
            str(clip), None, pipeline, options, progress=False,
            show=lambda _: seen.append(1) or len(seen) < stop_after,
        )  # fmt: skip
        return summary.resumed

    run(tmp_path / "whole.jsonl")
    run(tmp_path / "stopped.jsonl", 9)
    assert (tmp_path / "stopped.jsonl.parts").exists()
    assert run(tmp_path / "stopped.jsonl") == 8
    assert attributes_of(tmp_path / "stopped.jsonl") == attributes_of(tmp_path / "whole.jsonl")
