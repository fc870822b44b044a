"""Make a dataset from images with landmarks: fitted params and ROIs, a list of the fitted items, and a report.

Files in the output folder: ``params/NAME.npy``, ``rois/NAME.npy``, ``fitted.list``, ``fit.csv`` with the error of each item (after a list ``train.list``:
``train_fitted.list`` and ``train_fit.csv``), and ``images``, a link to the folder of images if it is elsewhere.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tddfa_ros.errors import ConfigError
from tddfa_ros.files import atomic_path
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.data.items import Report, report_bad
from tddfa_ros.training.data.landmark_fit import FittedFace, LandmarkFitter
from tddfa_ros.training.data.landmarks import (
    FaceLandmarks,
    image_names,
    list_landmarks,
    read_landmarks,
)
from tddfa_ros.training.data.layout import (
    BadItem,
    Entry,
    ImageFolder,
    ItemError,
    check_name,
    read_list,
    split_name,
    write_list,
)

_COLUMNS = ("name", "error_percent", "yaw", "pitch", "roll", "pose_difference_deg", "used")


@dataclass(frozen=True, eq=False)
class LandmarkSource:
    """Items with landmarks.

    Attributes:
        names: of the items.
        where: their origin, for messages.
        prefix: of the names of list and report.
        read: returns the landmarks of an item; raises ItemError.
    """

    names: tuple[str, ...]
    where: str
    prefix: str
    read: Callable[[str], FaceLandmarks]


@dataclass(frozen=True, eq=False)
class FitReport:
    """Result of a fit.

    Attributes:
        faces: the fitted items.
        bad: items that could not be used.
        list_file: list of the fitted items.
        table: CSV file with the errors.
    """

    faces: tuple[FittedFace, ...]
    bad: tuple[BadItem, ...]
    list_file: Path
    table: Path

    @property
    def mean_error(self) -> float:
        """Mean error of the fitted items, % of the face size."""
        return float(np.mean([face.error for face in self.faces]))

    def worst(self, count: int = 5) -> list[FittedFace]:
        """Return the items with the largest errors."""
        return sorted(self.faces, key=lambda face: -face.error)[:count]


def landmark_source(
    folders: Sequence[Path], list_file: Path | None = None, points: str = "auto"
) -> LandmarkSource:
    """Find items with landmarks ``NAME.npy`` in one or two folders: those of a list, or all.

    Args:
        points: which landmarks to use (:data:`~tddfa_ros.training.data.landmarks.POINT_CHOICES`).

    Raises:
        ConfigError: there are none.
    """
    names = _listed(list_file) if list_file else list_landmarks(folders)
    where = ", ".join(str(folder) for folder in folders)
    if not names:
        raise ConfigError(f"there are no landmarks (.npy) in {where}")
    return _source(names, where, list_file, lambda name: read_landmarks(folders, name, points))


def mat_source(kind: str, images: Path, list_file: Path | None = None) -> LandmarkSource:
    """Find items of 300W-LP or AFLW2000-3D (``kind``, one of :data:`~tddfa_ros.training.data.mat_files.FORMATS`) below ``images``: those of a
    list, or all images with a ``.mat`` file.

    Raises:
        ConfigError: there are none.
    """
    from tddfa_ros.training.data.mat_files import mat_landmarks

    if list_file:
        names = _listed(list_file)
    else:
        names = [name for name in image_names(images) if (images / f"{name}.mat").is_file()]
    if not names:
        raise ConfigError(f"there is no image with a .mat file in {images}")
    return _source(names, str(images), list_file, lambda name: mat_landmarks(images, name, kind))


def fit_source(
    source: LandmarkSource,
    images: Path,
    output: Path,
    model: MorphableModel,
    max_error: float | None = None,
    strict: bool = False,
    report: Report | None = None,
) -> FitReport:
    """Fit all items of a source whose images are in ``images``, and write the dataset ``output``.

    Args:
        source: items with landmarks.
        images: folder of the images.
        output: folder of the dataset.
        model: morphable model.
        max_error: largest mean distance of the fit from the landmarks, % of the face size; other items are excluded.
        strict: raise if any item is not usable.
        report: receives one line per unusable item.

    Raises:
        ConfigError: nothing can be fitted, the output cannot be used, or ``strict`` and an item is not usable.
    """
    _link_images(images, output)
    faces, bad = _read(source, ImageFolder(images))
    if strict or not faces:
        report_bad(bad, len(source.names), source.where, strict, report)
    fitted: list[FittedFace] = []
    table = output / f"{source.prefix}fit.csv"
    with (
        atomic_path(table) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        found = LandmarkFitter(model)(faces)
        for face in tqdm(found, desc="fit", total=len(faces), unit="face", disable=None):
            reason = _rejection(face, max_error)
            writer.writerow(_row(face, used=not reason))
            if reason:
                bad.append(BadItem(face.name, reason))
                continue
            _write(face, output)
            fitted.append(face)
    report_bad(bad, len(source.names), source.where, strict, report)
    fitted_list = output / f"{source.prefix}fitted.list"
    write_list(fitted_list, (face.name for face in fitted), f"fitted with {model.name}")
    return FitReport(tuple(fitted), tuple(bad), fitted_list, table)


def _listed(list_file: Path) -> list[str]:
    return [split_name(line)[0] for line in read_list(list_file)]


def _source(
    names: Sequence[str], where: str, list_file: Path | None, read: Callable[[str], FaceLandmarks]
) -> LandmarkSource:
    if list_file is None:
        return LandmarkSource(tuple(names), where, "", read)
    return LandmarkSource(tuple(names), list_file.name, f"{list_file.stem}_", read)


def _read(source: LandmarkSource, images: ImageFolder) -> tuple[list[FaceLandmarks], list[BadItem]]:
    faces, bad = [], []
    for name in tqdm(source.names, desc="read landmarks", unit="item", disable=None):
        try:
            check_name(name)
            images.find(name)
            faces.append(source.read(name))
        except ItemError as error:
            bad.append(BadItem(name, str(error)))
    return faces, bad


def _rejection(face: FittedFace, max_error: float | None) -> str:
    if not np.isfinite(face.params).all():
        return "the fit did not converge"
    if max_error is not None and face.error > max_error:
        return f"the fit misses the landmarks by {face.error:.1f} % of the face"
    return ""


def _row(face: FittedFace, used: bool) -> list[str]:
    figures = [face.error, *face.yaw_pitch_roll.tolist(), face.turned]
    return [face.name, *(f"{v:.2f}" if np.isfinite(v) else "" for v in figures), str(int(used))]


def _write(face: FittedFace, output: Path) -> None:
    entry = Entry(output, face.name, "", "")
    for path, values in ((entry.params, face.params), (entry.roi, face.roi)):
        with atomic_path(path) as temporary:
            np.save(temporary, values.astype(np.float32))


def _link_images(images: Path, output: Path) -> None:
    """Link the folder of images to ``output/images``."""
    output.mkdir(parents=True, exist_ok=True)
    place = output / "images"
    if place.exists() or place.is_symlink():
        if place.resolve() != images.resolve():
            raise ConfigError(
                f"{place} already exists and is not {images}: choose another output folder"
            )
        return
    try:
        place.symlink_to(images.resolve(), target_is_directory=True)
    except OSError as error:
        raise ConfigError(f"cannot link {place} to {images}: {error.strerror}") from error
