"""Video and mesh files from a recording, without the graph."""

import cv2
import numpy as np
import pytest
from support.synthetic_model import frontal_params, synthetic_model

from tddfa_ros.demo.poster import poster, vertex_colors
from tddfa_ros.demo.recording import IMAGES, BestFace, RecordedFace, Recording, Stream
from tddfa_ros.demo.video import overlay_face, write_textured_mesh, write_video
from tddfa_ros.face import Face, TrackedFace
from tddfa_ros.model_store.store import default_store
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.rendering.model_sheet import region_colors
from tddfa_ros.rendering.protocols import in_regions
from tddfa_ros.sources.image_data import decode
from tddfa_ros.types import Intrinsics

SIZE = (240, 320)


@pytest.fixture
def recording(tmp_path):
    model, frames = synthetic_model(), 20
    roi = np.array([100.0, 60.0, 220.0, 180.0])
    face = TrackedFace(
        box=roi,
        confidence=0.9,
        params=frontal_params(model),
        roi=roi,
        model=model,
        intrinsics=Intrinsics.from_fov(320, 240),
        id="f1",
        stamp=0.0,
        age=3,
    )
    stamps = np.arange(frames, dtype=np.int64) * 33_333_333 + 10**9
    (tmp_path / IMAGES).write_bytes(np.full((frames, *SIZE, 3), 80, np.uint8).tobytes())
    meshes = Stream()
    for stamp in stamps.tolist()[:15]:  # the last five images stay without faces
        meshes.stamps.append(stamp)
        meshes.arrivals.append(stamp)
        meshes.faces.append(
            RecordedFace(stamp, "f1", 0.9, face.params, 0.5, face.landmarks68, face.coarse_vertices)
        )
    return Recording(
        folder=tmp_path,
        image_shape=SIZE,
        image_stamps=stamps,
        image_arrivals=stamps,
        meshes=meshes,
        raw=Stream(),
        triangles=model.triangles,
        coarse_triangles=model.coarse_triangles,
        uv=model.uv,
        model_name=model.name,
        diagnostics=[],
        best=BestFace(int(stamps[4]), face.params, face.vertices_metric, face.vertices),
    )


def test_video_decodes_and_shows_the_faces(recording, tmp_path):
    count, still = write_video(recording, tmp_path / "demo.mp4", 30)
    reader = cv2.VideoCapture(str(tmp_path / "demo.mp4"))
    frames = []
    while True:
        good, frame = reader.read()
        if not good:
            break
        frames.append(frame)
    assert count == len(frames) == 20
    assert reader.get(cv2.CAP_PROP_FPS) == pytest.approx(30, abs=0.1)
    face = np.s_[90:150, 140:180]
    assert np.abs(frames[5][face].astype(int) - 80).mean() > 10
    assert np.abs(frames[18][face].astype(int) - 80).mean() < 4
    assert np.abs(still[face].astype(int) - 80).mean() > 10


def test_overlay_angles_match_parameters(recording):
    np.testing.assert_allclose(overlay_face(recording.meshes.faces[0]).yaw_pitch_roll, 0, atol=1e-3)


def test_exported_mesh_is_upright(recording, tmp_path):
    files = write_textured_mesh(recording, tmp_path / "face.obj", synthetic_model())
    assert [f.name for f in files] == ["face.obj", "face.mtl", "face.png"]
    lines = files[0].read_text().splitlines()
    vertices = np.array([line.split()[1:] for line in lines if line.startswith("v ")], float)
    np.testing.assert_allclose(
        vertices, recording.best.vertices * [1, -1, -1], rtol=1e-5, atol=1e-6
    )
    assert (vertices[:, 2] < 0).all()


def test_no_mesh_without_face(recording, tmp_path):
    recording.best = None
    assert write_textured_mesh(recording, tmp_path / "face.obj", synthetic_model()) == []


def test_poster_layout(recording):
    drawn = np.full((*SIZE, 3), 40, np.uint8)
    sheet = poster(recording, drawn, synthetic_model())
    np.testing.assert_array_equal(sheet[:, :320], drawn)
    for half in (sheet[:120, 320:], sheet[120:, 320:]):
        background = (half == half[0, 0]).all(axis=2).mean()
        assert 0.3 < background < 0.85
    recording.best = None
    assert poster(recording, drawn, synthetic_model()) is drawn


def test_vertices_take_the_color_of_their_texel():
    texture = np.zeros((64, 64, 3), np.uint8)
    texture[:32, :, 2] = 200  # upper half: v > 0.5
    texture[32:, :, 0] = 100
    colors = vertex_colors(texture, np.array([[0.5, 0.9], [0.5, 0.1]], np.float32))
    np.testing.assert_allclose(colors * 255 / 1.15, [[0, 0, 200], [100, 0, 0]], atol=0.5)


def test_mesh_and_poster_show_teeth_and_irises(recording, tmp_path, monkeypatch):
    head_model = MorphableModel.load(default_store().path("tddfa-head"))
    params = frontal_params(head_model)
    params[head_model.layout.expression_slice][head_model.expression_names.index("jawOpen")] = 1
    roi = np.array([100.0, 60.0, 220.0, 180.0])
    face = Face(roi, 0.9, params, roi, head_model, Intrinsics.from_fov(320, 240))
    recording.best = BestFace(recording.best.stamp, params, face.vertices_metric, face.vertices)
    files = write_textured_mesh(recording, tmp_path / "face.obj", head_model)
    objects = [line[2:] for line in files[0].read_text().splitlines() if line.startswith("o ")]
    assert objects == ["face", "upper_teeth", "lower_teeth"]
    texture = decode(files[2].read_bytes(), cv2.IMREAD_COLOR)
    assert np.abs(texture.astype(int) - 80).max() > 60  # irises on the gray image
    drawn = np.full((*SIZE, 3), 40, np.uint8)
    shown = poster(recording, drawn, head_model)
    monkeypatch.setattr("tddfa_ros.demo.poster.posed_parts", lambda *_: [])
    toothless = poster(recording, drawn, head_model)
    changed = np.abs(shown.astype(int) - toothless).max(axis=2) > 40
    for half in (changed[:120], changed[120:]):
        assert 10 < half.sum() < 400
    eye = region_colors(head_model)[in_regions(head_model, ("left_eye",))]
    assert eye.min() < 0.2 < 0.7 < eye.max()
