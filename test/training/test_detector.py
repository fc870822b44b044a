"""Training of the detector: labels, image synthesis, assignment, resuming, export, and a network that finds the faces it was trained on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra [training] (torch) is not installed")
import torch

from tddfa_ros.config import DetectionConfig
from tddfa_ros.detection import create_detector
from tddfa_ros.detection.families import family_of
from tddfa_ros.errors import ConfigError
from tddfa_ros.geometry.roi import roi_from_box, roi_from_landmarks
from tddfa_ros.model_store.store import default_store
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.tracking.association import iou
from tddfa_ros.training.cache import MARGIN, FaceCache
from tddfa_ros.training.detector.config import DetectorConfig, load_detector_config
from tddfa_ros.training.detector.data import DetectorData, collate
from tddfa_ros.training.detector.export import export_detector
from tddfa_ros.training.detector.image_labels import label, label_images
from tddfa_ros.training.detector.images import LabeledImage, faceless, open_pool, write_pool
from tddfa_ros.training.detector.labels import box_from_landmarks, five_points
from tddfa_ros.training.detector.losses import Targets, assign, boxes_of, cells_of, flattened
from tddfa_ros.training.detector.network import DetectorNet
from tddfa_ros.training.detector.paste import FacePaster
from tddfa_ros.training.detector.scenes import Scene
from tddfa_ros.training.detector.trainer import DetectorTrainer, load_detector
from tddfa_ros.training.framing import landmark_pixels

SMALL = DetectorConfig(
    channels=(8, 16, 16, 24, 24),
    blocks=(0, 1, 1, 0),
    pyramid=16,
    image_size=96,
    batch=4,
    epochs=2,
    samples=16,
    ema_half_life=2.0,
    workers=0,
)


def frontal(size: float = 100.0, center: tuple[float, float] = (160.0, 120.0)) -> np.ndarray:
    """Return 68 landmarks of an upright face."""
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.5, 0.5, (68, 2))
    points[36:42] = [-0.2, -0.3]
    points[42:48] = [0.2, -0.3]
    points[48:68] = [0.0, 0.3]
    points[48], points[54] = [-0.15, 0.3], [0.15, 0.3]
    return points * size + center


@pytest.mark.parametrize("roll_deg", [0, 30, 90, 180])
def test_roi_of_box_is_roi_of_landmarks(roll_deg: float) -> None:
    angle = np.radians(roll_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = (frontal() - [160, 120]) @ turn.T + [160, 120]
    box = box_from_landmarks(points)
    # roi_from_box truncates the side to whole px
    np.testing.assert_allclose(roi_from_box(box), roi_from_landmarks(points), atol=0.51)
    height_by_width = (box[3] - box[1]) / (box[2] - box[0])
    expected = {0: 1.25, 30: 1.25**0.5, 90: 0.8, 180: 1.25}[int(roll_deg)]
    assert height_by_width == pytest.approx(expected, rel=0.02)


def test_pasted_face_lies_at_its_landmarks(
    tiny_cache: FaceCache, tiny_model: MorphableModel
) -> None:
    """A crop that is white at one landmark only is white there after pasting."""
    landmarks = landmark_pixels(tiny_model, tiny_cache.params) + MARGIN
    row = int(np.flatnonzero(tiny_cache.face)[0])
    images = np.full((1, 192, 192, 3), 60, np.uint8)
    x, y = landmarks[row, 30]
    cv2.circle(
        images[0], (round(float(x) * 8), round(float(y) * 8)), 8 * 6, (255, 255, 255), -1, shift=3
    )
    one = replace(tiny_cache, images=images, params=tiny_cache.params[row : row + 1])
    paster = FacePaster(one, landmarks[row : row + 1].astype(np.float32), 0.0)
    for roll, side in ((0.0, 60.0), (0.7, 40.0), (-1.5, 25.0)):
        image = np.full((160, 200, 3), 90, np.uint8)
        moved = paster.paste(
            image, 0, np.array([110.0, 70.0]), side, roll, np.random.default_rng(2)
        )
        box = box_from_landmarks(moved)
        np.testing.assert_allclose((box[:2] + box[2:]) / 2, [110, 70], atol=1e-6)
        assert (box[2:] - box[:2]).mean() == pytest.approx(side)
        rows, columns = np.nonzero(image[..., 1] > 150)
        spot = [columns.mean(), rows.mean()]
        np.testing.assert_allclose(spot, moved[30], atol=0.02 * side)


def targets_of(boxes: list[list[float]], kinds: list[int]) -> Targets:
    count = len(boxes)
    return Targets(
        torch.tensor([boxes], dtype=torch.float32).reshape(1, count, 4),
        torch.full((1, count, 5, 2), float("nan")),
        torch.tensor([kinds]),
    )


def test_every_face_gets_cells_of_the_fitting_stride() -> None:
    maps = DetectorNet(SMALL.channels, SMALL.blocks, SMALL.pyramid)(torch.zeros(1, 3, 256, 256))
    values, cells = flattened(maps), cells_of(maps)
    boxes = [[20.0, 20, 26, 27], [60, 60, 110, 120], [20, 90, 230, 250], [150, 10, 180, 45]]
    face, quality, weight = assign(values, cells, targets_of(boxes, [1, 1, 1, 2]))
    strides = [set(cells.strides[face[0] == number].tolist()) for number in range(4)]
    assert strides[0] == {8.0}
    assert strides[1] and strides[1] <= {16.0, 32.0}
    assert strides[2] == {32.0}
    assert not strides[3]
    middle = cells.centers[weight[0] == 0]
    assert len(middle) and bool(
        ((middle >= torch.tensor([150, 10])) & (middle <= torch.tensor([180, 45]))).all()
    )
    assert bool((quality[face >= 0] >= 0.2).all()) and bool((quality[face < 0] == 0).all())
    assert boxes_of(values, cells).shape == (1, len(cells.strides), 4)


def test_mirrored_scene_has_mirrored_labels(
    tiny_cache: FaceCache, tiny_model: MorphableModel
) -> None:
    """The right eye stays left of the left eye in the image of an upright face, whether mirrored or not."""
    upright = replace(SMALL, roll_sigma_deg=0.0, large_roll=0.0, occlude=0.0)
    data = DetectorData(upright, tiny_cache, tiny_model, None, None)
    scenes = [scene for scene in data.validation_scenes() if len(scene.boxes)]
    assert len(scenes) > 30
    landmarks = landmark_pixels(tiny_model, tiny_cache.params[tiny_cache.face])
    plain = five_points(landmarks)
    order = np.sign(plain[:, 1, 0] - plain[:, 0, 0]).mean()
    found = np.concatenate([s.points[:, 1, 0] - s.points[:, 0, 0] for s in scenes])
    assert np.sign(found).mean() == pytest.approx(order, abs=0.25)
    for scene in scenes:
        center = (scene.boxes[:, :2] + scene.boxes[:, 2:]) / 2
        near = np.abs(scene.points.mean(axis=1) - center).max(axis=1)
        assert (near < (scene.boxes[:, 2:] - scene.boxes[:, :2]).max(axis=1)).all()


def test_pool_keeps_images_and_labels(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (30 + n, 40, 3), np.uint8) for n in range(3)]
    face = LabeledImage(
        images[1],
        np.array([[1, 2, 11, 14]], np.float32),
        frontal(10, (6, 8))[None].astype(np.float32),
        np.array([True]),
    )
    write_pool(tmp_path / "pool", [faceless(images[0]), face, faceless(images[2])])
    pool = open_pool(tmp_path / "pool")
    assert len(pool) == 3
    for number, image in enumerate(images):
        np.testing.assert_array_equal(pool[number].image, image)
    np.testing.assert_array_equal(pool[1].boxes, face.boxes)
    assert not len(pool[2].boxes) and pool[1].ignore.tolist() == [True]
    (tmp_path / "pool" / "pixels.bin").write_bytes(b"short")
    with pytest.raises(ConfigError, match="no complete pool"):
        open_pool(tmp_path / "pool")


def test_resized_labels_keep_pixel_centers() -> None:
    item = LabeledImage(
        np.zeros((100, 200, 3), np.uint8),
        np.array([[-0.5, -0.5, 199.5, 99.5]], np.float32),
        np.full((1, 68, 2), np.nan, np.float32),
        np.array([False]),
    )
    half = item.resized(100)
    assert half.image.shape == (50, 100, 3)
    np.testing.assert_allclose(half.boxes, [[-0.5, -0.5, 99.5, 49.5]])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "must map"),
        ('["a"]', "must map"),
        ("{}", "lists no image"),
        ('{"a": {"human": [[1]]}}', "must map"),
    ],
)
def test_rejects_invalid_boxes(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "boxes.json").write_text(content)
    with pytest.raises(ConfigError, match=message):
        next(label_images(tmp_path, [], print))  # type: ignore[arg-type]


def test_reports_missing_images(tmp_path: Path) -> None:
    (tmp_path / "boxes.json").write_text(json.dumps({"a.jpg": {}}))
    messages: list[str] = []
    with pytest.raises(ConfigError, match="no image of"):
        list(label_images(tmp_path, [], messages.append))  # type: ignore[arg-type]
    assert len(messages) == 1 and "a.jpg" in messages[0]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"image_size": 100}, "multiple of 32"),
        ({"samples": 16, "batch": 32}, "at least one batch"),
        ({"imagesize": 96}, "image_size"),
    ],
)
def test_rejects_invalid_options(values: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_detector_config(None, values)


class _StopError(Exception):
    pass


def test_resumed_run_equals_uninterrupted_run(
    tiny_cache: FaceCache,
    tiny_model: MorphableModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def data() -> DetectorData:
        return DetectorData(SMALL, tiny_cache, tiny_model, None, None)

    whole = DetectorTrainer(SMALL, data(), tmp_path / "whole")
    whole.run()
    stopped = DetectorTrainer(SMALL, data(), tmp_path / "stopped")
    step = stopped._step

    def until_the_sixth(batch: tuple[torch.Tensor, Targets]) -> torch.Tensor:
        if stopped._state.epoch == 1 and stopped._state.step == 1:
            stopped._save()
            raise _StopError
        return step(batch)

    monkeypatch.setattr(stopped, "_step", until_the_sixth)
    with pytest.raises(_StopError):
        stopped.run()
    resumed = DetectorTrainer(SMALL, data(), tmp_path / "stopped")
    resumed.run()
    for name, value in whole.averaged().state_dict().items():
        assert torch.equal(value, resumed.averaged().state_dict()[name]), name
    other = DetectorTrainer(replace(SMALL, learning_rate=1e-3), data(), tmp_path / "whole")
    with pytest.raises(ConfigError, match="learning_rate"):
        other.run()


class _FewScenes:
    """The data of a run that repeats the same batch."""

    labeled = None

    def __init__(self, scenes: list[Scene], steps: int) -> None:
        self._scenes, self.steps = scenes, steps

    def batches(self, epoch: int, first_step: int = 0) -> list[tuple[torch.Tensor, Targets]]:
        return [collate(self._scenes)] * (self.steps - first_step)

    def validation_scenes(self) -> list[Scene]:
        return self._scenes


def drawn_face(size: int, center: tuple[int, int], side: float) -> Scene:
    """Draw a simple face whose box has this center and mean side."""
    image = np.full((size, size, 3), (90, 140, 90), np.uint8)
    x, y = center
    cv2.ellipse(image, center, (int(side * 0.55), int(side * 0.75)), 0, 0, 360, (150, 180, 220), -1)
    for dx in (-0.2, 0.2):
        cv2.circle(
            image,
            (int(x + dx * side), int(y - 0.15 * side)),
            max(1, int(0.08 * side)),
            (40, 30, 30),
            -1,
        )
    cv2.ellipse(
        image,
        (x, int(y + 0.35 * side)),
        (int(0.2 * side), int(0.07 * side)),
        0,
        0,
        360,
        (60, 60, 170),
        -1,
    )
    width = 2 * side / 2.25
    half = np.array([width, 2 * side - width]) / 2
    box = np.concatenate([np.array(center) - half, np.array(center) + half])[None].astype(
        np.float32
    )
    return Scene(image, box, np.full((1, 5, 2), np.nan, np.float32), np.zeros(1, np.bool_))


def test_overfits_and_exported_file_detects_faces(tmp_path: Path) -> None:
    scenes = [
        drawn_face(128, (64, 60), 70.0),
        drawn_face(128, (90, 40), 30.0),
        drawn_face(128, (40, 88), 45.0),
        drawn_face(128, (100, 96), 20.0),
    ]
    config = replace(
        SMALL, image_size=128, epochs=1, samples=400, learning_rate=1e-2, ema_half_life=8.0
    )
    data = _FewScenes(scenes, 100)
    trainer = DetectorTrainer(config, data, tmp_path / "run")  # type: ignore[arg-type]
    before = trainer._loss(trainer.network(collate(scenes)[0].float()), collate(scenes)[1])[
        0
    ].item()
    figures = trainer.run()
    assert figures["total"] < 0.5 * before
    assert figures["recall"] == 1.0
    path = tmp_path / "mine.onnx"
    export_detector(load_detector(tmp_path / "run" / "checkpoint.pt"), path)
    assert family_of(path) == "tddfa-detect"
    store = default_store()
    detector = create_detector(DetectionConfig(detector=str(path), input_size=128), store, "cpu")
    for scene in scenes:
        found = detector(scene.image)
        assert len(found) == 1
        assert iou(found[:, :4], scene.boxes)[0, 0] > 0.6
    # twice the image, same input size: the boxes scale, with pixel centers at integers
    double = cv2.resize(scenes[0].image, (256, 256), interpolation=cv2.INTER_NEAREST)
    np.testing.assert_allclose(
        detector(double)[0, :4], 2 * detector(scenes[0].image)[0, :4] + 0.5, atol=0.6
    )


def test_recipe_is_valid() -> None:
    recipe = Path(__file__).parents[2] / "config" / "training" / "detector.yaml"
    config = load_detector_config(recipe)
    assert config.epochs * config.samples > 300_000
    network = DetectorNet(config.channels, config.blocks, config.pyramid)
    assert sum(p.numel() for p in network.parameters()) * 4 < 500_000, "at most 0.5 MB"


class _Teacher:
    """Returns the same detections, and faces with given landmarks and confidence at the boxes it knows."""

    def __init__(self, found: list[list[float]], faces: list[tuple[np.ndarray, float]]) -> None:
        self._found, self._faces = np.array(found, np.float32).reshape(-1, 5), faces

    def detect(self, image: np.ndarray, min_score: float) -> np.ndarray:
        return self._found[self._found[:, 4] >= min_score]

    def align(self, image: np.ndarray, boxes: np.ndarray) -> list[SimpleNamespace]:
        out = []
        for box in boxes:
            near = [
                iou(box[None], box_from_landmarks(points)[None])[0, 0] for points, _ in self._faces
            ]
            points, confidence = self._faces[int(np.argmax(near))]
            out.append(
                SimpleNamespace(
                    landmarks68=points, confidence=confidence if max(near) > 0.3 else 0.0
                )
            )
        return out


def test_labels_image() -> None:
    """Confirmed faces get landmarks, human boxes always count, the rest is ignored; one face has one label."""
    image = np.zeros((240, 320, 3), np.uint8)
    left, right = frontal(60, (70, 100)), frontal(60, (230, 100))
    boxes = [box_from_landmarks(points) for points in (left, right)]
    found = [
        [*(boxes[0] + 2), 0.7],  # the left face, confirmed
        [*(boxes[0] + [12, 12, -12, -12]), 0.9],  # again, inside the other box
        [*boxes[1], 0.4],  # the right face: confirmed, but too doubtful a detection
        [280, 10, 310, 45, 0.7],  # not confirmed, not sure
        [10, 190, 40, 225, 0.95],  # not confirmed, but sure
    ]
    teacher = _Teacher(found, [(left, 0.9), (right, 0.8)])
    given = {"human": np.array([[140.0, 180, 180, 228]]), "pseudo": np.zeros((0, 5))}
    item = label(image, given, [teacher])  # type: ignore[list-item]
    assert len(item.boxes) == 5
    known = np.isfinite(item.landmarks).all(axis=(1, 2))
    assert known.tolist() == [False, True, True, False, False]
    assert item.ignore.tolist() == [False, False, True, True, False]
    np.testing.assert_allclose(item.boxes[1], boxes[0], atol=1e-4)
    center = (item.boxes[0, :2] + item.boxes[0, 2:]) / 2
    np.testing.assert_allclose(center, [160, 204], atol=3)
    # a teacher at a smaller input size adds large faces only
    small = _Teacher([[*boxes[1], 0.9], [280, 10, 310, 45, 0.9]], [(right, 0.8)])
    both = label(image, given, [small, teacher])  # type: ignore[list-item]
    assert both.ignore.tolist() == [False, False, False, True, False]
