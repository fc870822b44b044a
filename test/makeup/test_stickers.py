from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from support.painted import PX_PER_MM, changed, face_at, head_model, portrait

from tddfa_ros.errors import ConfigError, ImageError
from tddfa_ros.makeup import Makeup, MakeupPreset, Sticker, find_place
from tddfa_ros.makeup.color import to_lab
from tddfa_ros.makeup.stickers import place_sticker


@pytest.fixture
def two_colors(tmp_path: Path) -> Path:
    """Left half red, right half green; the upper quarter transparent."""
    image = np.zeros((80, 80, 4), np.uint8)
    image[:, :40], image[:, 40:] = (40, 40, 220, 255), (40, 200, 40, 255)
    image[:20, :, 3] = 0
    cv2.imwrite(str(tmp_path / "two.png"), image)
    return tmp_path / "two.png"


def with_sticker(sticker: Sticker, **pose: float) -> tuple[np.ndarray, np.ndarray]:
    face = face_at(**pose)
    before = portrait(face)
    return before, Makeup(face.model, MakeupPreset(stickers=(sticker,))).apply(before, face)


def test_sticker_size_and_orientation(two_colors: Path) -> None:
    before, after = with_sticker(Sticker(two_colors, "forehead", size=30))
    rows, columns = np.nonzero(changed(before, after))
    # 30 mm wide; of the height of 30 mm the upper quarter is transparent, and the forehead slopes back.
    assert np.ptp(columns) == pytest.approx(30 * PX_PER_MM, rel=0.08)
    assert 0.55 * 30 * PX_PER_MM < np.ptp(rows) < 0.85 * 30 * PX_PER_MM
    x, y = find_place(head_model(), "forehead").on(face_at().vertices)[:2]
    assert columns.mean() == pytest.approx(x, abs=2)
    assert rows.min() > y - 0.3 * 30 * PX_PER_MM, "the transparent part is the upper one"
    lab = to_lab(after)
    row = int(y) + 8
    assert lab[row, int(x) - 12, 1] > 25 and lab[row, int(x) + 12, 1] < -20, "red is on the left"


def test_rotation_and_opacity(two_colors: Path) -> None:
    x, y = find_place(head_model(), "forehead").on(face_at().vertices)[:2]
    before, after = with_sticker(Sticker(two_colors, "forehead", size=30, rotate=90))
    lab = to_lab(after)
    # Counter-clockwise by a quarter: what was on the left is below.
    assert lab[int(y) + 12, int(x) + 8, 1] > 25 and lab[int(y) - 12, int(x) + 8, 1] < -20
    _, faint = with_sticker(Sticker(two_colors, "forehead", size=30, rotate=90, opacity=0.3))
    assert (
        1
        < np.abs(faint.astype(int) - before).max()
        < 0.6 * np.abs(after.astype(int) - before).max()
    )
    assert (with_sticker(Sticker(two_colors, "forehead", opacity=0))[1] == before).all()


def test_sticker_keeps_skin_shading(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "plain.png"), np.full((32, 32, 3), (60, 160, 60), np.uint8))
    before, after = with_sticker(Sticker(tmp_path / "plain.png", "forehead", size=60))
    touched = cv2.erode(changed(before, after).astype(np.uint8), np.ones((7, 7))) > 0
    old, new = (to_lab(image)[..., 0][touched] for image in (before, after))
    assert touched.sum() > 5000
    assert np.corrcoef(old, new)[0, 1] > 0.98


def test_place_by_uv(two_colors: Path) -> None:
    u, v = find_place(head_model(), "nose_tip").on(head_model().uv)
    named = with_sticker(Sticker(two_colors, "nose_tip", size=12))[1]
    given = with_sticker(Sticker(two_colors, f"{u},{v}", size=12))[1]
    assert np.abs(named.astype(int) - given).mean() < 0.05


def test_sticker_as_uv_texture(tmp_path: Path) -> None:
    """Left of the middle of the texture is the person's right: the left of a frontal image."""
    texture = np.zeros((64, 64, 4), np.uint8)
    texture[:, :32] = (220, 60, 40, 255)
    cv2.imwrite(str(tmp_path / "uv.png"), texture)
    before, after = with_sticker(Sticker(tmp_path / "uv.png", "uv"))
    touched = changed(before, after)
    middle = face_at().landmarks68[30, 0]
    left, right = touched[150:300, : int(middle) - 4], touched[150:300, int(middle) + 4 :]
    assert left.sum() > 5000
    assert right.sum() < 0.02 * left.sum()


def test_sticker_is_occluded_on_the_far_side(two_colors: Path) -> None:
    before, after = with_sticker(Sticker(two_colors, "left_cheek", size=20), yaw=75)
    near = with_sticker(Sticker(two_colors, "right_cheek", size=20), yaw=75)[1]
    assert changed(before, near).sum() > 400
    assert changed(before, after).sum() < 10


def test_sticker_is_downscaled_against_aliasing(tmp_path: Path) -> None:
    """Black and white lines far finer than a pixel come out gray, not as moire."""
    lines = np.zeros((1024, 1024, 3), np.uint8)
    lines[:, ::2] = 255
    cv2.imwrite(str(tmp_path / "lines.png"), lines)
    _, after = with_sticker(Sticker(tmp_path / "lines.png", "forehead", size=40))
    x, y = find_place(head_model(), "forehead").on(face_at().vertices)[:2]
    part = after[int(y) - 15 : int(y) + 15, int(x) - 15 : int(x) + 15].astype(float)
    assert np.abs(np.diff(part, axis=1)).max() < 20


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("elbow", "the place of a sticker must be a name (nose_bridge, "),
        ("0.5", "or u,v in the UV square, not '0.5'"),
        ("0.999,0.5", "has no surface at u,v = 0.999,0.5"),
    ],
)
def test_rejects_unknown_places(two_colors: Path, place: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        place_sticker(head_model(), Sticker(two_colors, place))
    assert sentence in str(caught.value)


def test_rejects_invalid_sticker_images(tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    with pytest.raises(ImageError, match="cannot be read as an image"):
        place_sticker(head_model(), Sticker(broken))
    with pytest.raises(ImageError, match="cannot be read"):
        place_sticker(head_model(), Sticker(tmp_path / "none.png"))
    cv2.imwrite(str(tmp_path / "large.png"), np.zeros((2100, 8), np.uint8))
    with pytest.raises(ImageError, match="larger than 2048 px"):
        place_sticker(head_model(), Sticker(tmp_path / "large.png"))


def test_gray_and_opaque_images(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "gray.png"), np.full((16, 16), 200, np.uint8))
    placed = place_sticker(head_model(), Sticker(tmp_path / "gray.png"))
    assert placed.image.shape == (16, 16, 4)
    assert placed.image[3, 3].tolist() == [200, 200, 200, 1]
