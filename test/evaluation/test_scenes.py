from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tddfa_ros.errors import ConfigError
from tddfa_ros.evaluation.scenes import (
    LEAST_SIDE,
    Scene,
    background,
    detection_boxes,
    objects,
    other_faces,
    scrambled,
    shifted,
)
from tddfa_ros.tracking.association import iou

FACE = np.array([150.0, 100, 250, 200])


def scene(name: str = "a.jpg", others: np.ndarray = FACE[None], size: int = 400) -> Scene:
    return Scene(name, np.zeros((size, size, 3), np.uint8), FACE, others)


def test_background_crops_avoid_faces() -> None:
    others = np.array([FACE, [0, 0, 120, 120]])
    drawn = [background(scene(f"{i}.jpg", others), 3) for i in range(30)]
    squares = np.concatenate(drawn)
    assert len(squares) > 60
    assert not iou(squares, others).any()
    assert squares.min() >= 0 and squares.max() <= 400
    sides = squares[:, 2:] - squares[:, :2]
    np.testing.assert_allclose(sides[:, 0], sides[:, 1])
    assert sides.min() >= LEAST_SIDE and sides.max() <= 200
    np.testing.assert_array_equal(drawn[0], background(scene("0.jpg", others), 3))
    assert not np.array_equal(drawn[0][0], drawn[1][0])


def test_full_image_has_no_background() -> None:
    everything = np.array([[0.0, 0, 400, 400]])
    assert background(scene(others=everything)).shape == (0, 4)
    assert background(scene(others=np.zeros((0, 4)), size=60)).shape == (0, 4)


def test_shifted_rois_are_offset_by_half_their_side() -> None:
    rois = shifted(scene())
    moved = (rois - FACE).reshape(8, 2, 2).mean(axis=1)
    np.testing.assert_allclose(np.hypot(*moved.T), 50)
    np.testing.assert_allclose(sorted(np.degrees(np.arctan2(*moved.T)) % 360), np.arange(8) * 45)
    np.testing.assert_allclose(rois[:, 2] - rois[:, 0], 100)


def test_shifts_onto_other_faces_are_excluded() -> None:
    stranger = FACE + [60, 0, 60, 0]
    rois = shifted(scene(others=np.array([FACE, stranger])))
    assert 0 < len(rois) < 8
    assert (iou(rois, stranger) <= 0.3).all()
    assert shifted(Scene("b", scene().image, None, stranger[None])).shape == (0, 4)


def test_other_faces_exclude_the_labeled_face() -> None:
    detected, stranger = FACE + [5, -5, 5, -5], FACE + [120, 0, 120, 0]
    np.testing.assert_array_equal(
        other_faces(scene(others=np.array([FACE, detected, stranger]))), [stranger]
    )


def test_scramble_permutes_tiles() -> None:
    crop = np.arange(16, dtype=np.uint8).reshape(4, 4).repeat(30, 0).repeat(30, 1)
    crop = np.repeat(crop[..., None], 3, axis=2)
    mixed = scrambled(crop, "a")
    assert mixed.shape == crop.shape
    assert not np.array_equal(mixed, crop)
    tiles = mixed[::30, ::30, 0]
    assert sorted(tiles.ravel()) == list(range(16))
    np.testing.assert_array_equal(mixed[..., 0], tiles.repeat(30, 0).repeat(30, 1))


def test_objects_from_scikit_image() -> None:
    pytest.importorskip(
        "skimage", reason="scikit-image, which carries the images, is not installed"
    )
    images = list(objects())
    assert len(images) > 5
    assert all(len(background(image, 8)) for image in images)


def test_names_unreadable_boxes(tmp_path: Path) -> None:
    path = tmp_path / "boxes.json"
    for content in ("{", "[1]", json.dumps({"a.jpg": [[1, 2, 3]]})):
        path.write_text(content)
        with pytest.raises(ConfigError, match=r"boxes\.json cannot be read"):
            detection_boxes(tmp_path)
    path.write_text(json.dumps({"a.jpg": [[1, 2, 3, 4]], "b.jpg": []}))
    assert {n: b.shape for n, b in detection_boxes(tmp_path).items()} == {
        "a.jpg": (1, 4),
        "b.jpg": (0, 4),
    }
