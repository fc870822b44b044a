from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from support.posed import pixels, posed, random_faces

from tddfa_ros.cli import main
from tddfa_ros.errors import ConfigError
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.cache import CACHE_SIDE, MARGIN, FaceCache, build_cache, open_cache
from tddfa_ros.training.faces import load_source

FACES = 6
CROP = 192
ROI = np.array([36.0, 36.0, 156.0, 156.0])


@pytest.fixture(scope="module")
def model(repo_root: Path) -> MorphableModel:
    return MorphableModel.load(repo_root / "models" / "tddfa_head.npz")


@pytest.fixture(scope="module")
def truth(model: MorphableModel) -> np.ndarray:
    return random_faces(model, np.random.default_rng(1), FACES, expressions=2)


@pytest.fixture(scope="module")
def collection(
    model: MorphableModel, truth: np.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A collection in the format of the real one: six faces, the last kept for evaluation, the fifth badly labelled."""
    root = tmp_path_factory.mktemp("faces")
    points = posed(model.head_landmarks(truth), truth)
    labels = np.concatenate([pixels(points) + ROI[:2], points[..., 2:]], axis=2)
    labels[4] += np.random.default_rng(2).normal(0, 15, labels[4].shape)
    names = np.array([f"toy/{i}.png" for i in range(FACES)])
    (root / "img" / "toy").mkdir(parents=True)
    v, u = np.mgrid[:CROP, :CROP]
    for i, name in enumerate(names):  # blue tells x, green tells y, red tells which face
        image = np.stack([u, v, np.full_like(u, 10 * i)], axis=2).astype(np.uint8)
        cv2.imwrite(str(root / "img" / name), image)
    np.savez(root / "fm478_basis.npz", mean=np.zeros(478 * 3, np.float32), basis=np.zeros((2, 478 * 3), np.float16))  # fmt: skip
    np.savez(
        root / "toy.npz",
        name=names,
        roi=np.tile(ROI, (FACES, 1)),
        v2_68=labels,
        v2_spread=np.full(FACES, 0.005),
        v2_ypr=np.linspace(-80, 80, 3 * FACES).reshape(FACES, 3),
        fm478_coef=np.full((FACES, 2), np.nan, np.float16),
        arkit52=np.full((FACES, 52), np.nan),
        split=np.array([""] * (FACES - 1) + ["eval"]),
    )
    return root


@pytest.fixture(scope="module")
def folder(
    model: MorphableModel, collection: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    build_cache(collection, ["toy"], model, folder)
    return folder


@pytest.fixture(scope="module")
def cache(model: MorphableModel, folder: Path) -> FaceCache:
    return open_cache(folder, model)


def test_labels_are_read_into_the_crop_frame(
    model: MorphableModel, collection: Path, truth: np.ndarray
) -> None:
    faces = load_source(collection, "toy")
    expected = posed(model.head_landmarks(truth), truth)
    np.testing.assert_allclose(faces.teacher68[:4], expected[:4], atol=1e-3)
    assert faces.evaluation.tolist() == [False] * 5 + [True]
    assert np.isnan(faces.mesh478).all() and np.isnan(faces.human68).all()


def test_good_faces_are_kept(cache: FaceCache) -> None:
    assert len(cache) == 4
    assert cache.source.tolist() == ["toy"] * 4
    assert cache.error.max() < 1.0  # % of the face
    np.testing.assert_allclose(cache.yaw_deg, np.linspace(-80, 80, 18)[[0, 3, 6, 9]], rtol=1e-6)


def test_the_roi_is_in_the_middle_with_its_margin(cache: FaceCache) -> None:
    assert cache.images.shape == (4, CACHE_SIDE, CACHE_SIDE, 3)
    at = np.arange(CACHE_SIDE)
    for i, image in enumerate(cache.images):
        np.testing.assert_array_equal(image[50, :, 0], at - MARGIN + 36)
        np.testing.assert_array_equal(image[:, 50, 1], at - MARGIN + 36)
        assert (image[..., 2] == 10 * i).all()


def test_params_put_landmarks_where_the_labels_are(
    model: MorphableModel, cache: FaceCache, truth: np.ndarray
) -> None:
    found = posed(model.head_landmarks(cache.params), cache.params)[..., :2]
    expected = posed(model.head_landmarks(truth), truth)[:4, :, :2]
    inner = np.r_[:37, 39, 42, 45, 48:68]  # the teacher's eyelids are hardly believed
    assert np.linalg.norm(found - expected, axis=2)[:, inner].mean() < 0.6  # px of 120


def test_fits_are_kept(model: MorphableModel, collection: Path, folder: Path) -> None:
    fit = folder / f"fit_toy_{model.topology_id}.npz"
    before = fit.stat().st_mtime_ns
    build_cache(collection, ["toy"], model, folder)
    assert fit.stat().st_mtime_ns == before


def test_a_cache_of_another_model_is_refused(
    model: MorphableModel, folder: Path, tmp_path: Path
) -> None:
    from support.synthetic_model import synthetic_model

    with pytest.raises(ConfigError, match=model.topology_id):
        open_cache(folder, synthetic_model())
    with pytest.raises(ConfigError, match="tddfa dataset cache"):
        open_cache(tmp_path, model)


def test_mistakes_are_named(model: MorphableModel, collection: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nobody\.npz"):
        build_cache(collection, ["nobody"], model, tmp_path)
    with pytest.raises(ConfigError, match="no face of toy"):
        build_cache(collection, ["toy"], model, tmp_path, max_error=1e-6)


def test_command(
    collection: Path, repo_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(repo_root / "models" / "tddfa_head.npz")
    arguments = ["dataset", "cache", "--faces", str(collection), "--out", str(tmp_path / "out")]
    arguments += ["--model", model]
    assert main([*arguments, "--sources", "toy, nobody"]) == 2
    assert "nobody.npz" in capsys.readouterr().err
    assert main([*arguments, "--sources", "toy"]) == 0
    assert "4 faces" in capsys.readouterr().out
    assert main([*arguments[:3], str(tmp_path / "nowhere"), *arguments[4:]]) == 2
    assert capsys.readouterr().err.startswith("error: ")
