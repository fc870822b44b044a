"""Train the layers after the frozen ones on stored feature maps: loss, weights of the faces, augmentation of maps, checkpoints.

The loss of age is that of Gao et al., "Age Estimation Using Expectation of Label Distribution Learning", IJCAI 2018: cross entropy against a
normal distribution around the label, and the error of the expectation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, pad
from tqdm import tqdm

from tddfa_ros.training.attributes.feature_maps import digest
from tddfa_ros.training.attributes.labeled import LabeledFaces, age_band
from tddfa_ros.training.attributes.network import (
    YEARS,
    AttributeConfig,
    AttributeLogits,
    AttributeNet,
)
from tddfa_ros.training.checkpoint import check_same_run, load, save


def train(
    network: AttributeNet,
    maps: NDArray[np.float16],
    faces: LabeledFaces,
    config: AttributeConfig,
    checkpoint: Path | None = None,
) -> None:
    """Train the layers after the frozen ones, in place.

    Args:
        network: to train.
        maps: feature maps of the faces, of :func:`~tddfa_ros.training.attributes.feature_maps.stem_maps` for this network.
        faces: with their labels.
        config: options.
        checkpoint: written after every epoch; training resumes from it if it exists.

    Raises:
        ConfigError: the checkpoint belongs to another configuration, other faces, or another initial network.
    """
    rng = np.random.default_rng(config.seed)
    weights = _group_weights(faces)
    parameters = [p for m in (network.fine, network.coarse) for p in m.parameters()]
    for head in (network.age_head, network.feminine_head, network.smiling_head):
        parameters += list(head.parameters())
    steps = config.epochs * (len(faces) // config.batch)
    optimizer = torch.optim.AdamW(
        parameters, lr=config.learning_rate, weight_decay=config.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.learning_rate, total_steps=steps, pct_start=0.15
    )
    identity = {
        "config": asdict(config),
        "number of epochs": config.epochs,
        "data": digest(network.stem, faces),
    }
    run = _Run(network, optimizer, schedule, rng, identity)
    begun = run.resume(checkpoint) if checkpoint is not None and checkpoint.exists() else 0
    network.train()
    network.stem.eval()
    progress = tqdm(total=steps, initial=begun * steps // config.epochs, unit="step", desc="training", disable=None)  # fmt: skip
    for epoch in range(begun, config.epochs):
        for rows in _batches(len(faces), config.batch, rng):
            seen = maps[rows, rng.integers(maps.shape[1], size=len(rows))].astype(np.float32)
            loss = attribute_loss(
                network.finish(_augment_maps(torch.from_numpy(seen), rng)),
                faces.take(rows),
                torch.from_numpy(weights[rows]),
                config,
            )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 5.0)
            optimizer.step()
            schedule.step()
            progress.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
            progress.update()
        if checkpoint is not None:
            run.save(checkpoint, epoch + 1)
    progress.close()
    network.eval()


_PARTS = ("network", "optimizer", "schedule")


@dataclass(frozen=True)
class _Run:
    """State of a run, and its identity: what must be equal to resume it."""

    network: AttributeNet
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    rng: np.random.Generator
    identity: dict[str, Any]

    def save(self, path: Path, epochs: int) -> None:
        """Write the state after ``epochs`` epochs."""
        state = {name: getattr(self, name).state_dict() for name in _PARTS}
        generators = {"rng": self.rng.bit_generator.state, "torch_rng": torch.get_rng_state()}
        save(path, {**self.identity, **state, **generators, "epochs_done": epochs})

    def resume(self, path: Path) -> int:
        """Load the state, and return the number of completed epochs."""
        state = load(path)
        check_same_run(path, state, self.identity)
        for name in _PARTS:
            getattr(self, name).load_state_dict(state[name])
        self.rng.bit_generator.state = state["rng"]
        torch.set_rng_state(state["torch_rng"])
        return int(state["epochs_done"])


def attribute_loss(
    found: AttributeLogits, faces: LabeledFaces, weights: Tensor, config: AttributeConfig
) -> Tensor:
    """Return the loss of a batch: the weighted mean of each attribute over the faces with that label."""
    years = torch.arange(YEARS, dtype=torch.float32)
    age = torch.from_numpy(faces.age).clamp(max=YEARS - 1)
    known = torch.isfinite(age)
    total = found.age.sum() * 0
    if known.any():
        label = age[known, None]
        wanted = torch.softmax(-0.5 * ((years - label) / config.age_sigma) ** 2, dim=1)
        log_p = found.age[known].log_softmax(dim=1)
        entropy = -(wanted * log_p).sum(dim=1)
        distance = ((log_p.exp() * years).sum(dim=1) - label[:, 0]).abs()
        loss = entropy + config.expectation * distance
        total = total + (weights[known] * loss).sum() / weights[known].sum()
    for logits, labels in ((found.feminine, faces.feminine), (found.smiling, faces.smiling)):
        target = torch.from_numpy(labels)
        known = torch.isfinite(target)
        if known.any():
            loss = binary_cross_entropy_with_logits(logits[known], target[known], reduction="none")
            total = total + (weights[known] * loss).sum() / weights[known].sum()
    return total


def _group_weights(faces: LabeledFaces) -> NDArray[np.float32]:
    """Return weights (n,): the root of the inverse frequency of age band, gender and ethnicity, 1/3 to 3."""
    gender = np.nan_to_num(faces.feminine, nan=-1).astype(np.int64)
    strata = np.stack([age_band(faces.age), gender, faces.ethnicity], axis=1)
    _, index, counts = np.unique(strata, axis=0, return_inverse=True, return_counts=True)
    weights = (len(faces) / len(counts) / counts[index.ravel()]) ** 0.5
    return np.clip(weights, 1 / 3, 3).astype(np.float32)


def _batches(count: int, batch: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Yield batches of all faces in random order; an incomplete batch is dropped."""
    order = rng.permutation(count)
    for start in range(0, count - batch + 1, batch):
        yield order[start : start + batch]


def _augment_maps(maps: Tensor, rng: np.random.Generator) -> Tensor:
    """Augment feature maps: shift by up to one cell, and set a random patch to 0 in half of them."""
    height, width = maps.shape[2:]
    top, left = rng.integers(3, size=2)
    moved = pad(maps, (1, 1, 1, 1), mode="replicate")[:, :, top : top + height, left : left + width]
    moved = moved.contiguous(memory_format=torch.channels_last)
    for row in np.flatnonzero(rng.random(len(maps)) < 0.5):
        sides = np.maximum(1, (rng.uniform(0.1, 0.4, 2) * (height, width)).astype(int))
        y, x = (int(rng.integers(n - s + 1)) for n, s in zip((height, width), sides, strict=True))
        moved[row, :, y : y + sides[0], x : x + sides[1]] = 0
    return moved
