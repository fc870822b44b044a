"""GLB files in three.js in a headless browser: parsed content, and a screenshot.

Needs Chromium and three (``npm install three``, in the root of the repository or where ``TDDFA_NODE_MODULES`` points); skipped without.
``TDDFA_BROWSER_IMAGE`` names a file for the image, ``TDDFA_BROWSER_TIMEOUT`` the seconds to wait on a slow machine.
"""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.browser import chromium, show_glb, three_folder
from support.exports import export_face

from tddfa_ros.export import FaceAnimation, write_glb


def test_three_js_renders_texture_expressions_and_animation(
    tmp_path: Path, repo_root: Path
) -> None:
    chromium()
    three = three_folder(repo_root)
    expression = np.zeros(52)
    expression[20] = 0.8
    faces = [export_face(yaw, stamp=i / 2, expression=tuple(expression * i)) for i, yaw in enumerate((0, 30))]  # fmt: skip
    model = faces[0].model
    texture = np.zeros((64, 64, 3), np.uint8)
    texture[:, :32], texture[:, 32:] = (
        (40, 40, 220),
        (220, 120, 30),
    )  # its right half red, its left half blue
    write_glb(tmp_path / "face.glb", faces[0], texture, FaceAnimation.from_faces(faces))
    report, image = show_glb(three, tmp_path)
    if keep := os.environ.get("TDDFA_BROWSER_IMAGE"):
        cv2.imwrite(keep, image)

    assert report["vertices"] == len(model.mean)
    assert report["triangles"] == len(model.triangles)
    names = report["targets"]
    assert sorted(names, key=names.get) == list(model.expression_names)
    assert report["duration"] == pytest.approx(0.5)
    assert report["texture"] == [64, 64]
    # half way through the animation
    np.testing.assert_allclose(report["weights"], 0.4 * np.eye(52)[20], atol=1e-5)
    middle = np.array(report["rotation"])
    np.testing.assert_allclose(np.abs(middle), np.abs(_half_way(faces)), atol=1e-5)
    # drawn: red on the left of the image (the person's right), blue on the right
    shown = image.max(axis=2) > 30
    assert 0.15 < shown.mean() < 0.6
    rows, columns = np.nonzero(shown)
    left, right = columns < np.percentile(columns, 25), columns > np.percentile(columns, 75)
    blue, _, red = image[rows, columns].astype(float).T
    assert (red[left] > 2 * blue[left]).mean() > 0.9
    assert (blue[right] > 2 * red[right]).mean() > 0.9


def _half_way(faces: list) -> np.ndarray:
    """Quaternion between the first and the last pose, normalized as three does."""
    keys = FaceAnimation.from_faces(faces).rotations
    total = keys[0] + keys[-1]
    return total / np.linalg.norm(total)
