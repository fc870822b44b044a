"""Labels of images: human boxes and detections, confirmed and refined by the regressor."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from tddfa_ros.detection.boxes import to_common_extent
from tddfa_ros.errors import ConfigError, ImageError
from tddfa_ros.pipeline import FacePipeline
from tddfa_ros.sources.image_file import read_image
from tddfa_ros.tracking.association import iou
from tddfa_ros.training.data.layout import IMAGE_SUFFIXES
from tddfa_ros.training.detector.images import LabeledImage, faceless
from tddfa_ros.training.detector.labels import box_from_landmarks
from tddfa_ros.types import DoubleArray, ImageBGR

TEACHER_SIZES = (320, 960)
"""Long sides of the input of the detector that labels images, px: the smaller one for faces that fill the image, the larger one for the rest."""

MOST_SIDE = 800
"""Largest side of a stored image, px."""

_DOUBTFUL, _LIKELY, _SURE = 0.3, 0.6, 0.8  # scores of a detection
_HUMAN = 2.0  # score of a human box
_CONFIRMED = 0.5  # confidence of the regressor
_LARGE = (
    0.12  # width of a face by the long side of the image, from which the smaller input size is used
)
_SAME = 0.35  # IoU of two boxes of one face
_INSIDE = 0.65  # or share of the smaller one inside the other
_REFINED = 0.45  # IoU of a box with the box of its landmarks


def label_images(
    folder: Path, pipelines: Sequence[FacePipeline], on_message: Callable[[str], None]
) -> Iterator[LabeledImage]:
    """Label the images of a folder.

    Args:
        folder: ``boxes.json`` and the images beside it or in ``img/``. The file maps a name to ``human`` [[x0, y0, x1, y1]] (certain, but perhaps
            not all faces) and ``pseudo`` [[x0, y0, x1, y1, score]] (another detector's), px, from hairline to chin; both may be missing.
        pipelines: detectors at :data:`TEACHER_SIZES`, which add faces; the regressor of the last one confirms them.
        on_message: gets one sentence for each image that cannot be read.

    Raises:
        ConfigError: there is no valid ``boxes.json``, or no image can be read.
    """
    listed = _read_boxes(folder / "boxes.json")
    place = folder / "img" if (folder / "img").is_dir() else folder
    readable = 0
    for name in tqdm(sorted(listed), desc="label images", disable=None):
        try:
            image = read_image(place / name)
        except ImageError as error:
            on_message(f"excluded: {error}")
            continue
        readable += 1
        yield label(image, listed[name], pipelines).resized(MOST_SIDE)
    if not readable:
        raise ConfigError(f"no image of {folder / 'boxes.json'} can be read")


def label(
    image: ImageBGR, given: Mapping[str, DoubleArray], pipelines: Sequence[FacePipeline]
) -> LabeledImage:
    """Label one image; ``given`` holds ``human`` (n, 4) and ``pseudo`` (n, 5), from hairline to chin."""
    pipeline = pipelines[-1]
    found = [p.detect(image, _DOUBTFUL).astype(np.float64) for p in pipelines]
    for boxes_of_size in found[:-1]:
        wide = boxes_of_size[:, 2] - boxes_of_size[:, 0]
        boxes_of_size[wide < _LARGE * max(image.shape[:2]), 4] = 0.0
    human, pseudo = given["human"], given["pseudo"]
    everything = np.concatenate(
        [
            _scored(human, np.full(len(human), _HUMAN)),
            *(boxes[boxes[:, 4] > 0] for boxes in found),
            _scored(pseudo[:, :4], pseudo[:, 4]),
        ]
    )
    kept = _distinct(everything)
    boxes, scores = kept[:, :4].astype(np.float32), kept[:, 4]
    landmarks = np.full((len(kept), 68, 2), np.nan, np.float32)
    ignore = scores < _SURE
    for row, face in enumerate(pipeline.align(image, kept[:, :4]) if len(kept) else []):
        refined = box_from_landmarks(face.landmarks68)
        same = iou(refined[None], kept[row : row + 1, :4])[0, 0] >= _REFINED
        if face.confidence < _CONFIRMED or not same:
            continue
        boxes[row], landmarks[row] = refined, face.landmarks68[:, :2]
        ignore[row] = scores[row] < _LIKELY
    return LabeledImage(image, boxes, landmarks, ignore)


def backgrounds(
    folder: Path, pipelines: Sequence[FacePipeline], on_message: Callable[[str], None]
) -> Iterator[LabeledImage]:
    """Read the images of a folder and its subfolders; images with a face are left out.

    Raises:
        ConfigError: no image without a face can be read.
    """
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    usable = 0
    for path in tqdm(paths, desc="read backgrounds", disable=None):
        try:
            item = faceless(read_image(path)).resized(MOST_SIDE)
        except ImageError as error:
            on_message(f"excluded: {error}")
            continue
        if min(item.image.shape[:2]) < 32:
            continue
        found = pipelines[-1].detect(item.image, _DOUBTFUL)
        if any(
            face.confidence >= _CONFIRMED for face in pipelines[-1].align(item.image, found[:, :4])
        ):
            continue
        usable += 1
        yield item
    if not usable:
        raise ConfigError(f"{folder} holds no readable image without a face")


def _scored(boxes: DoubleArray, scores: DoubleArray) -> DoubleArray:
    """Return boxes (n, 4), from hairline to chin, with their scores in the extent of `Detector`: (n, 5)."""
    return np.hstack([to_common_extent(boxes.astype(np.float32)), scores[:, None]])


def _distinct(boxes: DoubleArray) -> DoubleArray:
    """Return boxes (n, 5) of different faces; of two boxes of one face the first remains, with the higher score."""
    kept: list[DoubleArray] = []
    for box in boxes:
        if kept:
            others = np.stack(kept)[:, :4]
            overlap = iou(others, box[None, :4])[:, 0]
            low, high = np.maximum(others[:, :2], box[:2]), np.minimum(others[:, 2:], box[2:4])
            shared = np.clip(high - low, 0, None).prod(axis=1)
            areas = np.minimum(
                (others[:, 2:] - others[:, :2]).prod(axis=1), (box[2:4] - box[:2]).prod()
            )
            overlap = np.where(shared >= _INSIDE * areas, 1.0, overlap)
            best = int(np.argmax(overlap))
            if overlap[best] >= _SAME:
                kept[best][4] = max(kept[best][4], box[4])
                continue
        kept.append(box.copy())
    return np.stack(kept) if kept else np.zeros((0, 5))


def _read_boxes(path: Path) -> dict[str, dict[str, DoubleArray]]:
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        listed = {
            str(name): {
                key: np.array(entry.get(key, []), np.float64).reshape(-1, width)
                for key, width in (("human", 4), ("pseudo", 5))
            }
            for name, entry in content.items()
        }
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, AttributeError, TypeError) as error:
        raise ConfigError(
            f"{path} must map image names to lists of boxes 'human' and 'pseudo'"
        ) from error
    if not listed:
        raise ConfigError(f"{path} lists no image")
    return listed
