"""Faces with labels of age, gender presentation and smiling: UTKFace, CelebA and the research collection.

CelebA (Liu et al., ICCV 2015, "Deep Learning Face Attributes in the Wild") is for non-commercial research only, and so is a network trained on it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.errors import ConfigError
from tddfa_ros.types import FloatArray

UTK_ETHNICITIES = ("White", "Black", "Asian", "Indian", "other")
"""Labels of UTKFace, in the order of its numbers."""

AGE_BANDS = (0, 3, 10, 20, 30, 40, 50, 60, 70, 200)
"""Edges of the age bands of reports and splits, years."""

ATTRIBUTES = "list_attr_celeba.txt"
PARTITION = "list_eval_partition.txt"
IMAGE_FOLDERS = ("img_align_celeba", "img_celeba", "images")
"""Possible folders of the images below that of the list, in this order; else the images are beside the list."""

_PARTS = {"0": "train", "1": "validation", "2": "test"}

_UTK_NAME = re.compile(r"(\d{1,3})_([01])_([0-4])_\d+")


@dataclass(frozen=True, eq=False)
class LabeledFaces:
    """n faces; unknown labels are NaN, or -1.

    Attributes:
        paths: (n,) of the images.
        roi: (n, 4) x0, y0, x1, y1 px: the square around the landmarks; NaN: not known, found by the pipeline.
        age: (n,) years.
        feminine: (n,) 1 = labeled female, 0 = male.
        smiling: (n,) 1 or 0.
        ethnicity: (n,) index into :data:`UTK_ETHNICITIES`; for reports and sampling weights, never a training target.
        part: (n,) "train", "validation" or "test" if the collection defines it, else "".
    """

    paths: NDArray[np.str_]
    roi: FloatArray
    age: FloatArray
    feminine: FloatArray
    smiling: FloatArray
    ethnicity: NDArray[np.int64]
    part: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, rows: NDArray[np.int64]) -> LabeledFaces:
        """Return some of the faces, by index."""
        return LabeledFaces(*(getattr(self, f.name)[rows] for f in fields(self)))


def labeled_faces(
    paths: Sequence[str],
    *,
    roi: FloatArray | None = None,
    age: FloatArray | None = None,
    feminine: FloatArray | None = None,
    smiling: FloatArray | None = None,
    ethnicity: NDArray[np.int64] | None = None,
    part: NDArray[np.str_] | None = None,
) -> LabeledFaces:
    """Create faces with the given labels; the others are unknown."""
    n = len(paths)
    unknown = np.full(n, np.nan, dtype=np.float32)
    return LabeledFaces(
        np.asarray(paths, dtype=np.str_),
        np.full((n, 4), np.nan, dtype=np.float32) if roi is None else roi,
        unknown if age is None else age,
        unknown if feminine is None else feminine,
        unknown if smiling is None else smiling,
        np.full(n, -1, dtype=np.int64) if ethnicity is None else ethnicity,
        np.full(n, "", dtype=np.str_) if part is None else part,
    )


def joined(parts: Sequence[LabeledFaces]) -> LabeledFaces:
    """Concatenate the faces of several collections."""
    return LabeledFaces(
        *(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(LabeledFaces))
    )


def read_utkface(folder: Path) -> LabeledFaces:
    """Read UTKFace (Zhang et al., CVPR 2017): images named ``age_gender_ethnicity_date...``.

    A few original file names lack a number and are skipped.

    Raises:
        ConfigError: the folder has no such image.
    """
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".jpg", ".png"))
    labels = [_utk_labels(p.name) for p in paths]
    known = [i for i, label in enumerate(labels) if label is not None]
    if not known:
        raise ConfigError(f"{folder} has no image with a name of UTKFace (age_gender_race_date)")
    return _from_utk([str(paths[i]) for i in known], np.array([labels[i] for i in known]), roi=None)


def read_collection(root: Path) -> LabeledFaces:
    """Read the faces of UTKFace in a face collection (docs/training_data.md), with their ROIs.

    Only the first face of an image is used, because the label of an image with several faces is ambiguous.

    Raises:
        ConfigError: the collection has no ``utk.npz``.
    """
    path = root / "utk.npz"
    if not path.is_file():
        raise ConfigError(f"the face collection has no {path}")
    with np.load(path) as file:
        names, originals, roi = file["name"], file["path"], file["roi"]
    labels = [_utk_labels(Path(str(original)).name) for original in originals]
    first = np.zeros(len(names), dtype=bool)
    first[np.unique(originals, return_index=True)[1]] = True
    rows = [i for i, label in enumerate(labels) if label is not None and first[i]]
    paths = [str(root / "img" / str(names[i])) for i in rows]
    return _from_utk(paths, np.array([labels[i] for i in rows]), roi[rows].astype(np.float32))


def read_celeba(folder: Path) -> LabeledFaces:
    """Read gender (``Male``) and ``Smiling`` of CelebA; ``Young`` is not an age and is not used.

    Args:
        folder: with ``list_attr_celeba.txt``: the number of images, the names of the attributes, then one line per image of its
            name and -1 or 1 for each attribute. ``list_eval_partition.txt`` beside it decides what is for training.

    Raises:
        ConfigError: the list is missing, or a line of it or of the partition cannot be read.
    """
    path = folder / ATTRIBUTES
    lines = _lines(path)
    if len(lines) < 2:
        raise ConfigError(f"{path} is not a list of attributes: it has fewer than two lines")
    names = lines[1].split()
    missing = {"Male", "Smiling"} - set(names)
    if missing:
        raise ConfigError(f"{path} lacks the attribute {', '.join(sorted(missing))}")
    rows = [line.split() for line in lines[2:]]
    for number, row in enumerate(rows, start=3):
        if len(row) != len(names) + 1 or not set(row[1:]) <= {"-1", "1"}:
            raise ConfigError(f"{path}, line {number}: expected a name and {len(names)} of -1 or 1")
    values = np.array([row[1:] for row in rows], dtype=np.float32).reshape(-1, len(names))
    images = [row[0] for row in rows]
    place = next((folder / f for f in IMAGE_FOLDERS if (folder / f).is_dir()), folder)
    return labeled_faces(
        [str(place / name) for name in images],
        feminine=(values[:, names.index("Male")] < 0).astype(np.float32),
        smiling=(values[:, names.index("Smiling")] > 0).astype(np.float32),
        part=np.array(_parts(folder / PARTITION, images), dtype=np.str_),
    )


def _parts(path: Path, images: list[str]) -> list[str]:
    if not path.is_file():
        return [""] * len(images)
    parts: dict[str, str] = {}
    for number, line in enumerate(_lines(path), start=1):
        name, _, part = line.partition(" ")
        if part.strip() not in _PARTS:
            raise ConfigError(f"{path}, line {number}: expected a name and 0, 1 or 2")
        parts[name] = _PARTS[part.strip()]
    return [parts.get(name, "") for name in images]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read CelebA's {path}: {error}") from error


def age_band(age: FloatArray) -> NDArray[np.int64]:
    """Return the index (n,) of the band of :data:`AGE_BANDS`; NaN gets the last."""
    years = np.nan_to_num(age, nan=AGE_BANDS[-1] - 1)
    return np.searchsorted(np.asarray(AGE_BANDS[1:-1]), years, side="right")


def stratified_parts(faces: LabeledFaces, seed: int = 0) -> NDArray[np.str_]:
    """Split faces into "train", "validation" and "test", 8:1:1 within each stratum of age band, gender, smiling and ethnicity.

    Parts defined by the collection are kept. The random split of a stratum does not depend on other strata.
    """
    known = (faces.age, faces.feminine, faces.smiling)
    bands = np.where(np.isnan(faces.age), -1, age_band(faces.age))
    binary = [np.nan_to_num(labels, nan=-1).astype(np.int64) for labels in known[1:]]
    strata = np.stack([bands, *binary, faces.ethnicity], axis=1)
    parts = np.array(faces.part, dtype="<U10")
    for n, stratum in enumerate(np.unique(strata, axis=0)):
        rows = np.flatnonzero((strata == stratum).all(axis=1) & (parts == ""))
        rng = np.random.default_rng((seed, n))
        place = (rng.permutation(len(rows)) + rng.integers(10)) % 10
        parts[rows] = np.select([place == 0, place == 1], ["test", "validation"], "train")
    return parts


def _utk_labels(name: str) -> tuple[int, int, int] | None:
    match = _UTK_NAME.match(name)
    if match is None:
        return None
    age, gender, ethnicity = (int(group) for group in match.groups())
    return age, gender, ethnicity


def _from_utk(
    paths: Sequence[str], labels: NDArray[np.int64], roi: FloatArray | None
) -> LabeledFaces:
    return labeled_faces(
        paths,
        roi=roi,
        age=labels[:, 0].astype(np.float32),
        feminine=labels[:, 1].astype(np.float32),
        ethnicity=labels[:, 2].astype(np.int64),
    )
