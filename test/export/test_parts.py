"""Teeth and eyes of exported heads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.glb import Glb

from tddfa_ros.export import FaceAnimation, write_face_obj, write_glb
from tddfa_ros.export.mesh import face_mesh
from tddfa_ros.export.parts import neutral_parts, posed_parts
from tddfa_ros.face import Face
from tddfa_ros.model_store.store import default_store
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.rendering.irises import IRIS_RADIUS, eyeball_colors, with_eyes
from tddfa_ros.types import Intrinsics


@pytest.fixture(scope="module")
def face() -> Face:
    model = MorphableModel.load(default_store().path("tddfa-head"))
    params = np.zeros(model.layout.size, np.float32)
    params[:12] = np.array([[560, 0, 0, 61], [0, 560, 0, 62], [0, 0, 560, 0]]).ravel()
    params[model.layout.shape_slice] = np.random.default_rng(1).normal(size=model.layout.shape)
    params[model.layout.expression_slice.start + model.expression_names.index("jawOpen")] = 0.5
    roi = np.array([200.0, 120.0, 440.0, 360.0])
    return Face(roi, 1.0, params, roi, model, Intrinsics.from_fov(640, 480))


def test_glb_has_named_teeth_below_the_face(face: Face, tmp_path: Path) -> None:
    glb = Glb(write_glb(tmp_path / "face.glb", face)[0])
    names = [mesh["name"] for mesh in glb.json["meshes"]]
    assert names == ["face", "upper_teeth", "lower_teeth"]
    assert glb.json["nodes"][0]["children"] == [1, 2]
    upper, lower = glb.json["meshes"][1:]
    assert "targets" not in upper["primitives"][0]
    targets = lower["primitives"][0]["targets"]
    names = lower["extras"]["targetNames"]
    assert tuple(names) == face.model.expression_names
    moved = [name for name, t in zip(names, targets, strict=True) if glb.array(t["POSITION"]).any()]
    assert moved == ["jawForward", "jawLeft", "jawOpen", "jawRight"]
    np.testing.assert_allclose(lower["weights"], glb.json["meshes"][0]["weights"])
    for mesh in (upper, lower):
        colors = glb.array(mesh["primitives"][0]["attributes"]["COLOR_0"])
        assert colors.min() >= 0 and colors.max() <= 1
        assert (colors[:, 0] > 0.5).any()


def test_animation_moves_the_lower_teeth_with_the_face(face: Face, tmp_path: Path) -> None:
    weights = np.zeros((2, 52), np.float32)
    weights[1, face.model.expression_names.index("jawOpen")] = 1
    animation = FaceAnimation(np.array([0, 1], np.float32), weights)
    glb = Glb(write_glb(tmp_path / "face.glb", face, animation=animation)[0])
    channels = glb.json["animations"][0]["channels"]
    assert [(c["target"]["node"], c["target"]["path"]) for c in channels] == [
        (0, "weights"),
        (2, "weights"),
    ]


def test_posed_teeth_lie_behind_the_lips_of_the_exported_mesh(face: Face) -> None:
    for units in ("m", "px"):
        mesh = face_mesh(face, units)
        upper, lower = posed_parts(face, mesh)
        lips = face.model.landmarks_of(mesh.vertices)
        scale = np.ptp(mesh.vertices[:, 1]) / np.ptp(face.head[:, 1])
        # Nearer is larger z in both frames.
        assert upper.mesh.vertices[:, 2].max() < lips[61:64, 2].max()
        assert abs(upper.mesh.vertices[:, 0].mean() - lips[[48, 54], 0].mean()) < 0.004 * scale
        above, below = (
            part.mesh.vertices[~part.gums & (part.mesh.vertices[:, 2] > front), 1]
            for part, front in (
                (p, np.quantile(p.mesh.vertices[:, 2], 0.9)) for p in (upper, lower)
            )
        )
        gap = above.min() - below.max()
        closed = [part.mesh.vertices[~part.gums, 1] for part in neutral_parts(face)]
        assert gap > 0.005 * scale
        assert closed[0].min() < closed[1].max()


def test_obj_has_teeth_as_objects_with_materials(face: Face, tmp_path: Path) -> None:
    image = np.full((480, 640, 3), 150, np.uint8)
    path, material, _ = write_face_obj(tmp_path / "a.obj", face, image, texture_size=64)
    lines = path.read_text().splitlines()
    assert [line for line in lines if line.startswith("o ")] == ["o a", "o upper_teeth", "o lower_teeth"]  # fmt: skip
    assert {"usemtl teeth", "usemtl gums"} <= set(lines)
    count = sum(line.startswith("v ") for line in lines)
    assert count == sum(line.startswith("vn ") for line in lines)
    largest = max(
        int(corner.split("/")[0])
        for line in lines
        if line[:2] == "f "
        for corner in line.split()[1:]
    )
    assert largest == count
    assert {"newmtl teeth", "newmtl gums"} <= set(material.read_text().splitlines())


def test_models_without_a_mouth_have_no_teeth() -> None:
    from support.exports import export_face

    assert neutral_parts(export_face()) == []


def test_eyeballs_have_iris_and_pupil_in_front(face: Face) -> None:
    model = face.model
    ball = model.mean[model.regions == model.region_names.index("left_eye")]
    center = (ball.min(axis=0) + ball.max(axis=0)) / 2
    front = ball[:, 2].max()
    at = np.array([[0, 0], [0.6 * IRIS_RADIUS, 0], [2 * IRIS_RADIUS, 0]])
    points = np.column_stack([center[:2] + at, np.full(3, front)])
    pupil, iris, sclera = eyeball_colors(points, ball, np.float32([150, 110, 60]))
    assert pupil.max() < 40
    assert iris[0] > iris[2] + 30  # blue
    assert sclera.min() > 150
    behind = eyeball_colors(np.array([[center[0], center[1], ball[:, 2].min()]]), ball)
    assert behind.min() > 100


def test_painted_eyes_change_the_eyes_only(face: Face) -> None:
    texture = np.full((256, 256, 3), 90, np.uint8)
    painted = with_eyes(texture, face.model)
    changed = (painted != texture).any(axis=2)
    assert 0.001 < changed.mean() < 0.1
    u = face.model.uv[np.isin(face.model.regions, [face.model.region_names.index(n) for n in ("left_eye", "right_eye")])]  # fmt: skip
    rows, columns = np.nonzero(changed)
    assert columns.min() >= 256 * u[:, 0].min() - 4 and columns.max() <= 256 * u[:, 0].max() + 4
    assert rows.min() >= 256 * (1 - u[:, 1].max()) - 4
    from support.synthetic_model import synthetic_model

    assert np.array_equal(with_eyes(texture, synthetic_model()), texture)
