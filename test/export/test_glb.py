"""GLB files, read by an independent reader and by trimesh."""

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from support.exports import export_face, noise
from support.glb import Glb

from tddfa_ros.errors import CameraError, ConfigError, ModelError, TddfaError
from tddfa_ros.export import FaceAnimation, Mesh, write_glb
from tddfa_ros.export.animation import shortest_way
from tddfa_ros.rendering import Texture

pytest.importorskip("pygltflib", reason="pygltflib is not installed")


def performance(n=4):
    """Return a track of one face that turns and opens its mouth."""
    faces = []
    for i in range(n):
        expression = np.zeros(52)
        expression[20], expression[3] = 0.2 * i, 0.1
        faces.append(
            export_face(yaw_deg=8.0 * i - 10, stamp=5 + i / 30, expression=tuple(expression))
        )
    return faces


def test_face_round_trip(tmp_path):
    face = export_face(25, expression=(0.25, 0, 0.5), seed=3)
    texture = Texture(noise(32, 32), np.ones((32, 32), bool))
    (path,) = write_glb(tmp_path / "deep" / "face.glb", face, texture)
    glb = Glb(path)
    primitive, model = glb.primitive, face.model
    attributes = primitive["attributes"]
    params = face.params.copy()
    params[model.layout.expression_slice] = 0
    np.testing.assert_array_equal(glb.array(attributes["POSITION"]), model.head(params))
    uv = glb.array(attributes["TEXCOORD_0"])
    np.testing.assert_allclose(uv, np.stack([model.uv[:, 0], 1 - model.uv[:, 1]], 1), atol=1e-7)
    triangles = glb.array(primitive["indices"]).reshape(-1, 3)
    np.testing.assert_array_equal(triangles, model.triangles)
    normals = glb.array(attributes["NORMAL"])
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
    assert ((normals * model.mean).sum(1) > 0).mean() > 0.95
    # the texture, bit for bit
    material = glb.json["materials"][primitive["material"]]
    index = material["pbrMetallicRoughness"]["baseColorTexture"]["index"]
    image = glb.json["images"][glb.json["textures"][index]["source"]]
    assert image["mimeType"] == "image/png"
    decoded = cv2.imdecode(np.frombuffer(glb.bytes_of(image["bufferView"]), np.uint8), -1)
    np.testing.assert_array_equal(decoded, texture.image)


def test_expressions_are_named_morph_targets(tmp_path):
    face = export_face(expression=(0.25, 0, 0.5))
    glb = Glb(write_glb(tmp_path / "face.glb", face)[0])
    (mesh,) = glb.json["meshes"]
    model = face.model
    assert tuple(mesh["extras"]["targetNames"]) == model.expression_names
    np.testing.assert_allclose(mesh["weights"], face.expression_coefficients, atol=1e-7)
    targets = [glb.array(t["POSITION"]) for t in glb.primitive["targets"]]
    assert len(targets) == 52
    np.testing.assert_array_equal(np.stack(targets, axis=2), model.expression_basis)
    # what a viewer shows is the face's own head
    shown = glb.array(glb.primitive["attributes"]["POSITION"])
    shown = shown + np.einsum("e,enx->nx", mesh["weights"], targets)
    np.testing.assert_allclose(shown, face.head, atol=1e-6)


def test_keeps_morph_targets_without_displacement(tmp_path):
    from dataclasses import replace

    from tddfa_ros.morphable.model import MorphableModel

    face = export_face()
    values = {
        k: v for k, v in vars(face.model).items() if not k.startswith("_") and k != "topology_id"
    }
    values["expression_basis"] = np.array(face.model.expression_basis)
    values["expression_basis"][:, :, 7] = 0
    names = MorphableModel.__dataclass_fields__
    still = MorphableModel.create(**{k: v for k, v in values.items() if k in names})
    glb = Glb(write_glb(tmp_path / "face.glb", replace(face, model=still))[0])
    assert not glb.array(glb.primitive["targets"][7]["POSITION"]).any()


