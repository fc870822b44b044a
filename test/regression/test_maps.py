"""Maps that a network regresses: face parsing and UV position map."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx", reason="needed to build the network under test")

from support.synthetic_model import synthetic_model
from support.tiny_regressor import write_tiny_regressor

from tddfa_ros.errors import ModelError
from tddfa_ros.regression.maps import MapPredictor, RegressedMaps
from tddfa_ros.rendering.parsing import CLASS_NAMES

ROIS = np.array([[40.0, 20, 160, 140], [200, 60, 260, 120]])


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> MapPredictor:
    path = tmp_path_factory.mktemp("net") / "maps.onnx"
    return MapPredictor(
        write_tiny_regressor(path, synthetic_model(), maps=True), synthetic_model(), "cpu"
    )


def two_halves() -> np.ndarray:
    """Blue on the left of x = 100 and y = 80, green or red elsewhere; the classes of the tiny network."""
    image = np.zeros((160, 320, 3), np.uint8)
    image[..., 1] = 200
    image[80:] = (0, 0, 200)
    image[:, :100] = (255, 0, 0)
    return image


def test_parsing_in_image_pixels(predictor: MapPredictor) -> None:
    image = two_halves()
    classes = predictor(image, ROIS[:1]).parsing_image(image.shape)
    assert classes.shape == (160, 320) and classes.dtype == np.uint8
    expected = np.zeros((160, 320), np.uint8)
    expected[20:80, 100:160] = 1
    expected[80:140, 100:160] = 2
    wrong = np.argwhere(classes != expected)
    assert len(wrong) <= 2 and (np.abs(wrong - [80, 100]) <= 1).all(), "where three classes meet"


def test_parsing_of_enlarged_and_clipped_rois(predictor: MapPredictor) -> None:
    image = two_halves()
    rois = np.array([[-60.0, -40, 180, 200]])
    classes = predictor(image, rois).parsing_image(image.shape)
    expected = np.zeros((160, 320), np.uint8)
    expected[:80, 100:180], expected[80:, 100:180] = 1, 2
    wrong = classes != expected
    assert wrong.mean() < 0.01
    rows, columns = np.nonzero(wrong)
    assert (np.minimum(np.abs(rows - 80), np.abs(columns - 100)) <= 1).all(), "only at borders"
    outside = predictor(image, np.array([[400.0, 10, 500, 110]]))
    assert not outside.parsing_image(image.shape).any()


def test_larger_face_covers_smaller_one() -> None:
    large, small = (np.zeros((3, 30, 30), np.float32) for _ in range(2))
    large[1], small[2] = 1, 1
    rois = np.array([[10.0, 10, 70, 70], [40, 40, 160, 160]])
    classes = RegressedMaps(rois, np.stack([small, large]), None).parsing_image((200, 200))
    assert classes[20, 20] == 2 and classes[50, 50] == 1 and classes[150, 150] == 1


def test_uv_position_in_image_pixels(predictor: MapPredictor) -> None:
    found = predictor(two_halves(), ROIS).uv_position
    assert found is not None and found.shape == (2, 8, 8, 3)
    np.testing.assert_allclose(found[0, :, :, :2].reshape(-1, 2), np.tile([70.0, 40], (64, 1)))
    np.testing.assert_allclose(found[1, 0, 0], [215, 70, 2], atol=1e-4)


def test_no_face(predictor: MapPredictor) -> None:
    assert predictor(two_halves(), np.zeros((0, 4))).rois.shape == (0, 4)


def test_rejects_network_without_map_heads(tmp_path: Path) -> None:
    path = write_tiny_regressor(tmp_path / "plain.onnx", synthetic_model())
    with pytest.raises(ModelError, match=r"plain.onnx has no output parsing or uv_position: use"):
        MapPredictor(path, synthetic_model(), "cpu")
    with pytest.raises(ModelError, match="no output parsing"):
        RegressedMaps(ROIS, None, None).parsing_image((10, 10))


def test_shipped_network_agrees_with_its_mesh(astronaut_path: Path) -> None:
    from tddfa_ros.pipeline import FacePipeline
    from tddfa_ros.rendering import parsing_map, uv_position_map
    from tddfa_ros.rendering.uv_surface import uv_surface

    settings = {"model": "tddfa-mb05-multitask", "device": "cpu"}
    pipe = FacePipeline.from_config({"regression": settings})
    image = cv2.imread(str(astronaut_path))
    (face,) = pipe.align(image, np.array([[175.0, 65, 275, 185]]))
    predictor = MapPredictor.from_config(pipe.config.regression, pipe.store, pipe.model)
    found = predictor(image, face.roi)
    classes, rendered = found.parsing_image(image.shape), parsing_map([face], image.shape)
    for name, least in (("skin", 0.7), ("nose", 0.6), ("lips", 0.35)):
        mine, mesh = (maps == CLASS_NAMES.index(name) for maps in (classes, rendered))
        assert (mine & mesh).sum() > least * (mine | mesh).sum(), name
    covered = uv_surface(pipe.model, 32).mask
    apart = (found.uv_position[0] - uv_position_map(face, 32))[covered]
    apart[:, 2] -= apart[:, 2].mean()
    assert np.linalg.norm(apart, axis=1).mean() < 0.03 * face.face_size
