from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tddfa_ros.errors import ConfigError
from tddfa_ros.training.attributes.labeled import (
    age_band,
    joined,
    labeled_faces,
    read_collection,
    read_utkface,
    stratified_parts,
)


def test_read_utkface(tmp_path: Path) -> None:
    (tmp_path / "part1").mkdir()
    for name in (
        "26_1_3_20170104.jpg.chip.jpg",
        "part1/101_0_4_2017.jpg",
        "39_1_2017.jpg",
        "x.txt",
    ):
        (tmp_path / name).touch()
    faces = read_utkface(tmp_path)
    assert sorted(zip(faces.age, faces.feminine, faces.ethnicity, strict=True)) == [
        (26, 1, 3),
        (101, 0, 4),
    ]
    assert np.isnan(faces.roi).all() and np.isnan(faces.smiling).all()
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="has no image with a name of UTKFace"):
        read_utkface(tmp_path / "empty")


def test_collection_uses_first_face_per_image(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "utk.npz",
        name=np.array(["utk/0_0.webp", "utk/0_1.webp", "utk/1_0.webp", "utk/2_0.webp"]),
        path=np.array(["a/5_0_1_2.jpg", "a/5_0_1_2.jpg", "a/30_1_2_3.jpg", "a/30_1_3.jpg"]),
        roi=np.tile(np.array([36.0, 36, 156, 156]), (4, 1)),
    )
    faces = read_collection(tmp_path)
    assert [Path(p).name for p in faces.paths] == ["0_0.webp", "1_0.webp"]
    np.testing.assert_array_equal(faces.age, [5, 30])
    assert faces.roi.shape == (2, 4)
    with pytest.raises(ConfigError, match=r"has no .*utk.npz"):
        read_collection(tmp_path / "nowhere")


def test_age_bands() -> None:
    ages = np.array([0, 2, 3, 9, 10, 69, 70, 116, np.nan], np.float32)
    np.testing.assert_array_equal(age_band(ages), [0, 0, 1, 1, 2, 7, 8, 8, 8])


def test_stratified_parts_are_deterministic_and_balanced() -> None:
    rng = np.random.default_rng(0)
    n = 5000
    faces = labeled_faces(
        [f"{i}.jpg" for i in range(n)],
        age=rng.integers(0, 100, n).astype(np.float32),
        feminine=(rng.random(n) < 0.3).astype(np.float32),
        ethnicity=rng.integers(0, 5, n),
    )
    parts = stratified_parts(faces)
    np.testing.assert_array_equal(parts, stratified_parts(faces))
    assert (parts != stratified_parts(faces, seed=1)).mean() > 0.2
    for part, share in (("train", 0.8), ("validation", 0.1), ("test", 0.1)):
        rows = parts == part
        assert rows.mean() == pytest.approx(share, abs=0.02)
        assert faces.feminine[rows].mean() == pytest.approx(faces.feminine.mean(), abs=0.02)
        assert (faces.ethnicity[rows] == 2).mean() == pytest.approx(0.2, abs=0.03)


def test_keeps_parts_of_the_collection() -> None:
    said = labeled_faces(["a", "b"], part=np.array(["test", "train"]))
    faces = joined([said, labeled_faces(["c", "d"], feminine=np.array([1, 0], np.float32))])
    assert len(faces) == 4
    np.testing.assert_array_equal(stratified_parts(faces)[:2], ["test", "train"])
