"""Faces with labels of people: age, gender presentation, smiling; one row per face, from any collection that has some of them."""

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
"""UTKFace's own words, in the order of its numbers."""

AGE_BANDS = (0, 3, 10, 20, 30, 40, 50, 60, 70, 200)
"""Edges, years: errors are reported, and splits drawn, by these bands."""

_UTK_NAME = re.compile(r"(\d{1,3})_([01])_([0-4])_\d+")


@dataclass(frozen=True, eq=False)
class LabelledFaces:
    """n faces; what is not known is NaN, or -1.

    Attributes:
        pictures: (n,) paths.
        roi: (n, 4) x0, y0, x1, y1 px: the square around the landmarks; NaN: to be found by the pipeline.
        age: (n,) years.
        feminine: (n,) 1 = labelled female, 0 = male.
        smiling: (n,) 1 or 0.
        ethnicity: (n,) index into :data:`UTK_ETHNICITIES`; only for measuring, no network learns it.
        part: (n,) "train", "validation" or "test" where the collection says so, else "".
    """

    pictures: NDArray[np.str_]
    roi: FloatArray
    age: FloatArray
    feminine: FloatArray
    smiling: FloatArray
    ethnicity: NDArray[np.int64]
    part: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.pictures)

    def take(self, rows: NDArray[np.int64]) -> LabelledFaces:
        """Some of the faces, by index."""
        return LabelledFaces(*(getattr(self, f.name)[rows] for f in fields(self)))


def labelled_faces(
    pictures: Sequence[str],
    *,
    roi: FloatArray | None = None,
    age: FloatArray | None = None,
    feminine: FloatArray | None = None,
    smiling: FloatArray | None = None,
    ethnicity: NDArray[np.int64] | None = None,
    part: NDArray[np.str_] | None = None,
) -> LabelledFaces:
    """Rows with what is given; the rest is unknown."""
    n = len(pictures)
    unknown = np.full(n, np.nan, dtype=np.float32)
    return LabelledFaces(
        np.asarray(pictures, dtype=np.str_),
        np.full((n, 4), np.nan, dtype=np.float32) if roi is None else roi,
        unknown if age is None else age,
        unknown if feminine is None else feminine,
        unknown if smiling is None else smiling,
        np.full(n, -1, dtype=np.int64) if ethnicity is None else ethnicity,
        np.full(n, "", dtype=np.str_) if part is None else part,
    )


def joined(parts: Sequence[LabelledFaces]) -> LabelledFaces:
    """All faces of several collections, in that order."""
    return LabelledFaces(
        *(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(LabelledFaces))
    )


def read_utkface(folder: Path) -> LabelledFaces:
    """The faces of UTKFace (Zhang et al., CVPR 2017): pictures called ``age_gender_ethnicity_date...``.

    A few names of the original lack a number and are passed over.

    Raises:
        ConfigError: the folder has no such picture.
    """
    pictures = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".jpg", ".png"))
    labels = [_utk_labels(p.name) for p in pictures]
    known = [i for i, label in enumerate(labels) if label is not None]
    if not known:
        raise ConfigError(f"{folder} has no picture with a name of UTKFace (age_gender_race_date)")
    return _from_utk(
        [str(pictures[i]) for i in known], np.array([labels[i] for i in known]), roi=None
    )


def read_collection(root: Path) -> LabelledFaces:
    """The faces of UTKFace in the research collection (format: CONTRIBUTING.md), whose regions of interest are known.

    Of pictures with several faces only the first counts: the label does not say whom it means.

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
    pictures = [str(root / "img" / str(names[i])) for i in rows]
    return _from_utk(pictures, np.array([labels[i] for i in rows]), roi[rows].astype(np.float32))


def age_band(age: FloatArray) -> NDArray[np.int64]:
    """Index (n,) of the band of :data:`AGE_BANDS`; NaN counts as the last."""
    years = np.nan_to_num(age, nan=AGE_BANDS[-1] - 1)
    return np.searchsorted(np.asarray(AGE_BANDS[1:-1]), years, side="right")


def stratified_parts(faces: LabelledFaces, seed: int = 0) -> NDArray[np.str_]:
    """Each face's part: of every ten of one age band, gender and ethnicity, one is for "validation", one for "test".

    What the collection says itself stays. The order is random with a fixed seed, and does not depend on other strata.
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
    pictures: Sequence[str], labels: NDArray[np.int64], roi: FloatArray | None
) -> LabelledFaces:
    return labelled_faces(
        pictures,
        roi=roi,
        age=labels[:, 0].astype(np.float32),
        feminine=labels[:, 1].astype(np.float32),
        ethnicity=labels[:, 2].astype(np.int64),
    )
