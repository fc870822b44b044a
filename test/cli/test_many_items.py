"""Runs over many items: a bad item is named, all others are done, and the exit status is 1."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.blobs import write_clip

from tddfa_ros.cli import main

LATIN = os.fsdecode(b"gr\xf6\xdfe")


@pytest.fixture
def folder(tmp_path: Path, astronaut: np.ndarray) -> Path:
    """Images with a face and names of all kinds, and bad ones."""
    place = tmp_path / "in"
    place.mkdir()
    jpeg = cv2.imencode(".jpg", astronaut[:300, 80:380])[1].tobytes()
    (place / "José.jpg").write_bytes(jpeg)
    (place / f"{LATIN}.jpg").write_bytes(jpeg)
    (place / "cut.jpg").write_bytes(jpeg[: len(jpeg) // 2])
    (place / "text.png").write_bytes(b"text")
    return place


@pytest.fixture
def truncated_clip(tmp_path: Path, astronaut: np.ndarray) -> Path:
    """A video of which the first half is there."""
    whole = write_clip(tmp_path / "whole.avi", [astronaut[:, 100:420]] * 12)
    data = whole.read_bytes()
    path = tmp_path / "cut.avi"
    path.write_bytes(data[: len(data) // 2])
    return path


def test_image_reports_and_goes_on(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder.parent / "out"
    assert main(["image", str(folder), "-o", str(out), "--outputs", "obj,json"]) == 1
    captured = capsys.readouterr()
    assert "2 faces in 2 images; 7 files" in captured.out
    assert "cut.jpg is truncated" in captured.err and "text.png cannot be read" in captured.err
    assert "2 of 4 images could not be used" in captured.err
    entries = json.loads((out / "faces.json").read_bytes())["images"]
    names = {os.path.basename(os.fsencode(e["file"])): len(e["faces"]) for e in entries}
    assert names == {"José.jpg".encode(): 1, b"gr\xf6\xdfe.jpg": 1, b"cut.jpg": 0, b"text.png": 0}
    assert {p.name for p in out.glob("*.obj")} == {"José_1.obj", f"{LATIN}_1.obj"}


def test_batch_reports_and_goes_on(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bags = pytest.importorskip("support.bags", reason="the extra [bags] (rosbags) is not installed")
    bag = bags.write_bag(folder.parent / "ride", [np.zeros((240, 320, 3), np.uint8)] * 40)
    (file,) = bag.glob("*.db3")
    data = bytearray(file.read_bytes())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    file.write_bytes(data)
    out = folder.parent / "out.jsonl"
    arguments = ["batch", str(folder), str(bag), str(folder), "-o", str(out), "--workers", "1"]
    assert main(arguments) == 1
    captured = capsys.readouterr()
    for sentence in ("cut.jpg is truncated", "text.png cannot be read", "ride cannot be read"):
        assert sentence in captured.err
    records = [json.loads(line) for line in out.read_bytes().splitlines()]
    failed = [record for record in records if "error" in record]
    assert len(failed) == 5 and sum(len(record["faces"]) for record in records) == 4
    assert f"{len(failed)} of {len(records)} images could not be used" in captured.err


def test_makeup_reports_and_goes_on(
    folder: Path, truncated_clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = folder.parent / "out"
    broken = folder.parent / "broken.mp4"
    broken.write_bytes(b"no video")
    inputs = [str(folder), str(broken), str(truncated_clip)]
    assert main(["makeup", *inputs, "-o", str(out), "--no-audio"]) == 1
    error = capsys.readouterr().err
    assert "broken.mp4 cannot be read" in error and "cut.avi is truncated" in error
    assert "4 of 6 inputs could not be used" in error
    assert {p.name for p in out.iterdir()} == {"José.jpg", f"{LATIN}.jpg", "cut_avi.mp4"}


def test_truncated_video_is_said(truncated_clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = truncated_clip.with_name("out.mp4")
    assert main(["video", str(truncated_clip), "-o", str(out), "--no-audio"]) == 1
    captured = capsys.readouterr()
    assert "cut.avi is truncated: it has" in captured.err
    frames = int(captured.out.split(" in ")[1].split()[0])
    assert 0 < frames < 12 and out.is_file()
    lines = truncated_clip.with_name("out.jsonl")
    assert main(["avatar", str(truncated_clip), "--jsonl", str(lines)]) == 1
    assert "is truncated" in capsys.readouterr().err


def test_video_of_any_name(tmp_path: Path, astronaut: np.ndarray) -> None:
    place = tmp_path / LATIN
    place.mkdir()
    clip = write_clip(tmp_path / "a.mp4", [astronaut[:, 100:420]] * 4).rename(place / f"{LATIN}.mp4")  # fmt: skip
    out = place / f"out_{LATIN}.mp4"
    assert main(["video", str(clip), "-o", str(out), "--jsonl", f"{out}.jsonl"]) == 0
    assert out.stat().st_size > 1000
    assert Path(f"{out}.jsonl").read_bytes().count(b"\n") == 5
    assert {p.name for p in place.iterdir()} == {clip.name, out.name, f"{out.name}.jsonl"}


def test_avatar_shows_an_image(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = folder.parent / "lines.jsonl"
    assert main(["avatar", str(folder / "José.jpg"), "--jsonl", str(lines)]) == 0
    assert [json.loads(line)["id"] for line in lines.read_text().splitlines()] == ["f1"]


def test_progress_bars_stay_out_of_logs(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("cut.jpg", "text.png"):
        (folder / name).unlink()
    assert main(["image", str(folder), "-o", str(folder.parent / "out")]) == 0
    assert capfd.readouterr().err == ""
