"""Landmarks of a user's dataset: iBUG-68, MediaPipe's 478, or both, in px of the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tddfa_ros.training.data.files import read_numbers
from tddfa_ros.training.data.layout import IMAGE_SUFFIXES, ItemError
from tddfa_ros.types import DoubleArray, FloatArray

POINT_CHOICES = ("auto", "68", "478", "both")
_FLAT = 0.02  # least ratio of the extents: points on a line determine no pose


@dataclass(frozen=True, eq=False)
class FaceLandmarks:
    """Landmarks of one face.

    Attributes:
        name: of the item.
        points68: (68, 2 or 3) iBUG order, px, x right, y down; z px, nearer = larger, any origin. Or None.
        points478: (478, 2 or 3) MediaPipe's, px; z is not used. Or None.
        silhouette: the jaw points lie on the visible outline, as people annotate it, not on the jaw line of the mesh.
        rotation: (3, 3) crop frame (y up) <- model of a label, for comparison; or None.
    """

    name: str
    points68: FloatArray | None
    points478: FloatArray | None
    silhouette: bool
    rotation: DoubleArray | None = None


def list_landmarks(folders: Sequence[Path]) -> list[str]:
    """Return the names of all items with an ``.npy`` file in any of the folders, sorted."""
    found = {
        path.relative_to(folder).with_suffix("").as_posix()
        for folder in folders
        for path in folder.rglob("*.npy")
    }
    return sorted(found)


def read_landmarks(folders: Sequence[Path], name: str, points: str = "auto") -> FaceLandmarks:
    """Read the ``.npy`` files of an item from one or two folders.

    Args:
        folders: with ``NAME.npy``.
        name: of the item.
        points: which landmarks to use, one of :data:`POINT_CHOICES`; ``auto``: those that exist.

    Raises:
        ItemError: there is no file, one is not usable, or the requested points do not exist.
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
    # 3D points lie on a mesh; 2D points were annotated on an image, where only the outline is visible
    silhouette = chosen68 is not None and chosen68.shape[1] == 2
    return FaceLandmarks(name, chosen68, found.get(478) if 478 in wanted else None, silhouette)


def check_extent(points: FloatArray) -> None:
    """Raise ItemError if points are not finite, coincide, or lie on a line."""
    if not np.isfinite(points).all():
        raise ItemError("the landmarks contain NaN or infinity")
    centered = points[:, :2].astype(np.float64)
    long, short = np.linalg.svd(centered - centered.mean(axis=0), compute_uv=False)
    if long < 1.0 or short < _FLAT * long:
        raise ItemError("the landmarks coincide or lie on a line")


def image_names(folder: Path) -> list[str]:
    """Return the names without suffix of all images below a folder, sorted."""
    found = {
        path.relative_to(folder).with_suffix("").as_posix()
        for path in folder.rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES
    }
    return sorted(found)
