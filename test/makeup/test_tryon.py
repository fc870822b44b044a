from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.painted import PX_PER_MM, changed, face_at, head_model, portrait

from tddfa_ros.errors import ConfigError, ModelError
from tddfa_ros.makeup import (
    Placement,
    TryOn,
    find_place,
    read_object,
    sample_names,
    sample_object,
    write_sample,
)
from tddfa_ros.makeup.samples import sample_anchor

trimesh: Any = pytest.importorskip("trimesh", reason="trimesh is not installed")

GREEN = [20, 220, 20, 255]


def box(tmp_path: Path, size: tuple[float, float, float], color: list[int] = GREEN) -> Path:
    """A box with sides in mm as a GLB file."""
    mesh = trimesh.creation.box(0.001 * np.array(size))
    mesh.visual = trimesh.visual.ColorVisuals(mesh, vertex_colors=color)
    mesh.export(tmp_path / "box.glb")
    return tmp_path / "box.glb"


def extent(mask: np.ndarray) -> tuple[float, float, float, float]:
    """Width, height and middle of what is True."""
    rows, columns = np.nonzero(mask)
    return np.ptp(columns) + 1, np.ptp(rows) + 1, columns.mean(), rows.mean()


def test_millimeters_become_pixels(tmp_path: Path) -> None:
    item = read_object(box(tmp_path, (40, 24, 10)))
    np.testing.assert_allclose(item.size, [40, 24, 10], atol=1e-3)
    face = face_at()
    before = portrait(face)
    on = Placement("nose_bridge", offset=(0, 0, 60), shadow=0)
    width, height, x, y = extent(changed(before, TryOn(face.model, item, on).apply(before, face)))
    assert width == pytest.approx(40 * PX_PER_MM, abs=1.5)
    assert height == pytest.approx(24 * PX_PER_MM, abs=1.5)
    anchor = face.vertices[find_place(face.model, "nose_bridge").corners, :2].mean(axis=0)
    assert (x, y) == pytest.approx(anchor, abs=1.5)


def test_offset_scale_and_rotation(tmp_path: Path) -> None:
    item = read_object(box(tmp_path, (40, 24, 10)))
    face = face_at()
    before = portrait(face)

    def drawn(**changes: Any) -> tuple[float, float, float, float]:
        placement = Placement("nose_bridge", shadow=0, **{"offset": (0, 0, 60), **changes})
        return extent(changed(before, TryOn(face.model, item, placement).apply(before, face)))

    width, height, x, y = drawn()
    moved = drawn(offset=(15, 10, 60))
    assert moved[2] - x == pytest.approx(15 * PX_PER_MM, abs=0.6), "+x is the wearer's left"
    assert moved[3] - y == pytest.approx(-10 * PX_PER_MM, abs=0.6), "+y is up"
    assert drawn(scale=1.5)[:2] == pytest.approx((1.5 * width, 1.5 * height), abs=2)
    assert drawn(rotation=(90, 0, 0))[:2] == pytest.approx((height, width), abs=2), "roll"
    assert drawn(rotation=(0, 90, 0))[:2] == pytest.approx((width, 10 * PX_PER_MM), abs=2), "pitch"
    assert drawn(rotation=(0, 0, 90))[:2] == pytest.approx((10 * PX_PER_MM, height), abs=2), "yaw"


def test_object_rotates_with_the_head(tmp_path: Path) -> None:
    item = read_object(box(tmp_path, (60, 20, 2)))
    for yaw in (0, 60):
        face = face_at(yaw=yaw)
        before = portrait(face)
        placement = Placement("nose_bridge", offset=(0, 0, 80), shadow=0)
        after = TryOn(face.model, item, placement).apply(before, face)
        width = 60 * np.cos(np.deg2rad(yaw)) + 2 * np.sin(np.deg2rad(yaw))
        assert extent(changed(before, after))[0] == pytest.approx(width * PX_PER_MM, abs=2)


def test_head_occludes_surfaces_behind_it(tmp_path: Path) -> None:
    item = read_object(box(tmp_path, (40, 24, 10)))
    face = face_at()
    before = portrait(face)
    for offset, expected in (((0, 0, -80), 0.0), ((0, 0, 60), 1.0), ((85, 0, -120), 0.45)):
        placement = Placement("nose_bridge", offset=offset, shadow=0)
        after = TryOn(face.model, item, placement).apply(before, face)
        share = changed(before, after).sum() / (40 * 24 * PX_PER_MM**2)
        assert share == pytest.approx(expected, abs=0.12), offset


def test_object_is_occluded_on_the_far_side(tmp_path: Path) -> None:
    item = read_object(
        box(tmp_path, (3, 3, 60))
    )  # as the temples of glasses, from the eye to the ear
    face = face_at(yaw=70)
    before = portrait(face)
    shares = []
    for x in (-75, 75):
        placement = Placement("nose_bridge", offset=(x, 10, -50), shadow=0)
        after = TryOn(face.model, item, placement).apply(before, face)
        whole = 3 * (60 * np.sin(np.deg2rad(70)) + 3 * np.cos(np.deg2rad(70))) * PX_PER_MM**2
        shares.append(changed(before, after).sum() / whole)
    assert shares[0] > 0.9, "the person's right is near when the head turns to its left"
    assert shares[1] < 0.2, "its front end may be visible beside the cheek"


