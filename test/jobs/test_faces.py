from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.work import name_unless_deadly

from tddfa_ros.config import load_config
from tddfa_ros.errors import ConfigError, ModelError
from tddfa_ros.jobs.faces import _processed, detect_faces_parallel, detect_lines_parallel
from tddfa_ros.jobs.results import ImageFaces, as_record
from tddfa_ros.model_store.store import default_store
from tddfa_ros.outputs import face_record
from tddfa_ros.pipeline import FacePipeline

CONFIG = load_config({"regression": {"device": "cpu"}})


@pytest.fixture(scope="module")
def results(
    astronaut_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, ImageFaces]:
    """Return results by file name: a portrait, its mirror image, a gray wall, and two unreadable files."""
    folder = tmp_path_factory.mktemp("images")
    portrait = cv2.imread(str(astronaut_path), cv2.IMREAD_COLOR)
    cv2.imwrite(str(folder / "portrait.png"), portrait)
    cv2.imwrite(str(folder / "mirrored.png"), portrait[:, ::-1])
    cv2.imwrite(str(folder / "wall.png"), np.full((64, 64, 3), 90, np.uint8))
    (folder / "noise.png").write_bytes(b"noise")
    names = ["portrait.png", "noise.png", "mirrored.png", "missing.png", "wall.png"]
    found = list(detect_faces_parallel([folder / name for name in names], CONFIG, workers=2))
    assert [image.path for image in found] == [folder / name for name in names]
    return {image.path.name: image for image in found}


def test_faces_match_the_pipeline(results: dict[str, ImageFaces], astronaut: np.ndarray) -> None:
    (wanted,) = FacePipeline(CONFIG)(astronaut)
    (found,) = results["portrait.png"].faces
    np.testing.assert_allclose(found.landmarks68, wanted.landmarks68, atol=1e-3)
    np.testing.assert_allclose(found.box, wanted.box)
    np.testing.assert_allclose(found.head_pose.position, wanted.head_pose.position, rtol=1e-5)
    (mirrored,) = results["mirrored.png"].faces
    nose, other = wanted.landmarks68[30], mirrored.landmarks68[30]
    assert abs(511 - other[0] - nose[0]) < 3 and abs(other[1] - nose[1]) < 3


def test_unreadable_files_do_not_affect_others(results: dict[str, ImageFaces]) -> None:
    for name, reason in (("noise.png", "cannot be read as an image"), ("missing.png", "No such")):
        assert f"{name} cannot be read" in results[name].error and reason in results[name].error
        assert results[name].faces == ()
    assert results["wall.png"].error is None and results["wall.png"].faces == ()
    assert results["wall.png"].device_warnings == ()  # device="cpu": no GPU warnings


def test_record_is_plain_json(results: dict[str, ImageFaces]) -> None:
    record = json.loads(json.dumps(as_record(results["portrait.png"])))
    (face,) = record["faces"]
    (true,) = results["portrait.png"].faces
    assert set(record) == {"image", "faces"}
    np.testing.assert_allclose(face["landmarks68"], true.landmarks68, atol=6e-4)
    angles = [face["yaw"], face["pitch"], face["roll"]]
    np.testing.assert_allclose(angles, true.yaw_pitch_roll, atol=6e-4)
    np.testing.assert_array_equal(np.float32(face["params"]), true.params)
    assert face == face_record(true)
    assert len(face["expression"]) == 52 and 0 <= face["confidence"] <= 1
    failed = as_record(results["noise.png"])
    assert failed["faces"] == [] and failed["error"].endswith("cannot be read as an image")


def test_lines_equal_records_of_the_pipeline(astronaut_path: Path, astronaut: np.ndarray) -> None:
    config = load_config(
        {"regression": {"device": "cpu"}, "camera": {"interpupillary_distance": 0.055}}
    )
    missing = astronaut_path.with_name("missing.png")
    line, failed = detect_lines_parallel([astronaut_path, missing], config, workers=1)
    record = json.loads(line.text)
    assert (line.faces, line.error, record["image"]) == (1, None, str(astronaut_path))
    wanted = as_record(ImageFaces(astronaut_path, tuple(FacePipeline(config)(astronaut))))
    assert wanted["faces"][0]["head_pose"]["scale"] != 1.0
    assert record == json.loads(json.dumps(wanted))
    assert json.loads(failed.text) == {"image": str(missing), "faces": [], "error": failed.error}
    assert str(missing) in str(failed.error) and failed.faces == 0


def test_worker_that_dies_fails_one_image_of_its_chunk(tmp_path: Path) -> None:
    names = ["a", "b", "deadly", "c"]
    for name in names:
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((64, 64, 3), 90, np.uint8))
    paths = [tmp_path / f"{name}.png" for name in names]
    outcomes = list(_processed(paths, name_unless_deadly, CONFIG, default_store(), 1, None))
    assert [outcome.item for outcome in outcomes] == paths
    assert [outcome.value for outcome in outcomes] == ["a", "b", None, "c"]
    assert outcomes[2].error == "the worker process ended with exit code 7"


def test_workers_use_morphable_model_of_imported_network(
    tmp_path: Path, astronaut_path: Path
) -> None:
    pytest.importorskip("onnx", reason="the synthetic network needs it")
    from support.official_files import made_up_store

    store = made_up_store(tmp_path)
    config = load_config({"regression": {"model": "official-mb05", "device": "cpu"}})
    (found,) = detect_faces_parallel([astronaut_path], config, workers=1, store=store)
    assert found.error is None
    (face,) = found.faces
    assert face.model.name == FacePipeline(config, store).model.name == "official-bfm"
    assert face.params.shape == (62,) and face.vertices.shape == face.model.mean.shape


def test_rejects_invalid_arguments_before_starting_workers(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least one worker"):
        next(detect_faces_parallel([], CONFIG, workers=0))
    missing = load_config({"regression": {"model": str(tmp_path / "none.onnx")}})
    with pytest.raises(ModelError, match="does not exist"):
        next(detect_faces_parallel([], missing))
