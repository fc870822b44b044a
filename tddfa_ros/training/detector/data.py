"""Batches of a run: training images that depend only on the seed and their number, and held-out ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from tddfa_ros.errors import ConfigError
from tddfa_ros.interrupt import ignore_interrupts
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.cache import MARGIN, FaceCache
from tddfa_ros.training.dataset import sampling_weights
from tddfa_ros.training.detector.config import DetectorConfig
from tddfa_ros.training.detector.images import ImagePool
from tddfa_ros.training.detector.losses import Targets
from tddfa_ros.training.detector.paste import FacePaster
from tddfa_ros.training.detector.scenes import Scene, SceneMaker
from tddfa_ros.training.framing import landmark_pixels

_PROFILE_BOOST = (1.6, 2.5)  # sampling weight of faces beyond 30 and 60 degrees of yaw
_VALIDATION_SCENES = 64

Batch = tuple[Tensor, Targets]
"""Images (n, 3, S, S) uint8 BGR and their labels."""


class _Scenes(Dataset[Scene]):
    def __init__(self, maker: SceneMaker, seed: int) -> None:
        self._maker, self._seed = maker, seed

    def __getitem__(self, number: int) -> Scene:
        return self._maker.make(np.random.default_rng((self._seed, number)))


class _Numbers(Sampler[int]):
    """Numbers of the images of an epoch, from a step on."""

    def __init__(self, samples: int, batch: int) -> None:
        self._samples, self._batch = samples, batch
        self.epoch, self.first_step = 0, 0

    def __iter__(self) -> Iterator[int]:
        start = self.epoch * self._samples
        return iter(range(start + self.first_step * self._batch, start + self._samples))

    def __len__(self) -> int:
        return self._samples - self.first_step * self._batch


class DetectorData:
    """Training images of a run.

    Args:
        config: options of the run.
        cache: faces that are pasted; its held-out rows are for validation.
        model: morphable model of the cache.
        backgrounds: images without faces, or None.
        labeled: labeled images, or None.

    Raises:
        ConfigError: the cache holds no face to train on.
    """

    def __init__(
        self,
        config: DetectorConfig,
        cache: FaceCache,
        model: MorphableModel,
        backgrounds: ImagePool | None,
        labeled: ImagePool | None,
    ) -> None:
        weights = np.where(cache.face, sampling_weights(cache, 0.0, _PROFILE_BOOST), 0.0)
        if not weights.sum() > 0:
            raise ConfigError("the training cache holds no face to train on")
        landmarks = landmark_pixels(model, cache.params) + MARGIN
        paster = FacePaster(cache, landmarks.astype(np.float32), config.occlude)
        self.steps = config.samples // config.batch
        self.labeled = labeled

        def maker(weights: np.ndarray, labeled: ImagePool | None) -> SceneMaker:
            rows = np.flatnonzero(weights > 0)
            shares = weights[rows].astype(np.float64)
            shares /= shares.sum()
            return SceneMaker(config, paster, rows, shares, backgrounds, labeled)

        held_out = (cache.face & cache.held_out).astype(np.float64)
        self._held_out = maker(held_out if held_out.any() else weights, None)
        self._seed = config.seed
        self._numbers = _Numbers(self.steps * config.batch, config.batch)
        self._loader = DataLoader(
            _Scenes(maker(weights, labeled), config.seed),
            batch_size=config.batch,
            sampler=self._numbers,
            num_workers=config.workers,
            persistent_workers=config.workers > 0,
            prefetch_factor=8 if config.workers else None,
            worker_init_fn=ignore_interrupts,
            collate_fn=collate,
            # without its own generator each iterator would draw a number from torch's global one
            generator=torch.Generator().manual_seed(config.seed),
        )

    def batches(self, epoch: int, first_step: int = 0) -> Iterable[Batch]:
        """Return the batches of an epoch from ``first_step`` on."""
        self._numbers.epoch, self._numbers.first_step = epoch, first_step
        return self._loader

    def validation_scenes(self) -> Iterator[Scene]:
        """Yield composites of held-out faces, the same in every call."""
        for number in range(_VALIDATION_SCENES):
            yield self._held_out.make(np.random.default_rng((self._seed, 1, number)))


def collate(scenes: Sequence[Scene]) -> Batch:
    """Stack images, and pad their labels to the largest number of faces."""
    images = torch.from_numpy(np.stack([scene.image for scene in scenes])).permute(0, 3, 1, 2)
    most = max(len(scene.boxes) for scene in scenes)
    boxes = torch.zeros(len(scenes), most, 4)
    points = torch.full((len(scenes), most, 5, 2), float("nan"))
    kind = torch.zeros(len(scenes), most, dtype=torch.int64)
    for row, scene in enumerate(scenes):
        count = len(scene.boxes)
        boxes[row, :count] = torch.from_numpy(scene.boxes)
        points[row, :count] = torch.from_numpy(scene.points)
        kind[row, :count] = torch.from_numpy(np.where(scene.ignore, 2, 1))
    return images, Targets(boxes, points, kind)
