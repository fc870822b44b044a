from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from support.posed import posed, random_faces
from support.toy_collection import AFLW, CROP, ROI, position_images, write_source

from tddfa_ros.cli import main
from tddfa_ros.errors import ConfigError
from tddfa_ros.fitting.collection import AFLW_KEPT_EVERY, load_source
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.cache import CACHE_SIDE, MARGIN, FaceCache, open_cache
from tddfa_ros.training.collection import WEIGHTS, build_cache, without_green_lines
from tddfa_ros.training.profile import pose_angles

FACES = 6
BAD, EVALUATION = 4, 5
PROFILES, NEGATIVES = 18, 5
TURNED = round(0.11 * PROFILES)  # helen's share of the turned faces
GREEN = (30, 110, 20)


@pytest.fixture(scope="module")
def model(repo_root: Path) -> MorphableModel:
    return MorphableModel.load(repo_root / "models" / "tddfa_head.npz")


@pytest.fixture(scope="module")
def truth(model: MorphableModel) -> np.ndarray:
    return random_faces(model, np.random.default_rng(1), FACES, expressions=2)


def lined(count: int) -> np.ndarray:
    """Skin-colored images with a thin green line drawn on them."""
    images = np.full((count, CROP, CROP, 3), (130, 160, 200), np.uint8)
    for image in images:
        cv2.line(image, (20, 90), (170, 100), GREEN, 1)
    return images


