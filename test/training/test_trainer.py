from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.synthetic_model import synthetic_model
from support.tiny_training import write_cache

from tddfa_ros.errors import ConfigError
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.augment import Augment
from tddfa_ros.training.cache import MARGIN, FaceCache, open_cache
from tddfa_ros.training.config import AugmentConfig, TrainConfig
from tddfa_ros.training.mirror import ParamMirror

torch = pytest.importorskip("torch", reason="the extra [training] (torch) is not installed")

from tddfa_ros.training.trainer import BalancedRows, FaceDataset, Trainer  # noqa: E402

# Only what a few dozen steps can learn: upright faces, lightly disturbed.
TINY = TrainConfig(
    width=0.25,
    epochs=2,
    batch=8,
    learning_rate=5e-3,
    threads=1,
    augment=AugmentConfig(roll_sigma_deg=0, large_roll=0, mirror=0, occlude=0.1),
)


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return synthetic_model(shape=4, expressions=6)


@pytest.fixture(scope="module")
def cache(model: MorphableModel, tmp_path_factory: pytest.TempPathFactory) -> FaceCache:
    folder = tmp_path_factory.mktemp("cache")
    write_cache(folder, model, 192)
    return open_cache(folder, model)


@pytest.fixture(scope="module")
def whole_run(
    model: MorphableModel, cache: FaceCache, tmp_path_factory: pytest.TempPathFactory
) -> Trainer:
    """Two epochs without a break."""
    trainer = Trainer(TINY, cache, model, tmp_path_factory.mktemp("whole"))
    trainer.run()
    return trainer


def log_of(trainer: Trainer) -> list[dict[str, str]]:
    with (trainer.folder / "log.csv").open() as file:
        return list(csv.DictReader(file))


# -- data ----------------------------------------------------------------------------------------------------------


def test_dataset_repeats_and_every_draw_differs(model: MorphableModel, cache: FaceCache) -> None:
    augment = Augment(AugmentConfig(), ParamMirror(model))
    one, two = (FaceDataset(cache, augment, seed=1) for _ in range(2))
    for row, draw in ((0, 0), (5, 17), (95, 1000)):
        crop, params = one[row, draw]
        again, same = two[row, draw]
        assert torch.equal(crop, again) and torch.equal(params, same)
        assert crop.shape == (3, 120, 120) and crop.dtype == torch.uint8
        assert not torch.equal(params, one[row, draw + 1][1])
        assert not torch.equal(params, FaceDataset(cache, augment, seed=2)[row, draw][1])
    assert len(one) == len(cache) == 192


def test_dataset_without_augmentation_is_the_stored_crop(cache: FaceCache) -> None:
    crop, params = FaceDataset(cache, None, seed=0)[7]
    stored = cache.images[7][MARGIN:-MARGIN, MARGIN:-MARGIN]
    np.testing.assert_array_equal(crop.permute(1, 2, 0).numpy(), stored)
    np.testing.assert_allclose(params.numpy(), cache.params[7], atol=1e-4)


def test_rows_are_drawn_in_proportion_and_differ_between_epochs() -> None:
    rows = np.arange(100, 4100)
    weights = np.where(rows < 2100, 1.0, 3.0)
    sampler = BalancedRows(rows, weights, seed=0)
    first, repeated = list(sampler), list(sampler)
    sampler.epoch = 1
    second = list(sampler)
    assert first == repeated
    assert [row for row, _ in first] != [row for row, _ in second]
    assert len(first) == len(sampler) == 4000
    draws = [draw for _, draw in first + second]
    assert len(set(draws)) == len(draws)
    share = np.mean([row >= 2100 for row, _ in first + second])
    assert abs(share - 0.75) < 0.02  # four standard errors


# -- training ------------------------------------------------------------------------------------------------------


def test_two_epochs_reduce_the_loss(whole_run: Trainer) -> None:
    log = log_of(whole_run)
    assert [row["epoch"] for row in log] == ["1", "2"]
    first, second = (float(row["total"]) for row in log)
    assert second < 0.97 * first
    assert all(np.isfinite(float(row["nme_validation"])) for row in log)


def test_training_moves_all_heads(
    model: MorphableModel, cache: FaceCache, whole_run: Trainer, tmp_path: Path
) -> None:
    fresh = Trainer(TINY, cache, model, tmp_path).network.state_dict()
    trained = whole_run.network.state_dict()
    assert fresh.keys() == trained.keys()
    for name in ("param_head.weight", "landmark_head.weight", "backbone.layers.0.0.weight"):
        assert (trained[name] - fresh[name]).norm() > 0
    assert torch.equal(trained["mean"], fresh["mean"])


def test_an_untrained_network_answers_with_the_mean_face(
    model: MorphableModel, cache: FaceCache, tmp_path: Path
) -> None:
    network = Trainer(TINY, cache, model, tmp_path).network.eval()
    with torch.no_grad():
        params, landmarks = network(torch.zeros(1, 3, 120, 120))
    away = (params[0] - network.mean) / network.std
    assert away.abs().max() < 0.5
    assert 20 < landmarks.mean() < 100


class Stopped(Trainer):
    """A run that is stopped in its second epoch."""

    def _train_epoch(self, epoch: int) -> dict[str, object]:
        if epoch == 1:
            raise KeyboardInterrupt
        return super()._train_epoch(epoch)


def test_a_stopped_run_goes_on_as_if_it_had_not_been(
    model: MorphableModel, cache: FaceCache, whole_run: Trainer, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        Stopped(TINY, cache, model, tmp_path).run()
    resumed = Trainer(TINY, cache, model, tmp_path)
    resumed.run()
    expected = whole_run.network.state_dict()
    for name, value in resumed.network.state_dict().items():
        assert torch.equal(value, expected[name]), name
    assert [row["total"] for row in log_of(resumed)] == [row["total"] for row in log_of(whole_run)]


def test_a_finished_run_stays_as_it_is(
    model: MorphableModel, cache: FaceCache, whole_run: Trainer
) -> None:
    before = whole_run.checkpoint.read_bytes()
    Trainer(TINY, cache, model, whole_run.folder).run()
    assert whole_run.checkpoint.read_bytes() == before
    assert len(log_of(whole_run)) == 2


def test_another_configuration_does_not_go_on(
    model: MorphableModel, cache: FaceCache, whole_run: Trainer
) -> None:
    other = Trainer(replace(TINY, learning_rate=1e-3), cache, model, whole_run.folder)
    with pytest.raises(ConfigError, match=r"begun with learning_rate 0\.005, not 0\.001"):
        other.run()
    Trainer(replace(TINY, threads=2), cache, model, whole_run.folder).run()  # another machine


def test_a_damaged_checkpoint_is_named(
    model: MorphableModel, cache: FaceCache, tmp_path: Path
) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(ConfigError, match="not a readable checkpoint"):
        Trainer(TINY, cache, model, tmp_path).run()


def test_a_cache_smaller_than_a_batch_is_named(
    model: MorphableModel, cache: FaceCache, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="187 faces to train on, fewer than one batch of 256"):
        Trainer(replace(TINY, batch=256), cache, model, tmp_path)
