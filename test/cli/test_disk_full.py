"""Every command on a full disk: one sentence, a non-zero exit code, and no half file under the name of the output."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("onnxruntime")

from support.blobs import write_clip
from support.disk import full_disk

from tddfa_ros.cli import main
from tddfa_ros.sources import demo_camera


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory, astronaut_path: Path) -> Path:
    camera = demo_camera(320, 240)
    images = [camera.read(i / 25).image for i in range(8)]
    return write_clip(tmp_path_factory.mktemp("clip") / "in.mp4", images)


CASES = {
    "video": (["video", "{clip}", "-o", "{out}/a.mp4"], 3000),
    "video lines": (["video", "{clip}", "--jsonl", "{out}/a.jsonl"], 3000),
    "joined lines": (["video", "{clip}", "--jsonl", "{out}/a.jsonl"], -1),
    "image": (["image", "{image}", "-o", "{out}", "--outputs", "mesh"], 1000),
    "image records": (["image", "{image}", "-o", "{out}", "--outputs", "json"], 500),
    "batch": (["batch", "{image}", "-o", "{out}/a.jsonl", "--workers", "1"], 500),
    "edit": (["edit", "{image}", "--set", "age=1", "-o", "{out}/a.png"], 1000),
}


@pytest.mark.parametrize("name", CASES)
def test_full_disk(name: str, clip: Path, astronaut_path: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    arguments, after = CASES[name]
    places = {"clip": clip, "image": astronaut_path, "out": tmp_path}
    command = [argument.format(**places) for argument in arguments]
    if after < 0:  # the parts fit, their join does not
        from tddfa_ros.video import finish

        def join(*_: object) -> None:
            with full_disk(3000):
                lines(*_)

        lines = finish.Finisher.lines
        monkeypatch.setattr(finish.Finisher, "lines", join)
        code = main(command)
    else:
        with full_disk(after):
            code = main(command)
    said = capfd.readouterr().err.splitlines()
    assert code in (1, 2)
    assert sum("cannot write" in line and "File too large" in line for line in said) == 1, said
    assert not any("Traceback" in line for line in said)
    left = [path for path in tmp_path.iterdir() if path.suffix != ".parts"]
    assert left == [], "no half file, and no temporary one"


def test_interrupted_video_is_completed_when_there_is_space(
    clip: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a.jsonl"
    command = ["video", str(clip), "--jsonl", str(out)]
    with full_disk(3000):
        assert main(command) == 2
    assert main(command) == 0
    assert len(out.read_text().splitlines()) == 1 + 8
    assert not (tmp_path / "a.jsonl.parts").exists()
    capfd.readouterr()


def test_stream_ends_with_whole_lines(
    clip: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """``avatar --jsonl`` is written line by line, for readers that follow the file."""
    out = tmp_path / "a.jsonl"
    with full_disk(3000):
        assert main(["avatar", str(clip), "--jsonl", str(out)]) == 2
    assert f"cannot write {out}: File too large" in capfd.readouterr().err
    text = out.read_text()
    assert 0 < len(text) <= 3000 and text.endswith("\n")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_full_standard_output() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tddfa_ros", "models", "list"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (2, "error: No space left on device\n")
