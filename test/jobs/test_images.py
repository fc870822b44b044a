from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx", reason="needed to build the network under test")

from support.blobs import blob_image, blob_pipeline

from tddfa_ros.errors import ConfigError, ModelError, TddfaError
from tddfa_ros.jobs import groups, images
from tddfa_ros.jobs.images import ImageOptions, process_images
from tddfa_ros.outputs import face_from_record, find_images, registry
from tddfa_ros.outputs.records import face_record, intrinsics_from_record
from tddfa_ros.outputs.registry import OUTPUTS
from tddfa_ros.pipeline import FacePipeline
from tddfa_ros.types import RealArray

MAPS_AND_MESHES = ("depth", "pncc", "parsing", "uv_texture", "uv_position", "obj", "ply", "glb")


@pytest.fixture(scope="module")
def pipe(tmp_path_factory: pytest.TempPathFactory) -> FacePipeline:
    return blob_pipeline(tmp_path_factory.mktemp("models"))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, image in (
        ("left.png", blob_image(50)),
        ("right.png", blob_image(110)),
        ("empty.png", np.zeros((120, 160, 3), np.uint8)),
    ):
        cv2.imwrite(str(folder / name), image)
    (folder / "broken.jpg").write_bytes(b"broken")
    return folder


def process(pipe: FacePipeline, photos: Path, out: Path, *outputs: str, **changes: object):
    said: list[str] = []
    options = ImageOptions(outputs=outputs, **changes)
    found = find_images([photos])
    return process_images(found, out, pipe, options, progress=False, on_message=said.append), said


def middle(image: RealArray) -> float:
    """Return the mean column of all pixels that are not black."""
    return float(np.nonzero(np.asarray(image).max(axis=2) > 60)[1].mean())


