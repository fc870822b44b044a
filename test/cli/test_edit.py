"""``tddfa edit`` and ``tddfa transfer`` on the portrait that scikit-image ships."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tddfa_ros.cli import main


def test_list_shows_names_ranges_and_units(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["edit", "--list"]) == 0
    out = capsys.readouterr().out
    assert "jaw_width" in out and "-3 .. 3" in out and "mm" in out
    assert "jawOpen" in out and "0 .. 1.2" in out


def test_edit_writes_image_and_mesh(astronaut_path: Path, tmp_path: Path) -> None:
    image, mesh = tmp_path / "out.png", tmp_path / "head.obj"
    arguments = ["edit", str(astronaut_path), "--set", "jawOpen=.8", "--set", "jaw_width=+2"]
    assert main([*arguments, "-o", str(image), "--obj", str(mesh)]) == 0
    before, after = cv2.imread(str(astronaut_path)), cv2.imread(str(image))
    assert after.shape == before.shape
    changed = np.abs(after.astype(int) - before).max(axis=2) > 10
    rows, columns = np.nonzero(changed)
    assert len(rows) > 500 and rows.max() < 320 and columns.max() < 360
    assert mesh.read_text().count("\nv ") > 16000
    assert mesh.with_suffix(".png").is_file()


def test_transfer_onto_an_image(astronaut_path: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "source.png", tmp_path / "out.png"
    assert main(["edit", str(astronaut_path), "--set", "jawOpen=.9", "-o", str(source)]) == 0
    arguments = ["--source", str(source), "--target", str(astronaut_path), "-o", str(out)]
    assert main(["transfer", *arguments]) == 0
    assert cv2.imread(str(out)).shape == (512, 512, 3)


def test_transfer_of_a_video(astronaut: np.ndarray, astronaut_path: Path, tmp_path: Path) -> None:
    from tddfa_ros.jobs.edit import write_video

    source, out = tmp_path / "source.mp4", tmp_path / "out.mp4"
    assert write_video(source, [astronaut] * 3, 25.0) == 3
    arguments = ["--source", str(source), "--target", str(astronaut_path), "-o", str(out)]
    assert main(["transfer", *arguments, "--relative", "--region", "mouth"]) == 0
    capture = cv2.VideoCapture(str(out))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(25)
    frames = 0
    while capture.grab():
        frames += 1
    assert frames == 3


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["edit"], "an IMAGE is needed"),
        (["edit", "none.png", "--set", "age=1"], "where the result goes"),
        (["edit", "none.png", "-o", "x.png"], "--set says what to change"),
        (["edit", "none.png", "--obj", "x.obj"], "--set says what to change"),
        (["edit", "none.png", "--set", "age=1", "-o", "x.png"], "none.png cannot be read"),
        (["edit", "none.png", "--set", "age", "-o", "x.png"], "name=number"),
        (["edit", "--preview"], "--preview needs -o"),
        (["edit", "a.jpg", "-o", "x.png", "--obj", "x.obj"], "x.png is the name of two outputs"),
        (["transfer", "--source", "a.mp4", "--target", "b.png", "-o", "c.png"], "such as .mp4"),
        (["transfer", "--source", "a.png", "--target", "b.png", "-o", "c.mp4"], "such as .png"),
        (
            ["transfer", "--source", "a.png", "--target", "b.png", "-o", "c.png", "--relative"],
            "is for videos",
        ),
    ],
)
def test_rejects_bad_input_in_one_sentence(
    arguments: list[str],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1


def test_names_image_without_face(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = tmp_path / "empty.png"
    cv2.imwrite(str(empty), np.full((200, 200, 3), 90, np.uint8))
    assert main(["edit", str(empty), "--set", "age=1", "-o", str(tmp_path / "x.png")]) == 2
    assert "there is no face in" in capsys.readouterr().err
