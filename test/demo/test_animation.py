"""The animation of the README, small: two tracked people in every frame."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("onnxruntime")
pytest.importorskip("matplotlib")
pytest.importorskip("skimage")

ROOT = Path(__file__).resolve().parents[2]


def test_small_animation(tmp_path: Path) -> None:
    out, sheet = tmp_path / "small.webp", tmp_path / "sheet.png"
    script = ROOT / "scripts" / "make_demo_animation.py"
    command = [sys.executable, str(script), "--output", str(out), "--sheet", str(sheet)]
    done = subprocess.run(
        [*command, "--frames", "3", "--width", "320"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "3 frames, 6 faces" in done.stderr
    with Image.open(out) as animation:
        assert (animation.n_frames, animation.size, animation.info["loop"]) == (3, (320, 180), 0)
        shown = np.asarray(animation.convert("RGB"))
    assert shown.std() > 20
    with Image.open(sheet) as tiles:
        assert tiles.size == (4 * 320, 3 * 180)