def test_files_and_numbers_of_a_folder(pipe: FacePipeline, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    summary, said = process(pipe, photos, out, "landmarks", "mesh", "pose", "json")
    assert (summary.images, summary.faces, len(summary.files)) == (3, 2, 7)
    assert [p.name for p in summary.failed] == ["broken.jpg"]
    assert [p.name for p in summary.without_face] == ["empty.png"]
    assert len(said) == 2 and "broken.jpg cannot be read as an image" in said[0]
    assert said[1].endswith("empty.png: no face was found")
    made = {p.name for p in out.iterdir()}
    drawn = {f"{n}_{o}.jpg" for n in ("left", "right") for o in ("landmarks", "mesh", "pose")}
    assert made == drawn | {"faces.json"}
    for name, x in (("left", 50), ("right", 110)):
        for kind in ("landmarks", "mesh"):
            image = cv2.imread(str(out / f"{name}_{kind}.jpg"))
            assert image.shape == (120, 160, 3)
            changed = np.abs(image.astype(int) - blob_image(x)) > 40
            assert np.nonzero(changed)[1].mean() == pytest.approx(x, abs=4)


def test_json_holds_all_fields(pipe: FacePipeline, photos: Path, tmp_path: Path) -> None:
    process(pipe, photos, tmp_path / "out", "json")
    stored = json.loads((tmp_path / "out" / "faces.json").read_text())
    assert stored["format"] == "tddfa-images-1"
    assert stored["model"]["topology_id"] == pipe.model.topology_id
    assert stored["model"]["expression_names"] == list(pipe.model.expression_names)
    entries = {Path(entry["file"]).name: entry for entry in stored["images"]}
    assert set(entries) == {"left.png", "right.png", "empty.png", "broken.jpg"}
    assert "cannot be read" in entries["broken.jpg"]["error"]
    assert entries["empty.png"]["faces"] == [] and entries["empty.png"]["error"] is None
    entry = entries["right.png"]
    assert (entry["width"], entry["height"]) == (160, 120)
    face = pipe(blob_image(110))[0]
    record = entry["faces"][0]
    np.testing.assert_array_equal(np.array(record["landmarks68"], np.float32), face.landmarks68)
    np.testing.assert_array_equal(
        np.array(record["landmarks_metric"], np.float32), face.landmarks_metric
    )
    np.testing.assert_allclose(
        [record["yaw"], record["pitch"], record["roll"]], face.yaw_pitch_roll
    )
    np.testing.assert_array_equal(record["head_pose"]["position"], face.head_pose.position)
    np.testing.assert_array_equal(np.array(record["pose"], np.float32), face.pose)
    assert record["expression"] == pytest.approx(dict(face.expression), rel=1e-6)
    again = face_from_record(record, pipe.model, intrinsics_from_record(entry["camera"]))
    np.testing.assert_array_equal(again.vertices_metric, face.vertices_metric)


def test_record_without_camera(pipe: FacePipeline) -> None:
    face = face_from_record(face_record(pipe(blob_image(80))[0]), pipe.model)
    record = face_record(face)
    assert record["head_pose"] is None and record["landmarks_metric"] is None
    json.dumps(record, allow_nan=False)


def test_overlapped_run_writes_the_files_of_a_serial_one(
    pipe: FacePipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(12):  # more than a group, with a bad file in the middle
        cv2.imwrite(str(folder / f"{number}.png"), blob_image(30 + 8 * number))
    (folder / "6.png").write_bytes(b"broken")
    _, said = process(pipe, folder, tmp_path / "overlapped", "landmarks", "json")
    assert len(said) == 1 and "6.png cannot be read as an image" in said[0]

    monkeypatch.setattr(groups, "GROUP_SIZE", 1)
    monkeypatch.setattr(images, "map_behind", lambda function, items, _: map(function, items))
    _, said_serially = process(pipe, folder, tmp_path / "serial", "landmarks", "json")
    assert said_serially == said
    overlapped, serial = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("overlapped", "serial")
    )
    assert len(serial) == 12
    assert list(overlapped) and overlapped == serial


def test_low_confidence_faces_are_skipped(pipe: FacePipeline, photos: Path, tmp_path: Path) -> None:
    summary, _ = process(pipe, photos, tmp_path / "out", "mesh", min_confidence=1.0)
    assert summary.faces == 0 and len(summary.without_face) == 3
    assert not (tmp_path / "out").exists()


def test_does_not_overwrite_files(pipe: FacePipeline, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process(pipe, photos, out, "mesh")
    before = (out / "left_mesh.jpg").read_bytes()
    (out / "left_mesh.jpg").write_bytes(b"mine")
    with pytest.raises(ConfigError, match=r"left_mesh\.jpg exists; --overwrite"):
        process(pipe, photos, out, "landmarks", "mesh")
    assert not (out / "left_landmarks.jpg").exists()
    process(pipe, photos, out, "pose")  # other files are ignored
    process(pipe, photos, out, "mesh", overwrite=True)
    assert (out / "left_mesh.jpg").read_bytes() == before


def test_does_not_write_into_input_folder(pipe: FacePipeline, photos: Path) -> None:
    with pytest.raises(ConfigError, match="choose another folder"):
        process(pipe, photos, photos, "mesh", overwrite=True)


def test_rejects_unknown_output(pipe: FacePipeline, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown output 'hat': known are landmarks, mesh"):
        process(pipe, photos, tmp_path / "out", "hat")
    assert not (tmp_path / "out").exists()


def test_failing_image_does_not_stop_the_run(
    pipe: FacePipeline, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_obj = registry.write_obj

    def disk_full(path: Path, *arguments: object, **options: object) -> list[Path]:
        if path.name.startswith("left"):
            raise TddfaError(f"cannot write {path}: No space left on device")
        return write_obj(path, *arguments, **options)

    monkeypatch.setattr(registry, "write_obj", disk_full)
    summary, said = process(pipe, photos, tmp_path / "out", "obj", "json")
    assert [p.name for p in summary.failed] == ["broken.jpg", "left.png"]
    assert any("left.png: cannot write" in line and "No space" in line for line in said)
    made = {p.name for p in (tmp_path / "out").iterdir()}
    assert made == {"faces.json", "right_1.obj", "right_1.mtl", "right_1.png"}
    stored = json.loads((tmp_path / "out" / "faces.json").read_text())["images"]
    errors = {Path(entry["file"]).name: entry["error"] for entry in stored}
    assert "No space" in errors["left.png"] and errors["right.png"] is None


def test_failure_of_the_run_leaves_no_json(
    pipe: FacePipeline, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tddfa_ros.jobs.images.face_record", interrupted)
    with pytest.raises(KeyboardInterrupt):
        process(pipe, photos, tmp_path / "out", "json")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("name", ["José 顔.png", os.fsdecode(b"gr\xf6\xdfe.png"), "a b\n#c.png"])
def test_every_file_name_works(pipe: FacePipeline, tmp_path: Path, name: str) -> None:
    photo = tmp_path / "in" / name
    photo.parent.mkdir()
    photo.write_bytes(cv2.imencode(".png", blob_image(50))[1].tobytes())
    out = tmp_path / "out"
    summary, said = process(pipe, photo.parent, out, "obj", "ply", "glb", "mesh", "json")
    assert said == [] and summary.faces == 1 and len(summary.files) == 7
    assert all(path.stat().st_size > 0 for path in summary.files)
    stored = json.loads((out / "faces.json").read_bytes())
    (entry,) = stored["images"]
    assert os.fsencode(entry["file"]) == os.fsencode(photo)
    assert all((out / file).is_file() for files in entry["files"].values() for file in files)
    stem = os.fsencode(photo.stem)
    lines = (out / f"{photo.stem}_1.obj").read_bytes().split(b"\nv ")[0]
    if b"\n" not in stem:
        assert b"mtllib " + stem + b"_1.mtl\n" in lines
        material = (out / f"{photo.stem}_1.mtl").read_bytes()
        assert b"map_Kd " + stem + b"_1.png" in material
    assert lines.count(b"\n") == 2, "a line break in a name does not make a line"


@pytest.mark.parametrize("name", MAPS_AND_MESHES)
def test_maps_and_meshes(pipe: FacePipeline, photos: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    summary, _ = process(pipe, photos, out, name)
    expected = {f"{n}{ending}" for n in ("left", "right") for ending in OUTPUTS[name].endings}
    assert {p.name for p in out.iterdir()} == expected
    assert len(summary.files) == len(expected)
    assert all(p.stat().st_size > 0 for p in out.iterdir())
    if name == "depth":
        depth = np.load(out / "right_depth.npy")
        assert depth.dtype == np.float32 and depth.shape == (120, 160)
        assert np.nonzero(np.isfinite(depth))[1].mean() == pytest.approx(110, abs=4)
    if name == "pncc":
        assert middle(cv2.imread(str(out / "right_pncc.png"))) == pytest.approx(110, abs=6)
    if name == "parsing":
        classes = cv2.imread(str(out / "right_parsing.png"), cv2.IMREAD_UNCHANGED)
        assert classes.shape == (120, 160) and len(np.unique(classes)) >= 3
    if name == "uv_position":
        positions = np.load(out / "right_1_uv_position.npy")
        assert positions.shape == (256, 256, 3) and positions.dtype == np.float32


def test_maps_of_the_network(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    pipe = blob_pipeline(folder, maps=True)
    image = blob_image(50)
    image[image[..., 0] > 128] = (100, 100, 250)  # the third class of the tiny network
    cv2.imwrite(str(photos / "left.png"), image)
    names = ("network_parsing", "network_uv_position", "json")
    summary, _ = process(pipe, photos, tmp_path / "out", *names)
    expected = {f"{n}{e}" for n in ("left", "right") for o in names[:2] for e in OUTPUTS[o].endings}
    assert {p.name for p in summary.files} == {*expected, "faces.json"}
    classes = cv2.imread(str(tmp_path / "out/left_network_parsing.png"), cv2.IMREAD_UNCHANGED)
    inside = image[..., 2] > 128
    assert classes.dtype == np.uint8 and (classes[inside] == 2).mean() > 0.95
    assert (classes[~inside] > 0).mean() < 0.03, "within a cell of the border"
    positions = np.load(tmp_path / "out/left_1_network_uv_position.npy")
    (face,) = pipe(image)
    side = face.roi[2] - face.roi[0]
    covered = positions.any(axis=2)
    assert positions.shape == (8, 8, 3) and 0 < covered.sum() <= 64
    point = [face.roi[0] + side * 30 / 120, face.roi[1] + side * 20 / 120]
    np.testing.assert_allclose(positions[covered][:, :2].mean(axis=0), point, atol=0.01)


def test_rejects_maps_of_a_network_without_heads(
    pipe: FacePipeline, photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"tiny.onnx has no output parsing or uv_position: use"):
        process(pipe, photos, tmp_path / "out", "network_parsing")
    assert not (tmp_path / "out").exists(), "nothing is written"