@pytest.fixture(scope="module")
def collection(
    model: MorphableModel, truth: np.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Six faces of "helen", the fifth badly labeled, the last held out for evaluation, and five with lines drawn on them of "lfw"."""
    root = tmp_path_factory.mktemp("faces")
    write_source(
        root, "helen", model, truth, position_images(FACES), badly_labeled=BAD, evaluation=EVALUATION
    )  # fmt: skip
    write_source(root, "lfw", model, truth[:4], lined(4))
    (root / "backgrounds").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (90, 90, 3), dtype=np.uint8)
    cv2.imwrite(str(root / "backgrounds" / "noise.png"), noise)
    return root


def build(collection: Path, model: MorphableModel, folder: Path) -> FaceCache:
    return build_cache(
        collection,
        ["helen", "lfw"],
        model,
        folder,
        profiles=PROFILES,
        negatives=NEGATIVES,
        backgrounds=collection / "backgrounds",
    )


@pytest.fixture(scope="module")
def folder(
    model: MorphableModel, collection: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    build(collection, model, folder)
    return folder


@pytest.fixture(scope="module")
def cache(model: MorphableModel, folder: Path) -> FaceCache:
    return open_cache(folder, model)


# -- images -----------------------------------------------------------------------------------------------------


def test_cache_order_is_faces_profiles_negatives(cache: FaceCache) -> None:
    kinds = ["helen"] * 4 + ["lfw"] * 4 + ["profile"] * TURNED + ["negative"] * NEGATIVES
    assert cache.source.tolist() == kinds
    faces = len(kinds) - NEGATIVES
    assert cache.face.tolist() == [True] * faces + [False] * NEGATIVES
    assert cache.error[:faces].max() < 1.0  # % of the face
    assert not cache.params[faces:].any()
    assert cache.images.shape == (len(kinds), CACHE_SIDE, CACHE_SIDE, 3)
    np.testing.assert_allclose(cache.yaw_deg[:4], np.linspace(-80, 80, 18)[[0, 3, 6, 9]], rtol=1e-5)


def test_sampling_weights_and_held_out_rows(cache: FaceCache) -> None:
    assert cache.weight.tolist() == [1] * 8 + [0.75] * TURNED + [1] * NEGATIVES
    assert np.flatnonzero(cache.held_out).tolist() == [0, 8 + TURNED], (
        "first face and first negative"
    )
    assert WEIGHTS["cew"] > 1 > WEIGHTS["utk"]


def test_stored_crop_is_roi_with_margin(cache: FaceCache) -> None:
    at = np.arange(CACHE_SIDE)
    for i, image in enumerate(cache.images[:4]):
        np.testing.assert_array_equal(image[50, :, 0], at - MARGIN + ROI[0])
        np.testing.assert_array_equal(image[:, 50, 1], at - MARGIN + ROI[1])
        assert (image[..., 2] == 10 * i).all()


def test_fitted_landmarks_match_labels(
    model: MorphableModel, cache: FaceCache, truth: np.ndarray
) -> None:
    found = posed(model.head_landmarks(cache.params[:4]), cache.params[:4])[..., :2]
    expected = posed(model.head_landmarks(truth), truth)[:4, :, :2]
    inner = np.r_[:37, 39, 42, 45, 48:68]  # the teacher's eyelids are hardly believed
    assert np.linalg.norm(found - expected, axis=2)[:, inner].mean() < 0.6  # px of 120


def test_green_lines_are_inpainted_in_three_of_five_rows(cache: FaceCache) -> None:
    rows = np.arange(4, 8)  # of lfw
    green = [
        (image[..., 1].astype(int) - np.maximum(image[..., 0], image[..., 2])).max() > 50
        for image in cache.images[rows]
    ]
    assert green == (rows % 5 >= 3).tolist()


# -- turned faces ----------------------------------------------------------------------------------------------------


def test_profiles_have_larger_yaw(cache: FaceCache) -> None:
    originals, turned = cache.params[:4], cache.params[8 : 8 + TURNED]
    before, _ = pose_angles(originals)
    after, _ = pose_angles(turned)
    for params, yaw, told in zip(turned, after, cache.yaw_deg[8:], strict=False):
        # the rotation keeps identity and expression, which identify the face
        (source,) = np.flatnonzero((originals[:, 12:] == params[12:]).all(axis=1))
        assert source != 0, "no profile of a held-out face"
        assert np.abs(yaw) > max(35, np.abs(before[source]) + 15) - 2
        assert np.abs(yaw) < 92
        assert told == pytest.approx(yaw, abs=4)  # pitch and roll change the angle a little
    assert not np.array_equal(cache.images[8], cache.images[9])


# -- negatives -------------------------------------------------------------------------------------------------------


def test_negatives_are_distinct(cache: FaceCache) -> None:
    crops = np.asarray(cache.images[-NEGATIVES:])
    assert len({crop.tobytes() for crop in crops}) == NEGATIVES
    assert all(crop.std() > 10 for crop in crops)


def test_no_negatives_without_backgrounds(
    model: MorphableModel, collection: Path, tmp_path: Path
) -> None:
    cache = build_cache(collection, ["lfw"], model, tmp_path, profiles=0, negatives=NEGATIVES)
    assert cache.face.all() and len(cache) == 4


# -- the build itself ------------------------------------------------------------------------------------------------


def test_second_build_reuses_fits(
    model: MorphableModel, collection: Path, folder: Path, tmp_path: Path
) -> None:
    for path in folder.glob("fit_*.npz"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    stamps = {p.name: p.stat().st_mtime_ns for p in tmp_path.glob("fit_*.npz")}
    assert len(stamps) == 2
    first, second = open_cache(folder, model), build(collection, model, tmp_path)
    assert {p.name: p.stat().st_mtime_ns for p in tmp_path.glob("fit_*.npz")} == stamps
    for name in ("images", "params", "yaw_deg", "source", "held_out", "weight"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_rejects_invalid_options(model: MorphableModel, collection: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nobody\.npz"):
        build_cache(collection, ["nobody"], model, tmp_path)
    with pytest.raises(ConfigError, match="no face of lfw"):
        build_cache(collection, ["lfw"], model, tmp_path, max_error=1e-6)
    with pytest.raises(ConfigError, match="negatives need"):
        build_cache(
            collection, ["lfw"], model, tmp_path, profiles=0, backgrounds=collection / "backgrounds"
        )


def test_command(
    collection: Path, repo_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(repo_root / "models" / "tddfa_head.npz")
    arguments = ["dataset", "cache", "--faces", str(collection), "--output", str(tmp_path / "out")]
    arguments += ["--morphable-model", model]
    assert main([*arguments, "--sources", "helen, nobody"]) == 2
    assert "nobody.npz" in capsys.readouterr().err
    options = [
        "--profiles",
        "9",
        "--negatives",
        "3",
        "--backgrounds",
        str(collection / "backgrounds"),
    ]
    assert main([*arguments, "--sources", "helen", *options]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("helen: 4 crops, mean fit error 0.")
    assert out[1].startswith("profile: 1 crops, mean fit error 0.")
    assert out[2] == "negative: 3 crops"
    assert main([*arguments[:3], str(tmp_path / "nowhere"), *arguments[4:]]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert (
        main(["dataset", "cache", "--output", str(tmp_path / "out"), "--morphable-model", model])
        == 2
    )
    assert "--faces or --list" in capsys.readouterr().err


# -- lines -----------------------------------------------------------------------------------------------------------


def test_inpaints_thin_dark_green_lines() -> None:
    smooth = cv2.GaussianBlur(
        np.random.default_rng(0).integers(60, 220, (160, 160, 3), dtype=np.uint8), (0, 0), 12
    )
    smooth[..., 2] = np.maximum(smooth[..., 2], smooth[..., 1])  # no green of its own
    drawn = smooth.copy()
    cv2.line(drawn, (10, 20), (150, 130), GREEN, 1)
    for x in range(20, 150, 15):
        cv2.circle(drawn, (x, 100), 1, GREEN, -1)
    cleaned = without_green_lines(drawn)
    assert np.abs(drawn.astype(int) - smooth).max() > 50
    assert np.abs(cleaned.astype(int) - smooth).max() < 12
    np.testing.assert_array_equal(without_green_lines(smooth), smooth)


def test_keeps_bright_green() -> None:
    image = np.full((40, 40, 3), 128, np.uint8)
    image[10:20, 10:20] = (60, 220, 60)
    np.testing.assert_array_equal(without_green_lines(image), image)


# -- reading ---------------------------------------------------------------------------------------------------------


def test_labels_are_in_the_crop_frame(
    model: MorphableModel, collection: Path, truth: np.ndarray
) -> None:
    faces = load_source(collection, "helen")
    expected = posed(model.head_landmarks(truth), truth)
    np.testing.assert_allclose(faces.teacher68[:BAD], expected[:BAD], atol=1e-3)
    assert faces.evaluation.tolist() == [False] * 5 + [True]
    for missing in (faces.mesh478, faces.human68, faces.human21):
        assert np.isnan(missing).all()


def test_aflw_points_and_evaluation_split(
    model: MorphableModel, truth: np.ndarray, tmp_path: Path
) -> None:
    count = AFLW_KEPT_EVERY + 2
    params = np.repeat(truth[:1], count, axis=0)
    visible = np.full((count, AFLW, 2), np.nan, np.float32)
    visible[1, 14] = (30.0, 70.0)
    images = np.zeros((count, 8, 8, 3), np.uint8)
    write_source(tmp_path, "aflw", model, params, images, visible=visible)
    faces = load_source(tmp_path, "aflw")
    assert np.flatnonzero(faces.evaluation).tolist() == [0, AFLW_KEPT_EVERY]
    np.testing.assert_allclose(faces.human21[1, 14], [31.0, 50.0], atol=1e-4)  # x + 1 and 120 - y
    assert np.isfinite(faces.human21).sum() == 2
