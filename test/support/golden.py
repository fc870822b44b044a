"""Reference results of the original 3DDFA_V2 program on two images; the files are outside the repository."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray


def golden(data_dir: Path, name: str) -> dict[str, NDArray[np.float64]]:
    """Return all arrays recorded for one image, or skip the test."""
    path = data_dir / "3ddfa_v2" / "golden" / f"{name}.npz"
    if not path.is_file():
        pytest.skip(f"3DDFA_V2's golden values are not in {path.parent}")
    with np.load(path) as file:
        return {key: file[key] for key in file.files}


def bfm68_landmarks(data_dir: Path, params62: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the 68 landmarks (68, 3) of the official morphable model before pose, or skip the test."""
    path = data_dir / "3ddfa_v2" / "bfm68.npz"
    if not path.is_file():
        pytest.skip(f"the official morphable model's landmark bases are not in {path.parent}")
    with np.load(path) as file:
        shape = file["w_shp"] @ params62[12:52, None] + file["w_exp"] @ params62[52:, None]
        return np.asarray((file["u"] + shape).reshape(68, 3), dtype=np.float32)
