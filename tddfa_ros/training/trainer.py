"""Train the regressor: one-cycle AdamW, resumable checkpoints, a CSV log."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from tqdm import tqdm

from tddfa_ros.errors import ConfigError
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.augment import Augment, reframe
from tddfa_ros.training.cache import FaceCache
from tddfa_ros.training.config import TrainConfig
from tddfa_ros.training.losses import FaceLoss, PosedPoints, crop_pixels
from tddfa_ros.training.mirror import ParamMirror
from tddfa_ros.training.networks import FaceNet, MobileNetV1
from tddfa_ros.types import FloatArray

_HOLD_OUT_EVERY = 47
_CLIP = 5.0


class FaceDataset(Dataset[tuple[Tensor, Tensor]]):
    """Augmented crops; the disturbance of a face depends only on seed, epoch and row, so that a run repeats."""

    def __init__(self, cache: FaceCache, augment: Augment | None, seed: int) -> None:
        self._cache = cache
        self._augment = augment
        self._seed = seed

    def __len__(self) -> int:
        return len(self._cache)

    def __getitem__(self, key: int | tuple[int, int]) -> tuple[Tensor, Tensor]:
        row, draw = key if isinstance(key, tuple) else (key, 0)
        image, params = self._cache.images[row], self._cache.params[row]
        if self._augment is None:
            crop, params = reframe(np.asarray(image), params, 0.0, 1.0, np.zeros(2))
        else:
            rng = np.random.default_rng((self._seed, draw))
            crop, params = self._augment(np.asarray(image), params, rng)
        return torch.from_numpy(crop).permute(2, 0, 1), torch.from_numpy(params)


class BalancedRows(Sampler[tuple[int, int]]):
    """Draws rows with replacement in proportion to ``weights``; every draw has its own number, the seed of its disturbance."""

    def __init__(self, rows: NDArray[np.int64], weights: FloatArray, seed: int) -> None:
        self._rows, self._share, self._seed = rows, weights / weights.sum(), seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        rng = np.random.default_rng((self._seed, self.epoch))
        drawn = rng.choice(self._rows, len(self._rows), p=self._share)
        start = self.epoch * len(self._rows)
        return iter((int(row), start + i) for i, row in enumerate(drawn))


class Trainer:
    """Owns network, optimiser and schedule; :meth:`run` trains to the last epoch, from a checkpoint if there is one."""

    def __init__(
        self, config: TrainConfig, cache: FaceCache, model: MorphableModel, folder: Path
    ) -> None:
        torch.manual_seed(config.seed)
        torch.set_num_threads(config.threads)
        self.config, self.folder = config, folder
        folder.mkdir(parents=True, exist_ok=True)
        self._held_out = held_out_rows(len(cache))
        rows = np.setdiff1d(np.arange(len(cache)), self._held_out)
        if len(rows) < config.batch:
            raise ConfigError(
                f"the cache holds {len(rows)} faces to train on, fewer than one batch of {config.batch}"
            )
        augment = Augment(config.augment, ParamMirror(model))
        self._sampler = BalancedRows(rows, self._weights(cache, rows), config.seed)
        self._loader = DataLoader(
            FaceDataset(cache, augment, config.seed),
            batch_size=config.batch,
            sampler=self._sampler,
            num_workers=1,
            drop_last=True,
            persistent_workers=True,
            prefetch_factor=16,
        )
        self._validation = FaceDataset(cache, None, config.seed)
        mean, std = _whitening(cache.params[rows])
        points = PosedPoints(model)
        backbone = MobileNetV1(config.width)
        self.network = FaceNet(backbone, backbone.features, mean, std)
        self.network.start_at(crop_pixels(points(mean[None])[0, :68]))
        self.network.to(memory_format=torch.channels_last)
        self._loss = FaceLoss(points, std, config.loss)
        self._optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        total = config.epochs * len(self._loader)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimiser, lambda step: one_cycle(step / total)
        )
        self._epoch = 0

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    def run(self) -> None:
        """Train to the last epoch; after each: validation, a line in ``log.csv``, a checkpoint.

        Raises:
            ConfigError: the checkpoint was begun with another configuration, or is not a checkpoint.
        """
        if self.checkpoint.is_file():
            self._restore()
        for epoch in range(self._epoch, self.config.epochs):
            started = time.monotonic()
            figures = self._train_epoch(epoch)
            self._epoch = epoch + 1
            figures |= {"epoch": epoch + 1, "nme_validation": self.validate()}
            figures["minutes"] = (time.monotonic() - started) / 60
            self._log(figures)
            self._save()

    def validate(self) -> float:
        """Mean distance of the mesh's 68 landmarks on held-out faces, % of the face size, ."""
        network = self.network.eval()
        errors = []
        loader = DataLoader(self._validation, batch_size=256, sampler=self._held_out.tolist())
        with torch.no_grad():
            for image, target in loader:
                found, _ = network(normalise(image))
                points = [crop_pixels(self._loss.points(p)[:, :68]) for p in (found, target)]
                extent = (points[1].amax(dim=1) - points[1].amin(dim=1)).prod(dim=1).sqrt()
                errors.append((points[0] - points[1]).norm(dim=2).mean(dim=1) / extent)
        return 100 * float(torch.cat(errors).mean())

    def _train_epoch(self, epoch: int) -> dict[str, Any]:
        self.network.train()
        self._sampler.epoch = epoch
        sums: dict[str, float] = {}
        progress = tqdm(self._loader, desc=f"epoch {epoch + 1}/{self.config.epochs}", mininterval=5)
        for image, target in progress:
            params, landmarks = self.network(normalise(image))
            total, terms = self._loss(params, landmarks, target)
            self._optimiser.zero_grad(set_to_none=True)
            total.backward()
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), _CLIP)
            self._optimiser.step()
            self._schedule.step()
            for name, value in (*terms.items(), ("total", total)):
                sums[name] = sums.get(name, 0.0) + float(value.detach())
            progress.set_postfix(loss=f"{float(total.detach()):.3f}")
        return {name: value / len(self._loader) for name, value in sums.items()}

    def _weights(self, cache: FaceCache, rows: NDArray[np.int64]) -> FloatArray:
        yaw = np.abs(cache.yaw_deg[rows])
        half, full = self.config.profile_boost
        return np.where(yaw > 60, full, np.where(yaw > 30, half, 1.0)).astype(np.float64)

    def _log(self, figures: dict[str, Any]) -> None:
        path = self.folder / "log.csv"
        new = not path.is_file()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(figures))
            if new:
                writer.writeheader()
            writer.writerow(figures)
        tqdm.write(" ".join(f"{k}={v:.4g}" for k, v in figures.items()))

    def _save(self) -> None:
        state = {
            "config": asdict(self.config),
            "epoch": self._epoch,
            "network": self.network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "steps": self._epoch * len(self._loader),
            "rng": torch.get_rng_state(),
        }
        partial = self.checkpoint.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self.checkpoint)

    def _restore(self) -> None:
        try:
            state = torch.load(self.checkpoint, weights_only=True)
            begun = state["config"]
        except Exception as error:  # zip, pickle and torch each have their own
            raise ConfigError(f"{self.checkpoint} is not a readable checkpoint: {error}") from error
        ours = asdict(self.config)
        other = [k for k in ours if k not in ("threads", "epochs") and begun.get(k) != ours[k]]
        if other:
            name = other[0]
            raise ConfigError(
                f"{self.checkpoint} was begun with {name} {begun.get(name)}, not {ours[name]}: "
                "go on with the same configuration, or begin in another folder"
            )
        self._epoch = state["epoch"]
        self.network.load_state_dict(state["network"])
        self._optimiser.load_state_dict(state["optimiser"])
        for group in self._optimiser.param_groups:
            group["initial_lr"] = self.config.learning_rate
        # the schedule is a function of progress, so a run may be resumed with more or fewer epochs
        self._schedule.last_epoch = self._epoch * len(self._loader) - 1
        self._schedule.step()
        torch.set_rng_state(state["rng"])


def held_out_rows(count: int) -> NDArray[np.int64]:
    """Rows of a cache that are kept for validation and calibration, never trained on."""
    return np.arange(0, count, _HOLD_OUT_EVERY)


def one_cycle(progress: float, warm_up: float = 0.08, floor: float = 1e-3) -> float:
    """Share of the peak learning rate at ``progress`` in [0, 1]: cosine up from 0.04, cosine down to ``floor``."""
    if progress < warm_up:
        return 0.04 + 0.96 * 0.5 * (1 - math.cos(math.pi * progress / warm_up))
    down = min((progress - warm_up) / (1 - warm_up), 1.0)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * down))


def normalise(image: Tensor) -> Tensor:
    """uint8 BGR (n, 3, S, S) to what the network takes."""
    scaled: Tensor = (image.float() - 127.5) / 128
    return scaled.to(memory_format=torch.channels_last)


def _whitening(params: FloatArray) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each parameter, the latter with a floor for coefficients that hardly vary."""
    mean, std = params.mean(axis=0), params.std(axis=0)
    return torch.from_numpy(mean), torch.from_numpy(np.maximum(std, 0.02).astype(np.float32))
