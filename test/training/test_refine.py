"""Label refinement with a network that predicts the truth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tddfa_ros.cli import main
from tddfa_ros.errors import ConfigError
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.cache import FaceCache, open_cache
from tddfa_ros.training.framing import ParamMirror, landmark_pixels

torch = pytest.importorskip("torch", reason="the extra [training] (torch) is not installed")

from tddfa_ros.training import refine as module  # noqa: E402
from tddfa_ros.training.networks import Predictions  # noqa: E402
from tddfa_ros.training.refine import blend, refine, write_refined  # noqa: E402
from tddfa_ros.training.trainer import Trainer  # noqa: E402


class Oracle:
    """A network that identifies the face of a crop and returns its true parameters in the frame of the crop."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, model: MorphableModel, truth: np.ndarray):
        self._truth, self._mirror = truth, ParamMirror(model)
        self._answers: list[np.ndarray] = []
        cut = module.reframe

        def remember(image, params, roll, zoom, shift, **options):  # type: ignore[no-untyped-def]
            row = int(image[0, 0, 0]) + 256 * int(image[0, 0, 1])
            self._answers.append(cut(image, truth[row], roll, zoom, shift, **options)[1])
            return cut(image, params, roll, zoom, shift, **options)

        monkeypatch.setattr(module, "reframe", remember)
        self._calls = 0

    def __call__(self, batch: torch.Tensor) -> Predictions:
        known = np.stack(self._answers[-len(batch) :])
        self._calls += 1
        if self._calls % 2 == 0:  # the mirror image
            known = self._mirror(known)
        return Predictions(torch.from_numpy(known), torch.zeros(len(batch), 68, 2))


@pytest.fixture
def noisy(tiny_cache: FaceCache) -> tuple[FaceCache, np.ndarray]:
    """A cache with perturbed labels, two of them strongly, and the true params."""
    truth = tiny_cache.params.copy()
    images = np.array(tiny_cache.images)
    for row in range(len(images)):
        images[row, 0, 0] = (row % 256, row // 256, 0)
    rng = np.random.default_rng(1)
    params = truth + rng.normal(0, 1, truth.shape).astype(np.float32) * 0.01
    params[:, [3, 7]] += rng.normal(0, 1.5, (len(params), 2)).astype(np.float32)
    params[5, 3] += 30
    params[~tiny_cache.face] = 0
    return replace(tiny_cache, params=params.astype(np.float32), images=images), truth


def distances(model: MorphableModel, cache: FaceCache, params: np.ndarray, truth: np.ndarray):  # type: ignore[no-untyped-def]
    return np.array(
        [
            np.linalg.norm(
                landmark_pixels(model, params[r]) - landmark_pixels(model, truth[r]), axis=1
            ).mean()
            for r in np.flatnonzero(cache.face)
        ]
    )


def test_refined_labels_are_blended_by_share(
    monkeypatch: pytest.MonkeyPatch,
    tiny_model: MorphableModel,
    noisy: tuple[FaceCache, np.ndarray],
) -> None:
    cache, truth = noisy
    before = distances(tiny_model, cache, cache.params, truth)
    for share in (0.0, 0.5, 1.0):
        with monkeypatch.context() as patched:
            oracle = Oracle(patched, tiny_model, truth)
            refined = refine(cache, tiny_model, oracle, share=share)  # type: ignore[arg-type]
        after = distances(tiny_model, cache, refined.params, truth)
        held = cache.held_out[cache.face]
        np.testing.assert_allclose(after[held], before[held])
        assert after[~held].mean() == pytest.approx((1 - share) * before[~held].mean(), abs=0.1)
        np.testing.assert_array_equal(refined.params[~cache.face], 0)


def test_faces_with_large_disagreement_are_dropped(
    monkeypatch: pytest.MonkeyPatch,
    tiny_model: MorphableModel,
    noisy: tuple[FaceCache, np.ndarray],
) -> None:
    cache, truth = noisy
    refined = refine(cache, tiny_model, Oracle(monkeypatch, tiny_model, truth), limit=12.0)  # type: ignore[arg-type]
    assert np.flatnonzero(refined.dropped).tolist() == [5]
    assert np.isnan(refined.disagreement[~cache.face]).all()
    assert refined.disagreement[5] > 20 and np.nanmedian(refined.disagreement) < 5


def test_blended_pose_is_a_scaled_rotation() -> None:
    def pose(angle: float, scale: float) -> np.ndarray:
        cos, sin = np.cos(angle), np.sin(angle)
        turn = scale * np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
        return np.concatenate([np.column_stack([turn, [1, 2, 3]]).ravel(), np.ones(4)])[None]

    mixed = blend(pose(0.0, 2.0), pose(0.4, 2.0), 0.5)
    turn = mixed[0, :12].reshape(3, 4)[:, :3]
    np.testing.assert_allclose(turn @ turn.T, np.eye(3) * (turn @ turn.T)[0, 0], atol=1e-5)
    assert np.arctan2(turn[1, 0], turn[0, 0]) == pytest.approx(0.2, abs=1e-6)
    np.testing.assert_allclose(mixed[0, [3, 7, 11]], [1, 2, 3])


def test_write_refined_keeps_the_source(
    tiny_model: MorphableModel, tiny_folder: Path, tiny_cache: FaceCache, tmp_path: Path
) -> None:
    dropped = np.zeros(len(tiny_cache), np.bool_)
    dropped[[3, 12]] = True  # 12 is held out
    refined = module.Refined(tiny_cache.params + 1, np.zeros(len(tiny_cache), np.float32), dropped)
    write_refined(tiny_folder, tmp_path / "new", tiny_cache, refined)
    made = open_cache(tmp_path / "new", tiny_model)
    np.testing.assert_array_equal(made.params, tiny_cache.params + 1)
    np.testing.assert_array_equal(made.images, tiny_cache.images)
    assert np.flatnonzero(made.weight != tiny_cache.weight).tolist() == [3] and made.weight[3] == 0
    assert tiny_cache.held_out[12]
    with pytest.raises(ConfigError, match="another folder"):
        write_refined(tiny_folder, tiny_folder, tiny_cache, refined)


def test_refine_command(
    tiny_model: MorphableModel,
    tiny_folder: Path,
    tiny_cache: FaceCache,
    whole_run: Trainer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tiny_model.save(tmp_path / "head.npz")
    command = ["dataset", "refine", "--cache", str(tiny_folder), "--output", str(tmp_path / "new")]
    command += [
        "--network",
        str(whole_run.checkpoint),
        "--morphable-model",
        str(tmp_path / "head.npz"),
    ]
    assert main(command) == 0
    made = open_cache(tmp_path / "new", tiny_model)
    trained = tiny_cache.face & ~tiny_cache.held_out
    expressions = tiny_model.layout.expression_slice
    assert (made.params != tiny_cache.params)[trained][:, expressions].any(axis=1).all()
    assert main([*command, "--keep-expressions"]) == 0
    made = open_cache(tmp_path / "new", tiny_model)
    moved = (made.params != tiny_cache.params)[trained]
    assert moved[:, :12].all() and not moved[:, expressions].any()
    assert f"{tiny_cache.face.sum()} faces, disagreement" in capsys.readouterr().out
