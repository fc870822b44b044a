"""Decoding of SCRFD and YuNet, on synthetic networks with the documented outputs: the weights may not be redistributed."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("onnx", reason="needed to build the network under test")

from support.constant_network import write_constant_network

from tddfa_ros.config import DetectionConfig
from tddfa_ros.detection import create_detector
from tddfa_ros.detection.boxes import BOX_SCALE, BOX_SHIFT
from tddfa_ros.detection.families import YUNET_OUTPUTS, family_of, fixed_size
from tddfa_ros.detection.scrfd import LAYOUTS, Scrfd
from tddfa_ros.detection.yunet import YuNet
from tddfa_ros.errors import ConfigError, ModelError
from tddfa_ros.model_store.store import ModelStore, default_store

HEIGHT, WIDTH = 128, 256


def widened(boxes: np.ndarray) -> np.ndarray:
    """Undo the box correction of a detector."""
    sides = (boxes[:, 2:4] - boxes[:, :2]) / BOX_SCALE
    centers = (boxes[:, :2] + boxes[:, 2:4]) / 2
    centers[:, 1] -= BOX_SHIFT * sides.mean(axis=1)
    return np.hstack([centers - sides / 2, centers + sides / 2, boxes[:, 4:]])


def scrfd(
    path: Path, outputs: int, faces: list[tuple[int, int, int, int, list[float], float]]
) -> Path:
    """Write an SCRFD network; faces are (level, column, row, anchor, [left, top, right, bottom] in strides, score)."""
    strides, anchors = LAYOUTS[outputs]
    arrays: dict[str, list[np.ndarray]] = {"score": [], "bbox": [], "kps": []}
    for stride in strides:
        cells = (HEIGHT // stride) * (WIDTH // stride) * anchors
        for kind, numbers in (("score", 1), ("bbox", 4), ("kps", 10)):
            arrays[kind].append(np.zeros((cells, numbers), np.float32))
    for level, column, row, anchor, sides, score in faces:
        index = (row * (WIDTH // strides[level]) + column) * anchors + anchor
        arrays["score"][level][index] = score
        arrays["bbox"][level][index] = sides
    kinds = list(arrays)[: outputs // len(strides)]
    named = {f"{kind}_{i}": a for kind in kinds for i, a in enumerate(arrays[kind])}
    return write_constant_network(path, named, size=(HEIGHT, WIDTH), brightened="score_0")


@pytest.mark.parametrize("outputs", [6, 9, 10, 15])
def test_scrfd_decodes_distances_from_cell_corners(tmp_path: Path, outputs: int) -> None:
    last_anchor = LAYOUTS[outputs][1] - 1
    faces = [
        (0, 4, 3, last_anchor, [1, 2, 3, 4], 0.9),  # stride 8, corner (32, 24)
        (2, 5, 2, 0, [0.5, 0.5, 1.5, 1], 0.7),  # stride 32, corner (160, 64)
        (1, 1, 1, 0, [1, 1, 1, 1], 0.4),
    ]
    path = scrfd(tmp_path / "det.onnx", outputs, faces)
    gray = np.full((HEIGHT, WIDTH, 3), (255, 255, 127), np.uint8)  # RGB (127, 255, 255)
    detector = Scrfd(path, device="cpu")
    expected = np.array([[144, 48, 208, 96, 0.7], [24, 8, 56, 56, 0.9 - 0.5 / 128]])
    np.testing.assert_allclose(widened(detector(gray)), expected, rtol=1e-4)
    # The score of the first level increases with red, the first channel of the input.
    red = gray.copy()
    red[:, :, 2] = 140
    scores = detector(red)[:, 4]
    assert scores == pytest.approx([0.7, 0.9 + 12.5 / 128], rel=1e-4)
    # An image of twice the size is downscaled: the input size of this network is fixed.
    double = detector(np.repeat(np.repeat(gray, 2, 0), 2, 1))
    np.testing.assert_allclose(widened(double)[:, :4], 2 * expected[:, :4], rtol=1e-4)
    detector.score_threshold = 0.3
    assert len(detector(gray)) == 3
    assert family_of(path) == "scrfd" and fixed_size(path) == (HEIGHT, WIDTH)


def yunet(path: Path, rng: np.random.Generator) -> Path:
    """Write a YuNet network with random outputs and low scores; ``cls_8`` increases with blue."""
    outputs = {}
    for kind, numbers in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
        for stride in (8, 16, 32):
            cells = (HEIGHT // stride) * (WIDTH // stride)
            values = rng.normal(size=(1, cells, numbers)).astype(np.float32)
            if numbers == 1:
                values = rng.uniform(-0.2, 1.1, (1, cells, 1)).astype(np.float32) ** 3
            outputs[f"{kind}_{stride}"] = values
    return write_constant_network(path, outputs, size=(HEIGHT, WIDTH))


def test_yunet_matches_opencv(tmp_path: Path) -> None:
    """OpenCV truncates boxes to integers before NMS, so NMS is disabled here."""
    path = yunet(tmp_path / "yunet.onnx", np.random.default_rng(3))
    if not hasattr(cv2, "FaceDetectorYN"):
        pytest.skip("this OpenCV has no FaceDetectorYN")
    image = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    theirs = cv2.FaceDetectorYN.create(str(path), "", (WIDTH, HEIGHT), 0.5, 1.0, 5000)
    _, rows = theirs.detect(image)
    expected = np.hstack([rows[:, :2], rows[:, :2] + rows[:, 2:4], rows[:, 14:]])
    from tddfa_ros.detection import yunet as module

    detector = YuNet(path, score_threshold=0.5, max_faces=5000, device="cpu")
    values = detector._session.run(
        {"input": image[None].transpose(0, 3, 1, 2).astype(np.float32)}, YUNET_OUTPUTS
    )
    found = module.decode(dict(zip(YUNET_OUTPUTS, values, strict=True)), WIDTH, 0.5)
    assert len(found) == len(expected) > 20
    order = [np.lexsort(np.round(a, 2).T) for a in (found, expected)]
    np.testing.assert_allclose(found[order[0]], expected[order[1]], rtol=1e-4, atol=1e-3)


def test_yunet_detects_one_face(tmp_path: Path) -> None:
    outputs = {
        f"{kind}_{s}": np.zeros((1, (HEIGHT // s) * (WIDTH // s), n), np.float32)
        for kind, n in (("cls", 1), ("obj", 1), ("bbox", 4))
        for s in (8, 16, 32)
    }
    cell = 2 * (WIDTH // 16) + 3  # column 3, row 2 of stride 16
    outputs["cls_16"][0, cell], outputs["obj_16"][0, cell] = 0.64, 1.7  # above 1 counts as 1
    outputs["bbox_16"][0, cell] = 0.5, 0.25, np.log(4), np.log(5)
    path = write_constant_network(tmp_path / "y.onnx", outputs, size=(HEIGHT, WIDTH))
    found = widened(YuNet(path, device="cpu")(np.zeros((HEIGHT, WIDTH, 3), np.uint8)))
    np.testing.assert_allclose(found, [[24, -4, 88, 76, 0.8]], rtol=1e-4)
    assert family_of(path) == "yunet"


def test_detects_family_of_own_file(tmp_path: Path) -> None:
    path = scrfd(tmp_path / "anything.onnx", 9, [(0, 4, 3, 0, [1, 2, 3, 4], 0.9)])
    detector = create_detector(DetectionConfig(detector=str(path)), default_store(), "cpu")
    assert isinstance(detector, Scrfd)
    other = write_constant_network(tmp_path / "x.onnx", {"a": np.zeros((1, 7)), "b": np.zeros(3)})
    assert family_of(other) is None
    with pytest.raises(ModelError, match="is not a supported detector; supported are centerface"):
        create_detector(DetectionConfig(detector=str(other)), default_store(), "cpu")
    for kind, name in ((Scrfd, "an SCRFD"), (YuNet, "a YuNet")):
        with pytest.raises(ModelError, match=f"is not {name} model"):
            kind(other, device="cpu")
    content = path.read_bytes()
    for wrong in (content[: len(content) // 2], b"nothing", b""):
        path.write_bytes(wrong)
        with pytest.raises(ModelError, match="not an ONNX file, or is truncated"):
            create_detector(DetectionConfig(detector=str(path)), default_store(), "cpu")


def test_rejects_missing_or_incompatible_models(tmp_path: Path) -> None:
    store = ModelStore(default_store().manifest, tmp_path)
    with pytest.raises(ConfigError, match="scrfd needs your own weights"):
        create_detector(DetectionConfig(detector="scrfd"), store)
    with pytest.raises(ConfigError, match="there is no detector 'tddfa-mb05'"):
        create_detector(DetectionConfig(detector="tddfa-mb05"), store)
    with pytest.raises(ConfigError, match="at least 96, not 50"):
        create_detector(DetectionConfig(input_size=50), store)
