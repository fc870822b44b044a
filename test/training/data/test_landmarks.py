from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tddfa_ros.training.data.landmarks import image_names, list_landmarks, read_landmarks
from tddfa_ros.training.data.layout import ItemError

RNG = np.random.default_rng(0)
P68 = RNG.uniform(10, 90, (68, 2))
P478 = RNG.uniform(10, 90, (478, 3))


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """Two folders: 68 points of a, s/b, c; 478 of a and d."""
    for name in ("one/s", "two"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("a", "s/b"):
        np.save(tmp_path / "one" / f"{name}.npy", P68)
    np.save(tmp_path / "one" / "c.npy", np.column_stack([P68, P68[:, 0]]))
    for name in ("a", "d"):
        np.save(tmp_path / "two" / f"{name}.npy", P478)
    return [tmp_path / "one", tmp_path / "two"]


def test_names(folders: list[Path]) -> None:
    assert list_landmarks(folders) == ["a", "c", "d", "s/b"]
    for name in ("s/b.jpg", "z.PNG", "z.mat"):
        (folders[0] / name).touch()
    assert image_names(folders[0]) == ["s/b", "z"]


def test_auto_uses_existing_landmarks(folders: list[Path]) -> None:
    both = read_landmarks(folders, "a")
    assert both.points68 is not None and both.points478 is not None and both.silhouette
    np.testing.assert_allclose(both.points68, P68, rtol=1e-6)
    np.testing.assert_allclose(both.points478, P478, rtol=1e-6)
    three = read_landmarks(folders, "c")
    assert three.points478 is None and not three.silhouette
    assert read_landmarks(folders, "d").points68 is None
    assert read_landmarks(folders, "a", "68").points478 is None
    assert read_landmarks(folders, "a", "478").points68 is None
    assert not read_landmarks(folders, "a", "478").silhouette


@pytest.mark.parametrize(
    ("name", "points", "reason"),
    [
        ("x", "auto", "there are no landmarks"),
        ("d", "68", "no 68 landmarks"),
        ("s/b", "478", "no 478 landmarks"),
        ("d", "both", "no 68 landmarks"),
    ],
)
def test_requested_landmarks_must_exist(
    folders: list[Path], name: str, points: str, reason: str
) -> None:
    with pytest.raises(ItemError, match=reason):
        read_landmarks(folders, name, points)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (P68[:67], r"shape \(67, 2\)"),
        (P68.ravel(), "shape"),
        (np.where(np.arange(68)[:, None] == 5, np.nan, P68), "NaN"),
        (np.ones((68, 2)), "on a line"),
        (np.outer(np.arange(68), [1.0, 2.0]), "on a line"),
        (np.array(["a"] * 68), "not an array of numbers"),
    ],
)
def test_rejects_invalid_landmarks(tmp_path: Path, values: np.ndarray, reason: str) -> None:
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(ItemError, match=reason):
        read_landmarks([tmp_path], "a")


def test_rejects_duplicate_landmarks(folders: list[Path]) -> None:
    np.save(folders[1] / "a.npy", P68)
    with pytest.raises(ItemError, match="two files with 68"):
        read_landmarks(folders, "a")
