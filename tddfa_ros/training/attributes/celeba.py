"""CelebA's list of attributes (Liu et al., ICCV 2015, "Deep Learning Face Attributes in the Wild") as labelled faces.

The data set is for non-commercial research; what is trained on it has to say so.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tddfa_ros.errors import ConfigError
from tddfa_ros.training.attributes.labelled import LabelledFaces, labelled_faces

ATTRIBUTES = "list_attr_celeba.txt"
PARTITION = "list_eval_partition.txt"
PICTURE_FOLDERS = ("img_align_celeba", "img_celeba", "images")
"""Where pictures may lie below the folder of the list, in this order; else beside the list."""

_PARTS = {"0": "train", "1": "validation", "2": "test"}


def read_celeba(folder: Path) -> LabelledFaces:
    """Read gender (``Male``) and ``Smiling`` of CelebA; ``Young`` is no age and is left out.

    Args:
        folder: with ``list_attr_celeba.txt``: the number of pictures, the names of the attributes, then one line per picture of its
            name and -1 or 1 for each attribute. ``list_eval_partition.txt`` beside it decides what is for training.

    Raises:
        ConfigError: the list is missing, or a line of it or of the partition cannot be read.
    """
    path = folder / ATTRIBUTES
    lines = _lines(path)
    if len(lines) < 2:
        raise ConfigError(f"{path} is no list of attributes: it has fewer than two lines")
    names = lines[1].split()
    missing = {"Male", "Smiling"} - set(names)
    if missing:
        raise ConfigError(f"{path} does not name the attribute {', '.join(sorted(missing))}")
    rows = [line.split() for line in lines[2:]]
    for number, row in enumerate(rows, start=3):
        if len(row) != len(names) + 1 or not set(row[1:]) <= {"-1", "1"}:
            raise ConfigError(f"{path}, line {number}: expected a name and {len(names)} of -1 or 1")
    values = np.array([row[1:] for row in rows], dtype=np.float32).reshape(-1, len(names))
    pictures = [row[0] for row in rows]
    place = next((folder / f for f in PICTURE_FOLDERS if (folder / f).is_dir()), folder)
    return labelled_faces(
        [str(place / name) for name in pictures],
        feminine=(values[:, names.index("Male")] < 0).astype(np.float32),
        smiling=(values[:, names.index("Smiling")] > 0).astype(np.float32),
        part=np.array(_parts(folder / PARTITION, pictures), dtype=np.str_),
    )


def _parts(path: Path, pictures: list[str]) -> list[str]:
    if not path.is_file():
        return [""] * len(pictures)
    parts: dict[str, str] = {}
    for number, line in enumerate(_lines(path), start=1):
        name, _, part = line.partition(" ")
        if part.strip() not in _PARTS:
            raise ConfigError(f"{path}, line {number}: expected a name and 0, 1 or 2")
        parts[name] = _PARTS[part.strip()]
    return [parts.get(name, "") for name in pictures]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read CelebA's {path}: {error}") from error