def test_tracked_faces_become_an_animation(tmp_path):
    faces = performance()
    animation = FaceAnimation.from_faces(faces)
    glb = Glb(write_glb(tmp_path / "face.glb", faces[0], animation=animation)[0])
    (stored,) = glb.json["animations"]
    found = {}
    for channel in stored["channels"]:
        sampler = stored["samplers"][channel["sampler"]]
        assert channel["target"]["node"] == 0 and sampler["interpolation"] == "LINEAR"
        times = glb.array(sampler["input"])[:, 0]
        np.testing.assert_allclose(times, np.arange(4) / 30, atol=1e-6)
        found[channel["target"]["path"]] = glb.array(sampler["output"])
    weights = found["weights"].reshape(4, 52)
    np.testing.assert_allclose(weights, [f.expression_coefficients for f in faces], atol=1e-7)
    for i, face in enumerate(faces):
        # neutral head + weights, placed by the node, is where the camera saw the face (y up, camera along -z)
        head = Rotation.from_quat(found["rotation"][i]).apply(face.head) + found["translation"][i]
        np.testing.assert_allclose(head, face.vertices_metric * [1, -1, -1], atol=1e-5)
    node = glb.json["nodes"][0]
    np.testing.assert_allclose(node["rotation"], found["rotation"][0], atol=1e-7)
    np.testing.assert_allclose(node["translation"], found["translation"][0], atol=1e-7)


def test_static_head_has_no_motion(tmp_path):
    faces = performance()
    animation = FaceAnimation.from_faces(faces, pose=False)
    glb = Glb(write_glb(tmp_path / "face.glb", faces[0], animation=animation)[0])
    (channel,) = glb.json["animations"][0]["channels"]
    assert channel["target"]["path"] == "weights"
    assert "rotation" not in glb.json["nodes"][0]


def test_quaternions_take_the_shorter_arc():
    turns = Rotation.from_rotvec(np.linspace(0, 4 * np.pi, 50)[:, None] * [[0, 1, 0]])
    q = turns.as_quat(canonical=True)
    assert ((q[1:] * q[:-1]).sum(1) < 0).any()
    short = shortest_way(q)
    assert ((short[1:] * short[:-1]).sum(1) > 0).all()
    np.testing.assert_allclose(Rotation.from_quat(short).as_matrix(), turns.as_matrix(), atol=1e-12)


def test_trimesh_reads_the_file(tmp_path):
    trimesh = pytest.importorskip("trimesh", reason="trimesh is not installed")
    pytest.importorskip("PIL", reason="Pillow, with which trimesh reads textures, is not installed")
    face, texture = export_face(), noise(16, 16)
    path = write_glb(tmp_path / "face.glb", face, texture)[0]
    mesh = trimesh.load(path, process=False, force="mesh")
    np.testing.assert_allclose(mesh.vertices, face.model.head(face.params), atol=1e-6)
    np.testing.assert_array_equal(mesh.faces, face.model.triangles)
    np.testing.assert_allclose(mesh.visual.uv, face.model.uv, atol=1e-6)
    shown = np.asarray(mesh.visual.material.baseColorTexture.convert("RGB"))
    np.testing.assert_array_equal(shown[..., ::-1], texture)


def test_mesh_is_written_unchanged(tmp_path):
    mesh = Mesh(np.eye(3, dtype=np.float32), np.array([[0, 1, 2]]))
    glb = Glb(write_glb(tmp_path / "a.glb", mesh)[0])
    assert "targets" not in glb.primitive and "images" not in glb.json
    np.testing.assert_array_equal(glb.array(glb.primitive["attributes"]["POSITION"]), np.eye(3))
    with pytest.raises(ModelError, match="uv"):
        write_glb(tmp_path / "b.glb", mesh, np.zeros((4, 4, 3), np.uint8))


def test_rejects_invalid_animations(tmp_path):
    with pytest.raises(ConfigError, match="at least one"):
        FaceAnimation.from_faces([])
    with pytest.raises(ConfigError, match="times of an animation must increase"):
        FaceAnimation.from_faces([export_face(stamp=1.0), export_face(stamp=1.0)], pose=False)
    with pytest.raises(ConfigError, match="finite rotations"):
        FaceAnimation(np.zeros(1, np.float32), np.zeros((1, 52)), np.zeros((2, 4)))
    short = FaceAnimation(np.zeros(1, np.float32), np.zeros((1, 10), np.float32))
    with pytest.raises(ConfigError, match="10 weights does not fit 52"):
        write_glb(tmp_path / "a.glb", export_face(), animation=short)
    from dataclasses import replace

    with pytest.raises(CameraError):
        FaceAnimation.from_faces([replace(export_face(), intrinsics=None)])
    assert not list(tmp_path.iterdir())


def test_rejects_unwritable_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TddfaError, match="cannot write"):
        write_glb(tmp_path / "file" / "a.glb", export_face())
