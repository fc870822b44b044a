"""PLY files, read by an independent reader."""

import numpy as np
import pytest
from support.exports import export_face, noise

from tddfa_ros.errors import TddfaError
from tddfa_ros.export import Mesh, write_ply
from tddfa_ros.export.mesh import package
from tddfa_ros.rendering.uv_surface import uv_pixels

TYPES = {
    "float": "<f4",
    "double": "<f8",
    "uchar": "u1",
    "int": "<i4",
    "uint": "<u4",
    "short": "<i2",
}

pytest.importorskip("trimesh", reason="trimesh is not installed")


def read_ply(path):
    """Vertex properties (structured array) and triangles of a binary little-endian PLY."""
    content = path.read_bytes()
    head, body = content.split(b"end_header\n", 1)
    lines = head.decode("ascii").splitlines()
    assert lines[:2] == ["ply", "format binary_little_endian 1.0"]
    element, counts, fields, index_types = "", {}, [], None
    for line in lines[2:]:
        words = line.split()
        if words[0] == "element":
            element, counts[words[1]] = words[1], int(words[2])
        elif words[:2] == ["property", "list"]:
            index_types = TYPES[words[2]], TYPES[words[3]]
        elif words[0] == "property" and element == "vertex":
            fields.append((words[2], TYPES[words[1]]))
    vertex = np.frombuffer(body, fields, counts["vertex"])
    row = np.dtype([("n", index_types[0]), ("i", index_types[1], 3)])
    faces = np.frombuffer(body, row, counts["face"], vertex.nbytes)
    assert vertex.nbytes + faces.nbytes == len(body) and (faces["n"] == 3).all()
    return vertex, faces["i"]


def columns(vertex, *names):
    return np.stack([vertex[name] for name in names], axis=1)


def test_face_reads_back_with_colors_and_uv(tmp_path):
    face = export_face(20)
    texture = noise(64, 64)
    (path,) = write_ply(tmp_path / "deep" / "face.ply", face, texture)
    vertex, triangles = read_ply(path)
    np.testing.assert_array_equal(triangles, face.model.triangles)
    expected = face.vertices_metric * np.array([1, -1, -1], np.float32)
    np.testing.assert_allclose(columns(vertex, "x", "y", "z"), expected, atol=1e-7)
    np.testing.assert_allclose(columns(vertex, "s", "t"), face.model.uv, atol=1e-7)
    x, y = uv_pixels(face.model.uv, 64)[:, :2].T.clip(0, 63)
    x0, y0 = np.minimum(np.floor(x), 62).astype(int), np.minimum(np.floor(y), 62).astype(int)
    u, v = (x - x0)[:, None], (y - y0)[:, None]
    pixels = texture.astype(float)
    wanted = (1 - v) * ((1 - u) * pixels[y0, x0] + u * pixels[y0, x0 + 1])
    wanted += v * ((1 - u) * pixels[y0 + 1, x0] + u * pixels[y0 + 1, x0 + 1])
    # OpenCV interpolates in 32nds of a pixel
    error = np.abs(columns(vertex, "blue", "green", "red") - wanted)
    assert np.median(error) < 3 and error.max() < 14
    normals = columns(vertex, "nx", "ny", "nz")
    outward = columns(vertex, "x", "y", "z") - columns(vertex, "x", "y", "z").mean(0)
    assert ((normals * outward).sum(1) > 0).mean() > 0.97


def test_bare_mesh_has_no_colors_and_uv(tmp_path):
    mesh = Mesh(np.eye(3, dtype=np.float32), np.array([[0, 1, 2]]))
    vertex, triangles = read_ply(write_ply(tmp_path / "a.ply", mesh)[0])
    assert {"red", "s"}.isdisjoint(vertex.dtype.names)
    np.testing.assert_array_equal(triangles, [[0, 1, 2]])
    np.testing.assert_array_equal(columns(vertex, "x", "y", "z"), np.eye(3))


def test_failures_are_reported_in_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TddfaError, match="cannot write"):
        write_ply(tmp_path / "file" / "a.ply", export_face())
    with pytest.raises(
        TddfaError,
        match="STEP files require the package no_such_package: pip install no_such_package",
    ):
        package("no_such_package", "STEP files")
