"""What the network sees in a step: crops drawn from a cache, augmented, with their targets."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset, Sampler

from tddfa_ros.errors import ConfigError
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.augment import (
    Augment,
    landmark_frame,
    reframe,
    reframe_parsing,
)
from tddfa_ros.training.cache import FaceCache
from tddfa_ros.training.data.uv_map import uv_surface
from tddfa_ros.training.networks import UV_SIZE
from tddfa_ros.types import CROP_FRAME, POSE_SIZE, DoubleArray


class UvTarget(nn.Module):
    """params (n, P) -> (n, 3, u, u) x, y, z in the crop frame at every texel of the model's texture, 0 where there is no surface.

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
int64, the same number for neighbours that are two frames of one video, -1 for single images."""

Draw = tuple[int, int, int]
"""Row of the cache, number of the draw, and frame: 0 for a single image, 1 and 2 for the frames of a clip."""


class FaceDataset(Dataset[Batch]):
    """Augmented crops; the augmentation of a face depends only on the seed and the number of the draw, so that a run repeats.

    Args:
        augment: None: the crops as they are, framed by their landmarks, with the side ``size`` px.
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
    """Sample ``samples`` rows an epoch with replacement; every draw has its own number, the seed of its augmentation.

    The order is that of the whole run, whatever the number of processes: each step takes ``batch`` draws for every process. With ``clips``,
    that share of a batch, its beginning, are pairs of frames of one face.

    Attributes:
        epoch: which epoch is drawn; first_step: where in it (for a run that goes on).
    """

    def __init__(
        self,
        share: DoubleArray,
        samples: int,
        batch: int,
        seed: int,
        rank: int = 0,
        ranks: int = 1,
        clips: float = 0.0,
    ) -> None:
        self._share, self._seed = share / share.sum(), seed
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
        drawn = rng.choice(len(self._share), self.steps * step, p=self._share)
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
    """How often each row (n,) of a cache is drawn: its weight, more beyond 30 and 60 degrees of yaw; ``negatives`` of all have no face.

    Raises:
        ConfigError: no face is left to be drawn.
    """
    yaw = np.abs(cache.yaw_deg)
    half, full = profile_boost
    # turned faces are many, and made for large yaws: they need no boost
    turned = cache.source == "profile"
    boost = np.where(turned, 1.0, np.where(yaw > 60, full, np.where(yaw > 30, half, 1.0)))
    weight = (cache.weight * boost).astype(np.float64)
    weight[cache.held_out] = 0
    faces = np.where(cache.face, weight, 0)
    others = np.where(cache.face, 0, weight)
    if faces.sum() == 0:
        raise ConfigError("there is no face to train on: all are held out or have no weight")
    if others.sum() == 0:
        return faces
    return np.asarray((1 - negatives) * faces / faces.sum() + negatives * others / others.sum())


def held_out_rows(cache: FaceCache, face: bool) -> NDArray[np.int64]:
    """Rows that are held out, with or without a face."""
    return np.flatnonzero(cache.held_out & (cache.face == face))