def test_lenses_are_transparent() -> None:
    face = face_at()
    before = portrait(face)
    after = TryOn(face.model, sample_object("glasses"), Placement(shadow=0)).apply(before, face)
    for eye in (slice(36, 42), slice(42, 48)):
        x, y = np.rint(face.landmarks68[eye, :2].mean(axis=0)).astype(int)
        old, new = before[y, x].astype(int), after[y, x].astype(int)
        assert 2 < np.abs(new - old).max() < 60, "tinted by the lens"
    touched = changed(before, after)
    width, _, x, _ = extent(touched)
    assert 130 * PX_PER_MM < width < 160 * PX_PER_MM
    assert x == pytest.approx(face.landmarks68[27, 0], abs=1)
    dark = (after.astype(int).sum(axis=2) < 200) & touched
    left, right = dark[:, : int(x)], dark[:, int(x) :]
    assert left.sum() == pytest.approx(right.sum(), rel=0.25) and left.sum() > 500


def test_hat_is_above_the_brows() -> None:
    face = face_at()
    before = portrait(face)
    after = TryOn(face.model, sample_object("hat"), Placement("head_top", shadow=0)).apply(
        before, face
    )
    rows, columns = np.nonzero(changed(before, after))
    assert rows.max() < face.landmarks68[17:27, 1].min()
    assert np.ptp(columns) > 200 * PX_PER_MM
    shaded = TryOn(face.model, sample_object("hat"), Placement("head_top", shadow=0.8)).apply(
        before, face
    )
    middle = int(face.landmarks68[27, 0])
    brim = rows[columns == middle].max()
    below = np.s_[brim + 2 : brim + 8, middle]
    assert shaded[below].mean() < before[below].mean() - 2, "shadow of the brim"


@pytest.mark.parametrize("name", sample_names())
def test_sample_round_trip(tmp_path: Path, name: str) -> None:
    face = face_at()
    before = portrait(face)
    placement = Placement(sample_anchor(name))
    file = write_sample(name, tmp_path / "sample.glb")
    assert file.read_bytes()[:4] == b"glTF"
    direct = TryOn(face.model, sample_object(name), placement).apply(before, face)
    read = TryOn(face.model, read_object(file), placement).apply(before, face)
    assert np.abs(direct.astype(int) - read).mean() < 0.05


def test_textures_base_colors_and_transforms(tmp_path: Path) -> None:
    image = pytest.importorskip(
        "PIL.Image", reason="Pillow, which reads textures, is not installed"
    )
    corners = np.array([[-20, -20, 0], [20, -20, 0], [20, 20, 0], [-20, 20, 0]]) / 1000
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    uv = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    pixels = np.zeros((2, 2, 3), np.uint8)
    pixels[0], pixels[1] = (250, 0, 0), (0, 0, 250)  # red above blue
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=image.fromarray(pixels))
    visual = trimesh.visual.TextureVisuals(uv=uv, material=material)
    scene = trimesh.Scene()
    quad = trimesh.Trimesh(corners, faces, visual=visual, process=False)
    scene.add_geometry(quad, transform=trimesh.transformations.translation_matrix([0, 0.03, 0]))
    scene.export(tmp_path / "quad.glb")
    item = read_object(tmp_path / "quad.glb")
    face = face_at()
    before = portrait(face)
    after = TryOn(face.model, item, Placement(offset=(0, 0, 60), shadow=0)).apply(before, face)
    x, y = face.vertices[find_place(face.model, "nose_bridge").corners, :2].mean(axis=0)
    middle = y - 30 * PX_PER_MM
    above, below = after[int(middle) - 30, int(x)], after[int(middle) + 30, int(x)]
    assert above[2] > 100 > above[0] and below[0] > 100 > below[2]
    assert not changed(before, after)[int(y) + 4, int(x)], "the transform of its node lifts it"


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.obj", b"", "an object must be a .glb or .gltf file, not a.obj"),
        ("none.glb", None, "does not exist"),
        ("a.glb", b"no glTF at all", "is not a GLB file that can be read"),
    ],
)
def test_rejects_invalid_object_files(
    tmp_path: Path, name: str, content: bytes | None, sentence: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError) as caught:
        read_object(tmp_path / name)
    assert sentence in str(caught.value)


def test_rejects_invalid_placements(tmp_path: Path) -> None:
    item = read_object(box(tmp_path, (10, 10, 10)))
    with pytest.raises(ConfigError, match="unknown place 'elbow' on a head: known are nose_bridge"):
        TryOn(head_model(), item, Placement("elbow"))
    with pytest.raises(ConfigError, match="the scale must be"):
        Placement(scale=0)
    with pytest.raises(ConfigError, match="the offset y, mm, must be -1000 to 1000"):
        Placement(offset=(0, 5000, 0))
    with pytest.raises(ConfigError, match="unknown sample 'wig'"):
        sample_object("wig")


def test_rejects_hat_on_model_without_scalp() -> None:
    from dataclasses import fields

    from tddfa_ros.morphable.model import MorphableModel

    own = head_model()
    values = {f.name: getattr(own, f.name) for f in fields(own) if f.name != "topology_id"}
    values["region_names"] = tuple("skin" if n == "scalp" else n for n in own.region_names)
    with pytest.raises(ModelError, match="has no scalp"):
        TryOn(
            MorphableModel.create(half=False, **values), sample_object("hat"), Placement("head_top")
        )
