"""Load the batches of a run, and the statistics of its labels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from tddfa_ros.errors import ConfigError
from tddfa_ros.interrupt import ignore_interrupts
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.rendering.parsing import CLASSES
from tddfa_ros.training.augment import Augment
from tddfa_ros.training.cache import FaceCache
from tddfa_ros.training.config import TrainConfig
from tddfa_ros.training.dataset import (
    Batch,
    CropSampler,
    FaceDataset,
    held_out_rows,
    sampling_weights,
)
from tddfa_ros.training.losses.terms import balanced_weights
from tddfa_ros.training.processes import Workers
from tddfa_ros.types import FloatArray

_LEAST_STD = 0.02


class TrainingData:
    """Augmented batches of a cache, in an order that depends on the seed only.

    Attributes:
        faces: rows of the cache with a face that are drawn.
        steps: per epoch.

    Raises:
        ConfigError: there are fewer samples than one batch has.
    """

    def __init__(
        self, cache: FaceCache, model: MorphableModel, config: TrainConfig, workers: Workers
    ) -> None:
        weights = sampling_weights(cache, config.negatives, config.profile_boost)
        self.faces: NDArray[np.int64] = np.flatnonzero(cache.face & (weights > 0))
        samples = config.samples or len(self.faces)
        self._batch = config.batch
        self._sampler = CropSampler(
            weights,
            samples,
            config.batch,
            config.seed,
            workers.rank,
            workers.count,
            config.clips,
        )
        self.steps = self._sampler.steps
        if self.steps == 0:
            raise ConfigError(
                f"there are {samples} faces to train on, fewer than one batch of {config.batch * workers.count}"
            )
        augment = Augment(config.augment, model, config.input_size)
        self._crops = FaceDataset(cache, model, augment, config.seed, config.input_size)
        self._loader = DataLoader(
            self._crops,
            batch_size=config.batch,
            sampler=self._sampler,
            num_workers=config.workers,
            persistent_workers=config.workers > 0,
            prefetch_factor=16 if config.workers else None,
            worker_init_fn=ignore_interrupts,
            pin_memory=workers.device.type == "cuda",
            # without its own generator each iterator would draw a number from torch's global one
            generator=torch.Generator().manual_seed(config.seed),
        )

    def batches(self, epoch: int, first_step: int = 0) -> DataLoader[Batch]:
        """Return the batches of an epoch from ``first_step`` on."""
        self._sampler.epoch, self._sampler.first_step = epoch, first_step
        return self._loader

    def first_batches(self, count: int) -> Iterator[Tensor]:
        """Yield the crops (n, 3, S, S) uint8 of the first batches, at most ``count``, loaded in this process."""
        draws = iter(self._sampler)
        for _ in range(min(count, self.steps)):
            yield torch.stack([self._crops[next(draws)]["image"] for _ in range(self._batch)])


def validation_rows(
    cache: FaceCache, everything: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows to validate on, with and without a face: the held-out ones or, of a cache for validation only, all."""
    if everything:
        return np.flatnonzero(cache.face), np.flatnonzero(~cache.face)
    return held_out_rows(cache, face=True), held_out_rows(cache, face=False)


def whitening(params: FloatArray) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation (P,) of params (n, P); the latter is at least 0.02, for coefficients that hardly vary."""
    mean, std = params.mean(axis=0), params.std(axis=0)
    return torch.from_numpy(mean), torch.from_numpy(np.maximum(std, _LEAST_STD).astype(np.float32))


def class_weights(cache: FaceCache, most: int = 500) -> Tensor | None:
    """Return balanced weights of the parsing classes, from at most ``most`` seg maps; None where the cache has none."""
    if cache.parsing is None:
        return None
    rows = np.linspace(0, len(cache) - 1, min(most, len(cache))).astype(int)
    pixels = sum(np.bincount(cache.parsing[row].ravel(), minlength=256) for row in rows)
    return balanced_weights(np.asarray(pixels)[: len(CLASSES)].tolist())
