"""``tddfa makeup`` and ``tddfa tryon`` on the portrait that scikit-image ships."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from support.blobs import read_clip, write_clip

from tddfa_ros.cli import main
from tddfa_ros.makeup.color import to_lab

MOUTH = np.s_[135:155, 205:245]


def test_applies_lipstick_to_a_portrait(astronaut_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    out = tmp_path / "out.png"
    arguments = ["makeup", str(astronaut_path), "-o", str(out), "--preset", "evening"]
    assert main([*arguments, "--set", "lipstick.color=#c00020"]) == 0
    assert f"1 face; written: {out}" in capsys.readouterr().out
    before, after = cv2.imread(str(astronaut_path)), cv2.imread(str(out))
    changed = (before != after).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert rows.min() > 80 and rows.max() < 175 and columns.min() > 170 and columns.max() < 280
    red = to_lab(after)[..., 1] - to_lab(before)[..., 1]
    assert (red[MOUTH] > 15).sum() > 60, "lips"
    # The bright teeth of her smile are not lips.
    teeth = to_lab(before)[MOUTH]
    white = (teeth[..., 0] > 80) & (np.hypot(teeth[..., 1], teeth[..., 2]) < 12)
    assert white.sum() > 20 and np.median(red[MOUTH][white]) < 3
    assert main(arguments) == 2
    assert "exists; --overwrite replaces it" in capsys.readouterr().err
    assert main([*arguments, "--overwrite"]) == 0


def test_processes_folder_and_video(astronaut: np.ndarray, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    cv2.imwrite(str(folder / "face.png"), astronaut)
    cv2.imwrite(str(folder / "empty.png"), np.full((200, 200, 3), 90, np.uint8))
    clip = write_clip(tmp_path / "clip.mp4", [astronaut] * 4)
    out = tmp_path / "out"
    arguments = [
        "makeup",
        str(folder),
        str(clip),
        "-o",
        str(out),
        "--preset",
        "clown",
        "--no-audio",
    ]
    assert main([*arguments, "--strict"]) == 1, "one image shows no face"
    assert sorted(path.name for path in out.iterdir()) == ["clip.mp4", "face.png"]
    frames = read_clip(out / "clip.mp4")[0]
    assert len(frames) == 4
    nose = np.s_[115:130, 220:235]
    plain, painted = (
        to_lab(np.asarray(frame))[nose][..., 1].mean() for frame in (astronaut, frames[-1])
    )
    assert painted > plain + 20, "red nose"


@pytest.mark.parametrize("command", [["makeup"], ["tryon", "--glb", "glasses"]])
def test_uses_given_regressor(
    command: list[str], astronaut_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small, large = tmp_path / "small.png", tmp_path / "large.png"
    arguments = [*command, str(astronaut_path), "-o"]
    assert main([*arguments, str(small)]) == 0
    assert main([*arguments, str(large), "--regressor", "tddfa-mb1"]) == 0
    first, second = cv2.imread(str(small)), cv2.imread(str(large))
    assert (first != second).any(), "the networks differ"
    assert (first != second).any(axis=2).mean() < 0.05
    capsys.readouterr()
    for option in ("--regressor", "--morphable-model"):
        assert main([*arguments, str(tmp_path / "x.png"), option, "nobody"]) == 2
        painted = capsys.readouterr().err
        drawn = ["image", str(astronaut_path), "-o", str(tmp_path / "out"), option, "nobody"]
        assert main(drawn) == 2
        assert painted == capsys.readouterr().err != ""


def test_lists_presets(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["makeup", "--list"]) == 0
    assert {"evening", "natural"} <= set(capsys.readouterr().out.split())


def test_renders_glasses_on_a_portrait(astronaut_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    pytest.importorskip("trimesh", reason="trimesh is not installed")
    glb, out, other = tmp_path / "g.glb", tmp_path / "a.png", tmp_path / "b.png"
    assert main(["tryon", "--glb", "glasses", "--export", str(glb)]) == 0
    given = ["tryon", str(astronaut_path)]
    assert main([*given, "-o", str(out), "--glb", str(glb)]) == 0
    assert main([*given, "-o", str(other), "--glb", "glasses", "--offset", "0,6,0"]) == 0
    before, low, high = (cv2.imread(str(path)) for path in (astronaut_path, out, other))
    places = [np.nonzero((before != image).any(axis=2)) for image in (low, high)]
    assert places[0][0].min() > 75 and places[0][0].max() < 150
    # 6 mm up are about 4 px of this face.
    assert places[0][0].max() - places[1][0].max() == pytest.approx(4, abs=1.5)
    assert np.ptp(places[0][1]) == pytest.approx(110, abs=10)
    capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["makeup"], "are needed"),
        (["makeup", "none.png", "-o", "x.png"], "there is no image or folder 'none.png'"),
        (["makeup", "a.png", "-o", "x.png", "--preset", "nix"], "there is no makeup preset 'nix'"),
        (["makeup", "a.png", "-o", "x.mp4"], "a.png is an image, so the output must be an image"),
        (["makeup", "a.png", "-o", "a.png"], "a.png is an input; choose another output name"),
        (["makeup", "a.png", "b.png", "-o", "x.png"], "the output of 2 inputs must be a folder"),
        (["makeup", "c.mp4", "-o", "x.png"], "the output must end in .mp4"),
        (["makeup", "a.png", "-o", "x.png", "--set", "lipstick=1"], "part.key=value"),
        (["tryon", "a.png", "-o", "x.png"], "Missing option '--glb'"),
        (["tryon", "a.png", "-o", "x.png", "--glb", "n.glb"], "n.glb does not exist"),
        (
            ["tryon", "a.png", "-o", "x.png", "--glb", "hat", "--anchor", "toe"],
            "unknown place 'toe'",
        ),
        (["tryon", "a.png", "-o", "x.png", "--glb", "hat", "--offset", "1,2"], "three numbers"),
        (["tryon", "a.png", "-o", "x.png", "--glb", "hat", "--scale", "-1"], "the scale must be"),
        (["tryon", "--glb", "wig", "--export", "x.glb"], "unknown sample 'wig'"),
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
    for name in ("a.png", "b.png"):
        cv2.imwrite(name, np.full((64, 64, 3), 90, np.uint8))
    Path("c.mp4").write_bytes(b"")
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1
