"""Landmarks of a face as a user has them: 68 of iBUG, MediaPipe's 478, or both, in px of the photograph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tddfa_ros.training.data.layout import IMAGE_SUFFIXES, ItemError
from tddfa_ros.training.data.pictures import read_numbers
from tddfa_ros.types import DoubleArray, FloatArray

POINT_CHOICES = ("auto", "68", "478", "both")
_FLAT = 0.02  # of the longer extent: points that lie on a line show no pose


@dataclass(frozen=True, eq=False)
class FaceLandmarks:
    """What is known about one face.

    Attributes:
        name: of the item.
        points68: (68, 2 or 3) iBUG order, px, x right, y down; z px, nearer = larger, any origin. Or None.
        points478: (478, 2 or 3) MediaPipe's, px; z is not used. Or None.
        silhouette: the jaw of ``points68`` is the visible outline, as people annotate it, not the mesh's own jaw line.
        rotation: (3, 3) crop frame (y up) <- model as a label states it, to compare with; or None.
    """

    name: str
    points68: FloatArray | None
    points478: FloatArray | None
    silhouette: bool
    rotation: DoubleArray | None = None


def list_landmarks(folders: Sequence[Path]) -> list[str]:
    """Names of all items that have an ``.npy`` file in any of the folders, in order."""
    found = {
        path.relative_to(folder).with_suffix("").as_posix()
        for folder in folders
        for path in folder.rglob("*.npy")
    }
    return sorted(found)


def read_landmarks(folders: Sequence[Path], name: str, points: str = "auto") -> FaceLandmarks:
    """Read the ``.npy`` files of an item from one or two folders.

    Args:
        points: which of them to take, one of :data:`POINT_CHOICES`; ``auto``: what there is.

    Raises:
        ItemError: there is no file, one cannot be used, or what ``points`` asks for is not there.
    """
    found: dict[int, FloatArray] = {}
    for path in (folder / f"{name}.npy" for folder in folders):
        if not path.is_file():
            continue
        values = read_numbers(path)
        if values.ndim != 2 or values.shape[0] not in (68, 478) or values.shape[1] not in (2, 3):
            raise ItemError(f"landmarks have the shape {values.shape}, not (68 or 478, 2 or 3)")
        if len(values) in found:
            raise ItemError(f"there are two files with {len(values)} landmarks")
        check_extent(values)
        found[len(values)] = values
    if not found:
        raise ItemError("there are no landmarks")
    wanted = {"68": (68,), "478": (478,), "both": (68, 478)}.get(points, tuple(found))
    missing = [str(count) for count in wanted if count not in found]
    if missing:
        raise ItemError(f"there are no {' and no '.join(missing)} landmarks")
    chosen68 = found.get(68) if 68 in wanted else None
    # Three coordinates come from a 3D face; two were clicked on a photograph, where only the outline can be seen.
    silhouette = chosen68 is not None and chosen68.shape[1] == 2
    return FaceLandmarks(name, chosen68, found.get(478) if 478 in wanted else None, silhouette)


def check_extent(points: FloatArray) -> None:
    """Raise ItemError if points lie in one place or on a line."""
    if not np.isfinite(points).all():
        raise ItemError("the landmarks hold NaN or infinity")
    centred = points[:, :2].astype(np.float64)
    long, short = np.linalg.svd(centred - centred.mean(axis=0), compute_uv=False)
    if long < 1.0 or short < _FLAT * long:
        raise ItemError("the landmarks lie in one place or on a line")


def picture_names(folder: Path) -> list[str]:
    """Names without suffix of all pictures below a folder, in order."""
    found = {
        path.relative_to(folder).with_suffix("").as_posix()
        for path in folder.rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES
    }
    return sorted(found)
