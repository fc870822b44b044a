from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.blobs import read_clip, write_clip

from tddfa_ros.cli import main
from tddfa_ros.sources import demo_camera
from tddfa_ros.video import why_no_window


def test_writes_annotated_video_of_the_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str], astronaut_path: Path) -> None:  # fmt: skip
    camera = demo_camera(320, 240)
    clip = write_clip(tmp_path / "in.mp4", [camera.read(i / 25).image for i in range(8)])
    out, lines = tmp_path / "out.mp4", tmp_path / "out.jsonl"
    arguments = [
        "video",
        str(clip),
        "-o",
        str(out),
        "--jsonl",
        str(lines),
        "--overlay",
        "landmarks",
    ]
    assert main([*arguments, "--smooth", "window", "--window", "3", "--no-audio"]) == 0
    assert f"1 face in 8 frames, 0.32 s; written: {out}, {lines}" in capsys.readouterr().out
    assert len(read_clip(out)[0]) == 8
    records = [json.loads(line) for line in lines.read_text().splitlines()][1:]
    assert [len(r["faces"]) for r in records] == [1] * 8  # from the first frame on
    assert {f["id"] for r in records for f in r["faces"]} == {"f1"}
    assert main(arguments) == 2
    assert "exists; --overwrite" in capsys.readouterr().err


def test_annotates_the_virtual_camera(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tddfa_ros.sources.virtual_camera.PERIOD", 0.2)
    out, lines = tmp_path / "out.mp4", tmp_path / "out.jsonl"
    arguments = [
        "video",
        "demo",
        "-o",
        str(out),
        "--jsonl",
        str(lines),
        "--camera-size",
        "320",
        "240",
    ]
    assert main([*arguments, "--overlay", "landmarks"]) == 0
    assert "1 face in 6 frames, 0.20 s" in capsys.readouterr().out
    assert [image.shape for image in read_clip(out)[0]] == [(240, 320, 3)] * 6
    times = [json.loads(line)["time"] for line in lines.read_text().splitlines()[1:]]
    assert times == pytest.approx([i / 30 for i in range(6)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.jsonl", "out.mp4"]


@pytest.mark.skipif(why_no_window() is None, reason="this machine can show a window")
def test_missing_display_and_output_gives_a_hint(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["video", "0"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and error.endswith("; give -o to write a video\n")


def test_rejects_missing_video(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["video", "nix.mp4", "-o", str(tmp_path / "o.mp4")]) == 2
    assert "nix.mp4" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
