"""Augmentation on the device, here the CPU, compared with the augmentation of single crops."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.tiny_training import StopAfter, tiny

from tddfa_ros.errors import ConfigError
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.cache import CACHE_SIDE, FaceCache
from tddfa_ros.training.config import AugmentConfig, TrainConfig

torch = pytest.importorskip("torch", reason="the extra [training] (torch) is not installed")

from tddfa_ros.training import checkpoint as checkpoints  # noqa: E402
from tddfa_ros.training.device_augment import DeviceAugment  # noqa: E402
from tddfa_ros.training.device_images import (  # noqa: E402
    Views,
    gaussian_blur,
    recolor,
    warp,
)
from tddfa_ros.training.framing import (  # noqa: E402
    ParamMirror,
    landmark_frame,
    landmark_pixels,
    reframe,
)
from tddfa_ros.training.loading import DeviceData  # noqa: E402
from tddfa_ros.training.processes import Workers  # noqa: E402
from tddfa_ros.training.trainer import Trainer  # noqa: E402

OFF = {
    f.name: 0.0
    for f in fields(AugmentConfig)
    if f.name not in ("large_roll_deg", "wide_scale", "wide_shift")
}
"""No augmentation."""


def smooth_image(seed: int = 0) -> np.ndarray:
    coarse = np.random.default_rng(seed).uniform(20, 235, (12, 12, 3)).astype(np.float32)
    image = cv2.resize(coarse, (CACHE_SIDE, CACHE_SIDE), interpolation=cv2.INTER_CUBIC)
    return image.clip(0, 255).astype(np.uint8)


def augment(model: MorphableModel, size: int = 96, **options: object) -> DeviceAugment:
    return DeviceAugment(AugmentConfig(**{**OFF, **options}), model, size)


def batch_of(cache: FaceCache, count: int) -> tuple[torch.Tensor, np.ndarray]:
    rows = np.flatnonzero(cache.face)[:count]
    return torch.from_numpy(np.array(cache.images[rows])), cache.params[rows]


# -- geometry ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("border", [(0, 0, 0), (200, 30, 90), None])
@pytest.mark.parametrize("size", [96, 120, 160])
def test_warp_matches_reframe(
    tiny_model: MorphableModel, border: tuple[int, int, int] | None, size: int
) -> None:
    image, params = smooth_image(), np.ones(tiny_model.layout.size, np.float32)
    roll, zoom = np.array([0.4, -1.2]), np.array([1.3, 0.6])
    shift = np.array([[9.0, -4.0], [-30.0, 12.0]])
    views = Views(np.zeros(2, np.bool_), roll, zoom, shift)
    color = np.full((2, 3), np.nan) if border is None else np.tile(np.array(border, float), (2, 1))
    found = warp(torch.from_numpy(np.stack([image, image])), views, color, size)
    assert found.shape == (2, 3, size, size)
    for row in range(2):
        wanted, _ = reframe(image, params, roll[row], zoom[row], shift[row], border, size)
        difference = np.abs(found[row].permute(1, 2, 0).numpy() - wanted)
        # OpenCV interpolates in steps of 1/32 px, which matters at the edge to the border color
        assert np.quantile(difference, 0.97) < 3
        assert difference.mean() < 0.7


def test_warp_mirrors_the_stored_crop() -> None:
    image = smooth_image(1)
    both = torch.from_numpy(np.stack([image, image[:, ::-1]]))
    one, two = np.ones(2), np.zeros((2, 2))
    views = Views(np.array([True, False]), 0.3 * one, one, two)
    mirrored, flipped = warp(both, views, np.zeros((2, 3)), 120)
    torch.testing.assert_close(mirrored, flipped, atol=1e-2, rtol=0)


def test_without_augmentation_faces_are_framed_by_landmarks(
    tiny_model: MorphableModel, tiny_cache: FaceCache
) -> None:
    images, params = batch_of(tiny_cache, 5)
    crops, found = augment(tiny_model)(images, params, np.random.default_rng(0))
    assert crops.dtype == torch.uint8
    for row in range(5):
        zoom, shift = landmark_frame(tiny_model, params[row])
        wanted, moved = reframe(images[row].numpy(), params[row], 0.0, zoom, shift, size=96)
        np.testing.assert_allclose(found[row], moved, atol=1e-4)
        assert np.abs(crops[row].permute(1, 2, 0).numpy() - wanted.astype(float)).mean() < 2


def test_landmarks_move_with_the_image(tiny_model: MorphableModel, tiny_cache: FaceCache) -> None:
    """The cache has white spots of 3 x 3 px at its landmarks, on a background of at most 220."""
    images, params = batch_of(tiny_cache, 24)
    options = {"roll_sigma_deg": 30.0, "shift_sigma": 0.05, "scale_sigma": 0.1, "mirror": 0.5}
    crops, found = augment(tiny_model, 120, **options)(images, params, np.random.default_rng(1))
    assert np.abs(found - params).max() > 1
    points = np.round(landmark_pixels(tiny_model, found)).astype(int)
    inside = ((points >= 2) & (points < 118)).all(axis=2)
    at = [crops[i, :, y, x].float().mean() for i, j in zip(*np.nonzero(inside), strict=True) for x, y in [points[i, j]]]  # fmt: skip
    assert inside.mean() > 0.9
    assert np.median(at) > 235 > 1.2 * float(crops.float().mean())


def test_mirror_maps_params(tiny_model: MorphableModel, tiny_cache: FaceCache) -> None:
    images, params = batch_of(tiny_cache, 4)
    _, found = augment(tiny_model, 120, mirror=1.0)(images, params, np.random.default_rng(0))
    mirrored = ParamMirror(tiny_model)(params)
    np.testing.assert_allclose(found[:, 12:], mirrored[:, 12:], atol=1e-5)


def test_negatives_are_not_framed(tiny_model: MorphableModel) -> None:
    image = smooth_image(2)
    params = np.zeros((1, tiny_model.layout.size), np.float32)
    crops, _ = augment(tiny_model, 120)(
        torch.from_numpy(image[None]), params, np.random.default_rng(0)
    )
    middle = image[36:156, 36:156].astype(float)
    assert np.abs(crops[0].permute(1, 2, 0).numpy() - middle).max() <= 1


def test_distributions_of_roll_and_framing(tiny_model: MorphableModel) -> None:
    config = AugmentConfig(
        roll_sigma_deg=10, large_roll=0, p_wide=0.25, p_weak=0.5, shift_sigma=0.08, scale_sigma=0.1
    )
    views = DeviceAugment(config, tiny_model).draw(20000, np.random.default_rng(0))
    assert np.degrees(views.roll).std() == pytest.approx(10, rel=0.03)
    assert views.mirror.mean() == pytest.approx(0.5, abs=0.02)
    reach = np.linalg.norm(views.shift, axis=1) / 120
    wide = AugmentConfig(p_wide=1.0)
    far = DeviceAugment(wide, tiny_model).draw(20000, np.random.default_rng(0))
    assert np.linalg.norm(far.shift, axis=1).max() / 120 == pytest.approx(0.27, abs=0.001)
    assert (1 / far.zoom).min() == pytest.approx(0.73, abs=0.01)
    assert (1 / far.zoom).max() == pytest.approx(1.65, abs=0.01)
    # mixture of x and y variances: wide (mean of r^2 / 2), weak and normal noise
    expected = 0.25 * 0.27**2 / 3 + 0.75 * 2 * 0.08**2 * (0.5 * 0.25**2 + 0.5)
    assert (reach**2).mean() == pytest.approx(expected, rel=0.05)


# -- pixels ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["color", "blur", "noise", "occlude", "low_resolution"])
def test_photometric_augmentation_keeps_params(
    tiny_model: MorphableModel, tiny_cache: FaceCache, name: str
) -> None:
    images, params = batch_of(tiny_cache, 16)
    plain, wanted = augment(tiny_model)(images, params, np.random.default_rng(3))
    crops, found = augment(tiny_model, **{name: 1.0})(images, params, np.random.default_rng(3))
    np.testing.assert_array_equal(found, wanted)
    changed = (crops != plain).flatten(1).any(dim=1)
    assert changed.all()


def test_blur_matches_opencv() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.float32)
    crops = torch.from_numpy(image).permute(2, 0, 1)[None].repeat(2, 1, 1, 1)
    found = gaussian_blur(crops, np.array([0.7, 2.0]))
    for row, sigma in enumerate((0.7, 2.0)):
        wanted = cv2.GaussianBlur(image, (13, 13), sigma, borderType=cv2.BORDER_REFLECT_101)
        np.testing.assert_allclose(found[row].permute(1, 2, 0), wanted, atol=0.02)


def test_recolor_by_formula() -> None:
    crops = torch.tensor([10.0, 100.0, 240.0]).reshape(1, 3, 1, 1).repeat(2, 1, 2, 2)
    gamma, offset = np.array([1.3, 1.0]), np.array([0.05, 0.0])
    gain = np.array([[1.1, 0.9, 1.0], [1.0, 1.0, 1.0]])
    found = recolor(crops, gamma, gain, offset, np.array([False, True]))
    wanted = 255 * (((np.array([10, 100, 240]) / 255) ** 1.3 - 0.5) * gain[0] + 0.5 + 0.05)
    np.testing.assert_allclose(found[0, :, 0, 0], wanted.clip(0, 255), rtol=1e-4)
    np.testing.assert_allclose(found[1, :, 0, 0], 0.114 * 10 + 0.587 * 100 + 0.299 * 240, rtol=1e-4)


def test_glasses_and_masks_cover_their_landmarks(
    tiny_model: MorphableModel, tiny_cache: FaceCache
) -> None:
    images, params = batch_of(tiny_cache, 60)
    plain, _ = augment(tiny_model, 120)(images, params, np.random.default_rng(5))
    crops, found = augment(tiny_model, 120, occlude=1.0)(images, params, np.random.default_rng(5))
    points = np.round(landmark_pixels(tiny_model, found)).astype(int).clip(0, 119)
    changed = (crops != plain).any(dim=1).numpy()

    def share(part: slice) -> np.ndarray:
        at = points[:, part]
        return changed[np.arange(60)[:, None], at[..., 1], at[..., 0]].mean(axis=1)

    eyes, mouth = share(slice(36, 48)), share(slice(48, 68))
    assert ((eyes > 0.8) & (mouth < 0.2)).sum() >= 4
    assert ((mouth > 0.8) & (eyes < 0.2)).sum() >= 4


# -- batches and runs --------------------------------------------------------------------------------------------------


def on_device(**options: object) -> TrainConfig:
    return tiny(augment_on_device=True, **options)


def test_batches_are_repeatable_and_resumable(
    tiny_model: MorphableModel, tiny_cache: FaceCache
) -> None:
    alone = Workers(0, 1, torch.device("cpu"))
    config = on_device(samples=48)
    config = replace(config, augment=AugmentConfig())
    all_batches = list(DeviceData(tiny_cache, tiny_model, config, alone).batches(1))
    later = list(DeviceData(tiny_cache, tiny_model, config, alone).batches(1, first_step=4))
    assert (len(all_batches), len(later)) == (6, 2)
    for one, other in zip(all_batches[4:], later, strict=True):
        for name, value in one.items():
            assert torch.equal(value, other[name]), name
    assert not torch.equal(all_batches[0]["image"], all_batches[1]["image"])
    for batch in all_batches:
        assert torch.equal(batch["face"] > 0, batch["params"].any(dim=1))


def test_frames_of_a_clip_differ_a_little(
    tiny_model: MorphableModel, tiny_cache: FaceCache
) -> None:
    alone = Workers(0, 1, torch.device("cpu"))
    config = replace(on_device(samples=32, clips=1.0, negatives=0.0), augment=AugmentConfig())
    for batch in DeviceData(tiny_cache, tiny_model, config, alone).batches(0):
        clip = batch["clip"]
        assert torch.equal(clip[::2], clip[1::2]) and len(clip[::2].unique()) == 4
        points = landmark_pixels(tiny_model, batch["params"].numpy())
        apart = np.linalg.norm(points[::2] - points[1::2], axis=2).mean(axis=1)
        assert (apart > 0.02).all() and (apart < 8).all()
        assert not torch.equal(batch["image"][::2], batch["image"][1::2])


def test_run_learns_and_resumes_exactly(
    tiny_model: MorphableModel,
    tiny_cache: FaceCache,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = on_device(samples=96, epochs=2)
    whole = Trainer(config, tiny_cache, tiny_model, tmp_path / "whole")
    before = whole.validate()
    whole.run()
    assert whole.validate() < before
    state = checkpoints.load(whole.checkpoint)
    with monkeypatch.context() as patched:
        patched.setattr("tddfa_ros.training.trainer.StopRequest", StopAfter(17))
        with pytest.raises(KeyboardInterrupt):
            Trainer(config, tiny_cache, tiny_model, tmp_path / "parts").run()
    resumed = Trainer(config, tiny_cache, tiny_model, tmp_path / "parts")
    resumed.run()
    for name, value in checkpoints.load(resumed.checkpoint)["network"].items():
        assert torch.equal(value, state["network"][name]), name


def test_rejects_seg_maps() -> None:
    with pytest.raises(ConfigError, match="augment_on_device does not support seg maps"):
        TrainConfig(augment_on_device=True, parsing=True)


def test_reports_crops_that_do_not_fit(
    tiny_model: MorphableModel, tiny_cache: FaceCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    alone = Workers(0, 1, torch.device("cpu"))
    monkeypatch.setattr(torch, "empty", full)
    with pytest.raises(ConfigError, match=r"132 crops of 0\.0 GB do not fit"):
        DeviceData(tiny_cache, tiny_model, on_device(), alone)
