"""OBJ files, read by an independent reader and by trimesh."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from support.exports import export_face, noise
from support.painted import SIDE, SKIN, face_at

from tddfa_ros.errors import ImageError, ModelError, TddfaError
from tddfa_ros.export import Mesh, face_mesh, write_face_obj, write_obj
from tddfa_ros.rendering import rasterize, uv_texture
from tddfa_ros.rendering.irises import with_eyes


def read(path):
    rows = {"v": [], "vt": [], "vn": [], "f": []}
    other = []
    for line in path.read_text().splitlines():
        key, *values = line.split()
        if key == "f":
            rows["f"].append([[int(i or 0) for i in corner.split("/")] for corner in values])
        elif key in rows:
            rows[key].append([float(v) for v in values])
        else:
            other.append(line)
    return SimpleNamespace(other=other, **{key: np.array(value) for key, value in rows.items()})


@pytest.fixture
def face():
    return export_face()


@pytest.fixture
def image():
    return noise(480, 640)


def test_metric_face_reads_back_with_texture(tmp_path, face, image):
    texture = uv_texture(face, image, 128)
    files = write_obj(tmp_path / "deep" / "face.obj", face, texture)
    assert [f.name for f in files] == ["face.obj", "face.mtl", "face.png"]
    mesh = read(files[0])
    expected = face.vertices_metric * np.array([1, -1, -1], np.float32)
    np.testing.assert_array_equal(mesh.v.astype(np.float32), expected)
    np.testing.assert_array_equal(mesh.vt.astype(np.float32), face.model.uv)
    np.testing.assert_array_equal(mesh.f, np.repeat(face.model.triangles[..., None] + 1, 3, axis=2))
    assert "mtllib face.mtl" in mesh.other and "usemtl face" in mesh.other
    material = files[1].read_text()
    assert "newmtl face" in material and "map_Kd face.png" in material
    np.testing.assert_array_equal(cv2.imread(str(files[2])), texture.image)


@pytest.mark.parametrize("iris", [(150, 110, 60), (60, 120, 90)])
def test_written_mesh_has_the_irises_of_the_image(tmp_path, iris):
    """A head painted with blue or green irises, and rendered: the eyeballs of the written texture have their color."""
    face = face_at()
    model, skin = face.model, np.full((1024, 1024, 3), SKIN, np.uint8)
    painted = with_eyes(skin, model, np.float32(iris))
    raster = rasterize(face.vertices, model.triangles, model.uv, (SIDE, SIDE))
    u, v = raster.values[..., 0] * 1024 - 0.5, (1 - raster.values[..., 1]) * 1024 - 0.5
    image = np.where(raster.mask[..., None], cv2.remap(painted, u, v, cv2.INTER_LINEAR), 128)
    image = image.astype(np.uint8)

    def written(name, **options):
        _, _, png = write_face_obj(
            tmp_path / name, face, image, units="px", texture_size=1024, **options
        )
        return cv2.imread(str(png)).astype(int)

    expected, brown = (with_eyes(skin, model, c).astype(int) for c in (np.float32(iris), None))
    eyes = np.abs(expected - brown).max(axis=2) > 20
    assert eyes.sum() > 100
    assert np.abs(written("seen.obj") - expected)[eyes].mean() < 12
    assert np.abs(brown - expected)[eyes].mean() > 19
    given = written("given.obj", iris=np.float32([30, 30, 200]))
    assert np.median(given[eyes][:, 2]) > 120, "a given color is used instead"


def test_writes_face_with_image_as_texture(tmp_path, face, image):
    one = write_face_obj(tmp_path / "one.obj", face, image, texture_size=64)
    two = write_obj(tmp_path / "two.obj", face, uv_texture(face, image, 64))
    assert one[0].read_text().replace("one", "two") == two[0].read_text()
    assert one[2].read_bytes() == two[2].read_bytes()


def test_surface_faces_outwards_in_both_units(tmp_path, face, image):
    for units in ("m", "px"):
        mesh = read(write_face_obj(tmp_path / f"{units}.obj", face, units=units)[0])
        outward = mesh.v - mesh.v.mean(0)
        assert ((mesh.vn * outward).sum(1) > 0).mean() > 0.97
        # Counter-clockwise from outside: the triangles' own normals agree with those written.
        a, b, c = (mesh.v[mesh.f[:, i, 0] - 1] for i in range(3))
        own = np.cross(b - a, c - a)
        assert ((own * mesh.vn[mesh.f[:, 0, 0] - 1]).sum(1) > 0).mean() > 0.97


def test_pixel_face_stands_upright_on_the_image(tmp_path, face, image):
    mesh = read(write_obj(tmp_path / "face.obj", face_mesh(face, "px", 480))[0])
    np.testing.assert_allclose(mesh.v[:, 0], face.vertices[:, 0], rtol=1e-6)
    np.testing.assert_allclose(mesh.v[:, 1], 479 - face.vertices[:, 1], rtol=1e-5, atol=1e-4)


def test_writes_one_file_without_texture(tmp_path):
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32)
    files = write_obj(tmp_path / "a.obj", Mesh(vertices, np.array([[0, 1, 2]], np.int32)))
    mesh = read(files[0])
    assert len(files) == 1 and "mtllib" not in files[0].read_text()
    np.testing.assert_array_equal(mesh.f, [[[1, 0, 1], [2, 0, 2], [3, 0, 3]]])
    np.testing.assert_array_equal(mesh.vn, [[0, 0, 1]] * 3)


def test_trimesh_reads_the_file(tmp_path, face, image):
    trimesh = pytest.importorskip("trimesh", reason="trimesh is not installed")
    path = write_face_obj(tmp_path / "face.obj", face, image, texture_size=64)[0]
    mesh = trimesh.load(path, process=False, force="mesh")
    np.testing.assert_array_equal(mesh.faces, face.model.triangles)
    np.testing.assert_allclose(mesh.vertices, face.vertices_metric * [1, -1, -1], atol=1e-7)
    np.testing.assert_allclose(mesh.visual.uv, face.model.uv, atol=1e-6)


@pytest.mark.parametrize(
    ("vertices", "triangles", "uv", "words"),
    [
        (np.zeros((3, 2)), np.zeros((1, 3), int), None, "vertices"),
        (np.full((3, 3), np.nan), np.zeros((1, 3), int), None, "NaN"),
        (np.zeros((3, 3)), np.array([[0, 1, 3]]), None, "outside"),
        (np.zeros((3, 3)), np.zeros((1, 4), int), None, "triangles"),
        (np.zeros((3, 3)), np.zeros((1, 3), int), np.zeros((2, 2)), "uv"),
    ],
)
def test_rejects_inconsistent_meshes(vertices, triangles, uv, words):
    with pytest.raises(ModelError, match=words):
        Mesh(vertices, triangles, uv)


def test_rejects_textures_that_do_not_fit(tmp_path, face):
    bare = Mesh(np.eye(3, dtype=np.float32), np.array([[0, 1, 2]]))
    with pytest.raises(ModelError, match="uv"):
        write_obj(tmp_path / "a.obj", bare, np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ImageError, match="uint8"):
        write_obj(tmp_path / "a.obj", face, np.zeros((4, 4, 3), np.float32))
    assert not list(tmp_path.iterdir())


def test_rejects_unwritable_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TddfaError, match="cannot write"):
        write_obj(tmp_path / "file" / "a.obj", Mesh(np.eye(3), np.array([[0, 1, 2]])))
