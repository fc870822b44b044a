"""Load the batches of a run, and the statistics of its labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

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
    Draw,
    FaceDataset,
    held_out_rows,
    sampling_weights,
)
from tddfa_ros.training.device_augment import DeviceAugment
from tddfa_ros.training.losses.terms import balanced_weights
from tddfa_ros.training.processes import Workers
from tddfa_ros.types import FloatArray

_LEAST_STD = 0.02
_CHUNK = 1024  # crops per copy to the device


class TrainingData(Protocol):
    """Augmented batches of a cache, in an order that depends on the seed only.

    Attributes:
        faces: rows of the cache with a face that are drawn.
        steps: per epoch.
    """

    faces: NDArray[np.int64]
    steps: int

    def batches(self, epoch: int, first_step: int = 0) -> Iterable[Batch]:
        """Return the batches of an epoch from ``first_step`` on."""
        ...

    def first_batches(self, count: int) -> Iterator[Tensor]:
        """Yield the crops (n, 3, S, S) uint8 of the first batches, at most ``count``."""
        ...


def training_data(
    cache: FaceCache, model: MorphableModel, config: TrainConfig, workers: Workers
) -> TrainingData:
    """Create the training data of a run, augmented in data loading processes or on the device.

    Raises:
        ConfigError: there are fewer samples than one batch has, or the crops do not fit into the memory of the device.
    """
    kind = DeviceData if config.augment_on_device else LoadedData
    return kind(cache, model, config, workers)


def _sampled(
    cache: FaceCache, config: TrainConfig, workers: Workers
) -> tuple[NDArray[np.int64], CropSampler]:
    """Return the rows with a face that are drawn, and the sampler."""
    weights = sampling_weights(cache, config.negatives, config.profile_boost)
    faces = np.flatnonzero(cache.face & (weights > 0))
    samples = config.samples or len(faces)
    sampler = CropSampler(
        weights, samples, config.batch, config.seed, workers.rank, workers.count, config.clips
    )
    if sampler.steps == 0:
        raise ConfigError(
            f"there are {samples} faces to train on, fewer than one batch of {config.batch * workers.count}: "
            "set a smaller batch"
        )
    return faces, sampler


class LoadedData:
    """Crops that are augmented one by one, in this process or in data loading processes."""

    def __init__(
        self, cache: FaceCache, model: MorphableModel, config: TrainConfig, workers: Workers
    ) -> None:
        self.faces, self._sampler = _sampled(cache, config, workers)
        self.steps, self._batch = self._sampler.steps, config.batch
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

    def batches(self, epoch: int, first_step: int = 0) -> Iterable[Batch]:
        """Return the batches of an epoch from ``first_step`` on."""
        self._sampler.epoch, self._sampler.first_step = epoch, first_step
        return self._loader

    def first_batches(self, count: int) -> Iterator[Tensor]:
        """Yield the crops (n, 3, S, S) uint8 of the first batches, at most ``count``, loaded in this process."""
        draws = iter(self._sampler)
        for _ in range(min(count, self.steps)):
            yield torch.stack([self._crops[next(draws)]["image"] for _ in range(self._batch)])


class DeviceData:
    """Crops that lie in the memory of the device and are augmented there, batch by batch."""

    def __init__(
        self, cache: FaceCache, model: MorphableModel, config: TrainConfig, workers: Workers
    ) -> None:
        self.faces, self._sampler = _sampled(cache, config, workers)
        self.steps, self._batch = self._sampler.steps, config.batch
        self._params, self._face = cache.params, cache.face
        self._images = _on_device(cache.images, workers.device)
        self._augment = DeviceAugment(config.augment, model, config.input_size)
        self._seed = config.seed

    def batches(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch from ``first_step`` on."""
        self._sampler.epoch, self._sampler.first_step = epoch, first_step
        draws = iter(self._sampler)
        while chosen := list(islice(draws, self._batch)):
            yield self._load(chosen)

    def first_batches(self, count: int) -> Iterator[Tensor]:
        """Yield the crops (n, 3, S, S) uint8 of the first batches, at most ``count``."""
        for batch in islice(self.batches(0), count):
            yield batch["image"].cpu()

    def _load(self, draws: Sequence[Draw]) -> Batch:
        rows, numbers, frames = (np.array(column) for column in zip(*draws, strict=True))
        device = self._images.device
        rng = np.random.default_rng((self._seed, int(numbers[0])))
        face = self._face[rows]
        params = np.where(face[:, None], self._params[rows], 0).astype(np.float32)
        images = self._images[torch.from_numpy(rows).to(device)]
        with torch.no_grad():
            crops, params = self._augment(images, params, rng, frames == 2)
        params = np.where(face[:, None], params, 0).astype(np.float32)
        batch = {
            "params": torch.from_numpy(params),
            "face": torch.from_numpy(face.astype(np.float32)),
            "clip": torch.from_numpy(np.where(frames > 0, numbers, -1)),
        }
        return {"image": crops, **{name: value.to(device) for name, value in batch.items()}}


def _on_device(images: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Copy crops (n, 192, 192, 3) to a device, with a progress bar."""
    try:
        out = torch.empty(images.shape, dtype=torch.uint8, device=device)
        for start in tqdm(
            range(0, len(images), _CHUNK), desc="load crops", unit="chunk", disable=None
        ):
            part = np.array(images[start : start + _CHUNK])
            out[start : start + len(part)] = torch.from_numpy(part).to(device)
    except (RuntimeError, MemoryError) as error:  # torch's out-of-memory errors are RuntimeError
        size = images.nbytes / 1e9
        raise ConfigError(
            f"{len(images)} crops of {size:.1f} GB do not fit into the memory of {device}: "
            "use a smaller cache, or train without augment_on_device"
        ) from error
    return out


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
    """Return the square roots of balanced weights of the parsing classes, from at most ``most`` seg maps; None where the cache has none.

    Fully balanced weights would make small classes too large.
    """
    if cache.parsing is None:
        return None
    rows = np.linspace(0, len(cache) - 1, min(most, len(cache))).astype(int)
    pixels = sum(np.bincount(cache.parsing[row].ravel(), minlength=256) for row in rows)
    return balanced_weights(np.asarray(pixels)[: len(CLASSES)].tolist()).sqrt()
