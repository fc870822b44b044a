"""Datasets and samplers: augmented crops of a training cache with their targets."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset, Sampler

from tddfa_ros.errors import ConfigError
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.augment import Augment
from tddfa_ros.training.cache import FaceCache
from tddfa_ros.training.data.uv_map import uv_surface
from tddfa_ros.training.framing import landmark_frame, reframe, reframe_parsing
from tddfa_ros.training.networks import UV_SIZE
from tddfa_ros.types import CROP_FRAME, POSE_SIZE, DoubleArray


class UvTarget(nn.Module):
    """Compute UV position maps: params (n, P) -> (n, 3, u, u) x, y, z in the crop frame at every texel, 0 where there is no surface.

    Attributes:
        mask: (u, u) 1 where there is a surface.
    """

    def __init__(self, model: MorphableModel, size: int = UV_SIZE) -> None:
        super().__init__()
        surface = uv_surface(model, size)
        basis = surface.basis(model)
        self.register_buffer("mask", torch.from_numpy(surface.mask.astype(np.float32)))
        self.register_buffer("base", torch.from_numpy(basis.mean).reshape(-1))
        self.register_buffer(
            "joint", torch.from_numpy(basis.joint.reshape(-1, basis.joint.shape[2]))
        )
        self.mask: Tensor
        self.base: Tensor
        self.joint: Tensor

    def forward(self, params: Tensor) -> Tensor:
        pose = params[:, :POSE_SIZE].reshape(-1, 3, 4)
        head = (self.base + params[:, POSE_SIZE:] @ self.joint.T).reshape(len(params), -1, 3)
        points = head @ pose[:, :, :3].transpose(1, 2) + pose[:, None, :, 3]
        size = len(self.mask)
        out = points.new_zeros(len(params), 3, size * size)
        out[:, :, self.mask.flatten() > 0] = points.transpose(1, 2)
        return out.reshape(-1, 3, size, size)


Batch = dict[str, Tensor]
"""image (n, 3, S, S) uint8 BGR; params (n, P) in the 120-px crop frame; face (n,) 1 or 0; parsing (n, S/4, S/4) where the cache has it; clip (n,)
int64, the same number for consecutive rows that are two frames of one clip, -1 for single images."""

Draw = tuple[int, int, int]
"""Row of the cache, number of the draw (seed of its augmentation), and frame: 0 for a single image, 1 and 2 for the frames of a clip."""


class FaceDataset(Dataset[Batch]):
    """Augmented crops. The augmentation depends only on the seed and the number of the draw, so runs are repeatable.

    Args:
        augment: None: crops without augmentation, framed by their landmarks.
        seed: of the augmentation.
        size: side of the crops, px.
    """

    def __init__(
        self,
        cache: FaceCache,
        model: MorphableModel,
        augment: Augment | None,
        seed: int,
        size: int = int(CROP_FRAME),
    ) -> None:
        self._cache, self._model, self._augment = cache, model, augment
        self._seed, self._size = seed, size

    def __len__(self) -> int:
        return len(self._cache)

    def __getitem__(self, key: int | Draw) -> Batch:
        row, draw, frame = key if isinstance(key, tuple) else (key, 0, 0)
        cache = self._cache
        image, params = np.asarray(cache.images[row]), cache.params[row]
        parsing = None if cache.parsing is None else np.asarray(cache.parsing[row])
        if self._augment is None:
            zoom, shift = landmark_frame(self._model, params)
            crop, params = reframe(image, params, 0.0, zoom, shift, size=self._size)
            if parsing is not None:
                parsing = reframe_parsing(parsing, 0.0, zoom, shift, self._size)
        else:
            rng = np.random.default_rng((self._seed, draw))
            motion = np.random.default_rng((self._seed, draw, frame)) if frame > 1 else None
            crop, params, parsing = self._augment(image, params, rng, parsing, motion)
        face = bool(cache.face[row])
        batch = {
            "image": torch.from_numpy(crop).permute(2, 0, 1),
            "params": torch.from_numpy(params if face else np.zeros_like(params)),
            "face": torch.tensor(float(face)),
            "clip": torch.tensor(draw if frame else -1),
        }
        if parsing is not None:
            batch["parsing"] = torch.from_numpy(parsing.astype(np.int64))
        return batch


class CropSampler(Sampler[Draw]):
    """Draw ``samples`` rows per epoch with replacement; the number of each draw is the seed of its augmentation.

    The sequence does not depend on the number of processes: each step takes ``batch`` draws for every process.

    Args:
        weights: (n,) sampling weights of the rows.
        samples: draws per epoch.
        batch: draws per step and process.
        seed: of the sequence.
        rank: of this process.
        ranks: number of processes.
        clips: share of a batch, from its start, that consists of pairs of frames of one clip.

    Attributes:
        steps: per epoch.
        epoch: the epoch that is drawn.
        first_step: first step that is drawn, of a resumed epoch.
    """

    def __init__(
        self,
        weights: DoubleArray,
        samples: int,
        batch: int,
        seed: int,
        rank: int = 0,
        ranks: int = 1,
        clips: float = 0.0,
    ) -> None:
        self._probability, self._seed = weights / weights.sum(), seed
        self._batch, self._rank, self._ranks = batch, rank, ranks
        self._paired = 2 * round(clips * batch / 2)
        self.steps = samples // (batch * ranks)
        self.epoch = 0
        self.first_step = 0

    def __len__(self) -> int:
        return (self.steps - self.first_step) * self._batch

    def __iter__(self) -> Iterator[Draw]:
        rng = np.random.default_rng((self._seed, self.epoch))
        step = self._batch * self._ranks
        drawn = rng.choice(len(self._probability), self.steps * step, p=self._probability)
        start = self.epoch * len(drawn)
        for first in range(self.first_step * step, len(drawn), step):
            mine = first + self._rank * self._batch
            for place in range(self._batch):
                frame = 1 + place % 2 if place < self._paired else 0
                index = mine + place - (frame == 2)
                yield int(drawn[index]), start + index, frame


def sampling_weights(
    cache: FaceCache, negatives: float, profile_boost: tuple[float, float]
) -> DoubleArray:
    """Return sampling weights (n,) of the rows of a cache.

    Args:
        cache: held-out rows get 0.
        negatives: share of all draws without a face.
        profile_boost: factors beyond 30 and 60 degrees of yaw.

    Raises:
        ConfigError: no face has a weight above 0.
    """
    yaw = np.abs(cache.yaw_deg)
    half, full = profile_boost
    # synthetic profiles are numerous and have large yaws anyway: no boost
    turned = cache.source == "profile"
    boost = np.where(turned, 1.0, np.where(yaw > 60, full, np.where(yaw > 30, half, 1.0)))
    weight = (cache.weight * boost).astype(np.float64)
    weight[cache.held_out] = 0
    faces = np.where(cache.face, weight, 0)
    others = np.where(cache.face, 0, weight)
    if faces.sum() == 0:
        raise ConfigError("there is no face to train on: all faces are held out or have weight 0")
    if others.sum() == 0:
        return faces
    return np.asarray((1 - negatives) * faces / faces.sum() + negatives * others / others.sum())


def held_out_rows(cache: FaceCache, face: bool) -> NDArray[np.int64]:
    """Return the held-out rows with, or without, a face."""
    return np.flatnonzero(cache.held_out & (cache.face == face))
