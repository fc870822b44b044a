"""Sampling order, sampling weights, and the crops of the dataset."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from support.posed import pixels, posed

from tddfa_ros.errors import ConfigError
from tddfa_ros.geometry.roi import roi_from_landmarks
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.augment import Augment
from tddfa_ros.training.cache import CACHE_SIDE, MARGIN, FaceCache
from tddfa_ros.training.config import AugmentConfig

torch = pytest.importorskip("torch", reason="the extra [training] (torch) is not installed")

from tddfa_ros.training.dataset import (  # noqa: E402
    CropSampler,
    Draw,
    FaceDataset,
    held_out_rows,
    sampling_weights,
)

SHARE = np.linspace(0, 1, 50)


def steps_of(draws: CropSampler, batch: int) -> list[list[Draw]]:
    return steps_of_list(list(draws), batch)


def steps_of_list(drawn: list[Draw], batch: int) -> list[list[Draw]]:
    return [drawn[i : i + batch] for i in range(0, len(drawn), batch)]


# -- order ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_partition_the_sequence(ranks: int) -> None:
    alone = CropSampler(SHARE, 77, batch=4 * ranks, seed=5)
    parts = [CropSampler(SHARE, 77, 4, 5, rank, ranks) for rank in range(ranks)]
    for draws in (alone, *parts):
        draws.epoch = 3
    whole = steps_of(alone, 4 * ranks)
    split = [steps_of(part, 4) for part in parts]
    assert len(whole) == alone.steps == parts[0].steps == 77 // (4 * ranks)
    assert all(len(steps) == len(whole) for steps in split)
    for number, step in enumerate(whole):
        assert [pair for steps in split for pair in steps[number]] == step


def test_first_step_skips_earlier_draws() -> None:
    draws = CropSampler(SHARE, 100, batch=8, seed=1, rank=1, ranks=2)
    draws.epoch = 2
    whole = list(draws)
    assert len(whole) == len(draws) == 6 * 8
    draws.first_step = 4
    assert list(draws) == whole[4 * 8 :]
    assert len(draws) == 2 * 8


def test_sequence_depends_on_epoch_and_seed() -> None:
    draws = CropSampler(SHARE, 4000, batch=8, seed=1)
    first, again = list(draws), list(draws)
    draws.epoch = 1
    second = list(draws)
    other = list(CropSampler(SHARE, 4000, batch=8, seed=2))
    rows = [[row for row, *_ in drawn] for drawn in (first, second, other)]
    assert first == again
    assert rows[0] != rows[1] and rows[0] != rows[2]
    numbers = [number for _, number, _ in first + second]
    assert numbers == list(range(8000)), "each draw has its own seed"


def test_clips_are_pairs_of_frames_of_one_draw() -> None:
    single, paired = (list(CropSampler(SHARE, 80, batch=8, seed=1, clips=c)) for c in (0.0, 0.5))
    for plain, clip in zip(steps_of_list(single, 8), steps_of_list(paired, 8), strict=True):
        assert [frame for *_, frame in clip] == [1, 2, 1, 2, 0, 0, 0, 0]
        assert clip[0][:2] == clip[1][:2] == plain[0][:2]
        assert clip[2][:2] == clip[3][:2] == plain[2][:2]
        assert clip[4:] == plain[4:]


# -- sampling weights --------------------------------------------------------------------------------------------------------


@pytest.fixture
def mixed(tiny_model: MorphableModel) -> FaceCache:
    """Faces at 0, 40 and 80 degrees, profiles at 80, one held out, one without weight; two negatives and a held-out one."""
    yaw = np.array([0, 40, -80, 80, 10, 20, 0, 0, 0], np.float32)
    count = len(yaw)
    source = np.array(["a", "a", "a", "profile", "a", "a", *["negative"] * 3])
    return FaceCache(
        images=np.zeros((count, 2, 2, 3), np.uint8),
        params=np.zeros((count, tiny_model.layout.size), np.float32),
        yaw_deg=yaw,
        source=source,
        error=np.zeros(count, np.float32),
        face=source != "negative",
        weight=np.array([1, 1, 2, 0.75, 1, 0, 1, 3, 1], np.float32),
        held_out=np.array([0, 0, 0, 0, 1, 0, 0, 0, 1], np.bool_),
    )


def test_sampling_weights(mixed: FaceCache) -> None:
    share = sampling_weights(mixed, negatives=0.2, profile_boost=(1.5, 2.5))
    faces = np.array([1, 1.5, 2 * 2.5, 0.75, 0, 0])  # weight times boost; none for the turned face
    np.testing.assert_allclose(share[:6], 0.8 * faces / faces.sum())
    np.testing.assert_allclose(share[6:], 0.2 * np.array([0.25, 0.75, 0]))


def test_sampling_weights_without_negatives(mixed: FaceCache) -> None:
    share = sampling_weights(replace(mixed, face=np.ones(9, np.bool_)), 0.2, (1.0, 1.0))
    np.testing.assert_allclose(share, [1, 1, 2, 0.75, 0, 0, 1, 3, 0])
    assert sampling_weights(mixed, 0.0, (1.0, 1.0))[6:].sum() == 0


def test_rejects_cache_without_trainable_faces(mixed: FaceCache) -> None:
    with pytest.raises(ConfigError, match="no face to train on"):
        sampling_weights(replace(mixed, held_out=np.ones(9, np.bool_)), 0.2, (1.0, 1.0))


def test_draw_frequencies_match_weights(mixed: FaceCache) -> None:
    share = sampling_weights(mixed, 0.2, (1.5, 2.5))
    drawn = np.array([row for row, *_ in CropSampler(share, 20000, batch=100, seed=0)])
    found = np.bincount(drawn, minlength=9) / len(drawn)
    np.testing.assert_allclose(found, share, atol=0.013)  # four standard errors of a share of 0.3
    assert not np.isin(drawn, [4, 5, 8]).any()


def test_held_out_rows(mixed: FaceCache) -> None:
    assert held_out_rows(mixed, face=True).tolist() == [4]
    assert held_out_rows(mixed, face=False).tolist() == [8]


# -- items ---------------------------------------------------------------------------------------------------------


def test_augmentation_depends_on_seed_and_draw(
    tiny_model: MorphableModel, tiny_cache: FaceCache
) -> None:
    augment = Augment(AugmentConfig(), tiny_model)
    one, two, other = (FaceDataset(tiny_cache, tiny_model, augment, seed) for seed in (1, 1, 2))
    for row, draw in ((0, 0), (5, 17), (95, 1000)):
        item, again = one[row, draw, 0], two[row, draw, 0]
        assert item.keys() == {"image", "params", "face", "parsing", "clip"}
        assert all(torch.equal(item[name], again[name]) for name in item)
        assert item["image"].shape == (3, 120, 120) and item["image"].dtype == torch.uint8
        assert item["parsing"].shape == (30, 30) and item["parsing"].dtype == torch.int64
        assert not torch.equal(item["params"], one[row, draw + 1, 0]["params"])
        assert not torch.equal(item["params"], other[row, draw, 0]["params"])
    assert len(one) == len(tiny_cache) == 132


def test_frames_of_a_clip_differ_a_little(
    tiny_model: MorphableModel, tiny_cache: FaceCache
) -> None:
    augment = Augment(AugmentConfig(noise=0, occlude=0), tiny_model)
    dataset = FaceDataset(tiny_cache, tiny_model, augment, 1)
    moves = []
    for draw in range(20):
        alone, first, second = (dataset[7, draw, frame] for frame in (0, 1, 2))
        assert torch.equal(alone["image"], first["image"])
        assert (alone["clip"], first["clip"], second["clip"]) == (-1, draw, draw)
        assert not torch.equal(first["image"], second["image"])
        before, after = (
            pixels(posed(tiny_model.head_landmarks(p.numpy())[None], p.numpy()[None])[0])
            for p in (first["params"], second["params"])
        )
        moves.append(np.abs(after - before).mean())
        assert torch.equal(first["params"][12:], second["params"][12:])
    assert 0.2 < np.mean(moves) < 2.0  # px


@pytest.mark.parametrize("size", [96, 120, 160])
def test_dataset_without_augmentation_frames_by_landmarks(
    tiny_model: MorphableModel, tiny_cache: FaceCache, size: int
) -> None:
    item = FaceDataset(tiny_cache, tiny_model, None, seed=0, size=size)[7]
    params = item["params"].numpy()
    landmarks = pixels(posed(tiny_model.head_landmarks(params)[None], params[None])[0])
    np.testing.assert_allclose(roi_from_landmarks(landmarks), [-0.5, -0.5, 119.5, 119.5], atol=0.02)
    image = item["image"].numpy().transpose(1, 2, 0)
    assert image.shape == (size, size, 3)
    # the bright spots are where the landmarks say
    white = cv2.dilate(image.min(axis=2), np.ones((3, 3), np.uint8)) > 180
    at = np.round(landmarks * size / 120).astype(int)
    assert white[at[:, 1], at[:, 0]].all()
    assert white.mean() < 0.2


def test_negatives_have_zero_params(tiny_model: MorphableModel, tiny_cache: FaceCache) -> None:
    row = int(np.flatnonzero(~tiny_cache.face)[1])
    augment = Augment(AugmentConfig(mirror=1.0), tiny_model)
    for dataset in (
        FaceDataset(tiny_cache, tiny_model, augment, 0),
        FaceDataset(tiny_cache, tiny_model, None, 0),
    ):
        item = dataset[row, 3, 0]
        assert item["face"] == 0
        assert not item["params"].any()
    stored = tiny_cache.images[row][MARGIN:-MARGIN, MARGIN:-MARGIN].transpose(2, 0, 1)
    np.testing.assert_array_equal(item["image"].numpy(), stored)
    assert FaceDataset(tiny_cache, tiny_model, None, 0)[3]["face"] == 1


def test_parsing_is_warped_with_the_image(
    tiny_model: MorphableModel, tiny_cache: FaceCache
) -> None:
    """A cache whose image is its own class map: both must be warped alike."""
    ids = np.asarray(tiny_cache.parsing[:4])
    gray = np.repeat(40 * ids[..., None], 3, axis=3).astype(np.uint8)
    cache = replace(tiny_cache, images=gray, params=tiny_cache.params[:4])
    plain = AugmentConfig(
        color=0, blur=0, noise=0, occlude=0, low_resolution=0, mirror=0.5, roll_sigma_deg=20
    )
    for size in (120, 96):
        dataset = FaceDataset(cache, tiny_model, Augment(plain, tiny_model, size), 0, size)
        for draw in range(6):
            item = dataset[draw % 4, draw, 0]
            classes = item["parsing"].numpy()
            seen = item["image"].numpy()[0, 2::4, 2::4] / 40
            inside = classes < 255
            # linear and nearest sampling differ on borders between classes only
            assert (np.abs(seen - classes)[inside] < 0.3).mean() > 0.9
            assert (classes == 1).mean() > 0.15


def test_cache_is_not_modified(tiny_model: MorphableModel, tiny_cache: FaceCache) -> None:
    before = tiny_cache.params.copy()
    dataset = FaceDataset(tiny_cache, tiny_model, Augment(AugmentConfig(), tiny_model), 0)
    for row in (0, 100):
        _ = dataset[row, row, 0]
    np.testing.assert_array_equal(tiny_cache.params, before)
    assert tiny_cache.images.shape[1] == CACHE_SIDE
