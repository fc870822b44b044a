"""Crops of labeled faces for attribute training: framed by their landmarks, in several augmented views."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from tddfa_ros.errors import ConfigError, ImageError
from tddfa_ros.geometry.roi import crop, roi_from_landmarks
from tddfa_ros.sources.image_file import read_image
from tddfa_ros.training.attributes.labeled import LabeledFaces
from tddfa_ros.training.cache import fill_margin
from tddfa_ros.types import FloatArray, ImageBGR

if TYPE_CHECKING:
    from tddfa_ros.face import Face
    from tddfa_ros.pipeline import FacePipeline


def find_rois(
    faces: LabeledFaces, pipeline: FacePipeline, on_message: Callable[[str], None]
) -> LabeledFaces:
    """Detect missing ROIs: that of the largest face of each image.

    Images that cannot be read, or without a face, are excluded.

    Args:
        faces: some of them with an unknown ROI.
        pipeline: for detection.
        on_message: receives the number of excluded images.

    Raises:
        ConfigError: no face was found in any image.
    """
    unknown = np.flatnonzero(np.isnan(faces.roi).any(axis=1))
    if not len(unknown):
        return faces
    rois = faces.roi.copy()
    for row in tqdm(unknown, unit="image", desc="detect faces", disable=None):
        found: list[Face] = []
        with contextlib.suppress(ImageError):
            found = pipeline(read_image(str(faces.paths[row])))
        if found:
            rois[row] = roi_from_landmarks(max(found, key=lambda f: f.face_size).landmarks68)
    known = np.flatnonzero(~np.isnan(rois).any(axis=1))
    if len(known) < len(faces):
        on_message(f"no face was found in {len(faces) - len(known)} of {len(faces)} images")
    if not len(known):
        raise ConfigError("no face was found in any of the images")
    return replace(faces, roi=rois).take(known)


def view(
    image: ImageBGR, roi: FloatArray, size: int, rng: np.random.Generator | None, row: int = 0
) -> NDArray[np.uint8]:
    """Cut one crop (size, size, 3) of a face.

    Args:
        image: BGR; black padding at its borders is filled.
        roi: (4,) x0, y0, x1, y1 px.
        size: side of the crop, px.
        rng: of position, size, rotation, mirroring, color and resolution; None: no augmentation, as at run time.
        row: selects the method of filling.
    """
    if rng is None:
        return crop(image, roi, size)
    image = fill_margin(image, row)
    side = float(roi[2] - roi[0]) * np.exp(rng.normal(0, 0.05))
    angle, sign = np.deg2rad(rng.normal(0, 6.0)), 1 if rng.random() < 0.5 else -1
    step = side / size
    cos, sin = step * np.cos(angle), step * np.sin(angle)
    linear = np.array([[sign * cos, -sin], [sign * sin, cos]])
    center = (roi[:2] + roi[2:]) / 2 + rng.normal(0, 0.025, 2) * side
    matrix = np.column_stack([linear, center - linear @ np.full(2, size / 2)])
    seen = cv2.warpAffine(
        image,
        matrix,
        (size, size),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
    )
    return _augment_color(np.asarray(seen, dtype=np.uint8), rng)


def read_view(
    faces: LabeledFaces, row: int, size: int, rng: np.random.Generator | None
) -> NDArray[np.uint8]:
    """:func:`view` of a row.

    Raises:
        ImageError: its image cannot be read.
    """
    return view(read_image(str(faces.paths[row])), faces.roi[row], size, rng, row)


def _augment_color(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Change gain, contrast, brightness and gamma; with probability 0.1 each convert to gray, and reduce the resolution."""
    if rng.random() < 0.1:
        image = np.repeat(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)[..., None], 3, axis=2)
    if rng.random() < 0.1:
        size, fewer = len(image), int(len(image) * rng.uniform(0.4, 0.8))
        reduced = cv2.resize(image, (fewer, fewer), interpolation=cv2.INTER_AREA)
        restored = cv2.resize(reduced, (size, size), interpolation=cv2.INTER_LINEAR)
        image = np.asarray(restored, dtype=np.uint8)
    gain = np.exp(rng.normal(0, 0.15) + rng.normal(0, 0.04, 3))
    levels = np.linspace(0, 1, 256)[:, None] ** np.exp(rng.normal(0, 0.2))
    table = np.clip(255 * ((levels - 0.5) * gain + 0.5 + rng.normal(0, 0.05)), 0, 255)
    return np.asarray(cv2.LUT(image, table.astype(np.uint8).reshape(1, 256, 3)), dtype=np.uint8)
