from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from tddfa_ros.cli import main


@pytest.fixture
def photos(tmp_path: Path, astronaut: np.ndarray) -> Path:
    (tmp_path / "in").mkdir()
    cv2.imwrite(str(tmp_path / "in" / "collins.jpg"), astronaut[:300, 80:380])
    cv2.imwrite(str(tmp_path / "in" / "wall.png"), np.full((90, 90, 3), 127, np.uint8))
    return tmp_path


def test_writes_overlays_of_a_portrait(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["image", str(photos / "in" / "*"), "-o", str(photos / "out"), "--outputs", "pose,json"]  # fmt: skip
    assert main(arguments) == 0
    captured = capsys.readouterr()
    assert captured.out == f"1 face in 2 images; 2 files in {photos / 'out'}\n"
    assert "wall.png: no face was found" in captured.err
    stored = json.loads((photos / "out" / "faces.json").read_text())
    face = stored["images"][0]["faces"][0]
    # Eileen Collins smiles and looks into the camera; the tip of her nose is at (223, 125) in the portrait.
    assert abs(face["yaw"]) < 25 and face["confidence"] > 0.8
    assert face["expression"]["mouthSmileLeft"] > 0.3
    nose = face["landmarks68"][30]
    assert nose[0] == pytest.approx(223 - 80, abs=12) and nose[1] == pytest.approx(125, abs=15)
    assert main([*arguments, "--overwrite", "--strict"]) == 1
    assert main(arguments) == 2
    assert "exists; --overwrite replaces it" in capsys.readouterr().err


def test_rejects_bad_input_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["image", str(tmp_path / "nix.jpg"), "-o", str(tmp_path / "out")]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert captured.err.startswith("error: there is no image or folder")
