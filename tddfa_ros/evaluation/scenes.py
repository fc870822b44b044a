"""Images with face ROIs, and deterministic ROIs without a face for the confidence suite."""

from __future__ import annotations

import contextlib
import importlib.util
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from zlib import crc32

import numpy as np

from tddfa_ros.config import DetectionConfig
from tddfa_ros.detection import create_detector
from tddfa_ros.errors import ConfigError
from tddfa_ros.evaluation.sets import Sets, arrays, read_image
from tddfa_ros.geometry.roi import roi_from_box, roi_from_landmarks
from tddfa_ros.model_store.store import default_store
from tddfa_ros.tracking.association import iou
from tddfa_ros.types import DoubleArray, ImageBGR

LEAST_SIDE = 40.0
"""Side of the smallest background square, px."""

OBJECTS = (
    "brick.png", "cell.png", "chelsea.png", "clock_motion.png", "coffee.png", "coins.png", "grass.png", "gravel.png", "horse.png",
    "hubble_deep_field.jpg", "ihc.png", "moon.png", "motorcycle_left.png", "page.png", "retina.jpg", "rocket.jpg",
)  # fmt: skip
"""Images of scikit-image without a human face (one is of a cat)."""

_SURE = 0.3  # detections with at least this score may be faces
_TRIES = 40
_SAME = 0.3  # two ROIs with a larger IoU belong to one face


@dataclass(frozen=True, eq=False)
class Scene:
    """An image.

    Attributes:
        name: seed of random ROIs.
        image: (H, W, 3).
        face: (4,) ROI of the labeled face, image px; None if it is not usable.
        others: (n, 4) ROIs of all labeled and possible faces.
    """

    name: str
    image: ImageBGR
    face: DoubleArray | None
    others: DoubleArray


def read_aflw2000(sets: Sets) -> Iterator[Scene]:
    """Read the images of AFLW2000-3D, with the ROIs of the standard crops."""
    folder = sets.folder("aflw2000")
    labels = sets.some(arrays(folder / "gt.npz", "name", "roi_box"))
    for name, box in zip(labels["name"], labels["roi_box"].astype(np.float64), strict=True):
        yield Scene(str(name), read_image(folder / "photo" / str(name)), box, box[None])


def read_helen(sets: Sets) -> Iterator[Scene]:
    """Read the images of HELEN, with the ROIs of the labeled points."""
    folder = sets.folder("helen")
    labels = sets.some(arrays(folder / "gt.npz", "name", "pts68"))
    for name, points in zip(labels["name"], labels["pts68"], strict=True):
        roi = roi_from_landmarks(points)
        yield Scene(str(name), read_image(folder / str(name)), roi, roi[None])


def read_groups(sets: Sets) -> Iterator[Scene]:
    """Read the images of the detection set, without a labeled face."""
    folder = sets.folder("detection")
    boxes = detection_boxes(folder)
    names = sets.some({"name": np.array(sorted(boxes))})["name"]
    for name in names:
        rois = roi_from_box(boxes[str(name)]) if len(boxes[str(name)]) else np.zeros((0, 4))
        yield Scene(str(name), read_image(folder / str(name)), None, rois)


def detection_boxes(folder: Path) -> dict[str, DoubleArray]:
    """Read the labeled boxes (n, 4) of the detection set by file name; raise ConfigError if they cannot be read."""
    path = folder / "boxes.json"
    try:
        labels = json.loads(path.read_text(encoding="utf-8"))
        return {n: np.array(b, dtype=np.float64).reshape(-1, 4) for n, b in labels.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error


def with_detections(scenes: Iterator[Scene]) -> Iterator[Scene]:
    """Add detections of the default detector, because not all faces of an image are labeled.

    It is always the default detector, so that all methods are evaluated on the same ROIs.
    """
    detector = create_detector(
        DetectionConfig(score_threshold=_SURE, max_faces=100), default_store()
    )
    for scene in scenes:
        boxes = detector(scene.image)[:, :4]
        found = roi_from_box(boxes) if len(boxes) else np.zeros((0, 4))
        yield replace(scene, others=np.concatenate([scene.others, found]))


def background(scene: Scene, count: int = 2) -> DoubleArray:
    """Sample at most ``count`` squares (n, 4) inside the image that overlap no ROI of a face.

    Sides are log-uniform from :data:`LEAST_SIDE` to half the image's shorter side; squares may overlap each other.
    """
    rng = np.random.default_rng(crc32(scene.name.encode()))
    height, width = scene.image.shape[:2]
    largest = min(height, width) / 2
    found: list[DoubleArray] = []
    for _ in range(_TRIES):
        if len(found) == count or largest < LEAST_SIDE:
            break
        side = float(np.exp(rng.uniform(np.log(LEAST_SIDE), np.log(largest))))
        x, y = rng.uniform(0, [width - side, height - side])
        square = np.array([x, y, x + side, y + side])
        if not iou(square, scene.others).any():
            found.append(square)
    return np.reshape(found, (-1, 4))


def shifted(scene: Scene) -> DoubleArray:
    """Shift the ROI of the labeled face by half its side in 8 directions (n <= 8, 4), without those that overlap another face."""
    if scene.face is None:
        return np.zeros((0, 4))
    angles = np.arange(8) * (np.pi / 4)
    steps = np.stack([np.cos(angles), np.sin(angles)], axis=1) * (scene.face[2] - scene.face[0]) / 2
    rois = scene.face + np.tile(steps, 2)
    return np.asarray(rois[~(iou(rois, other_faces(scene)) > _SAME).any(axis=1)])


def other_faces(scene: Scene) -> DoubleArray:
    """Return the ROIs (n, 4) of all faces except the labeled one, which must exist."""
    assert scene.face is not None
    return scene.others[iou(scene.others, scene.face)[:, 0] <= _SAME]


def scrambled(crop: ImageBGR, name: str, tiles: int = 4) -> ImageBGR:
    """Permute the tiles x tiles pieces of a crop (S, S, 3): the colors of a face without a face."""
    side = crop.shape[0] // tiles
    order = np.random.default_rng(crc32(name.encode())).permutation(tiles * tiles)
    pieces = [crop[side * (i // tiles) :, side * (i % tiles) :][:side, :side] for i in order]
    lines = [np.hstack(pieces[i * tiles : (i + 1) * tiles]) for i in range(tiles)]
    return np.ascontiguousarray(np.vstack(lines))


def objects() -> Iterator[Scene]:
    """Read the images :data:`OBJECTS` that an installed scikit-image contains."""
    package = importlib.util.find_spec("skimage")
    for folder in (package.submodule_search_locations or ()) if package is not None else ():
        for name in OBJECTS:
            with contextlib.suppress(ConfigError):
                image = read_image(Path(folder) / "data" / name)
                yield Scene(name, image, None, np.zeros((0, 4)))
