"""A network that estimates age, gender presentation and smiling from the crop that the face network looks at, and its training.

It begins with the backbone of a trained face network. The first layers stay as they are: what they make of every crop (in several disturbed
views) is computed once and kept on disk, and the rest is trained from that, which takes a fifth of the time.

Age is a distribution over years, trained by Gao et al. 2018 ("Age Estimation Using Expectation of Label Distribution Learning", IJCAI):
cross entropy against a normal distribution about the label, and the error of the expectation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, pad
from torch.nn.utils.fusion import fuse_conv_bn_eval
from tqdm import tqdm

from tddfa_ros.errors import ConfigError
from tddfa_ros.training.attributes.crops import read_view
from tddfa_ros.training.attributes.labelled import LabelledFaces, age_band
from tddfa_ros.training.checkpoint import averaged, check_same_run, load, save
from tddfa_ros.training.networks import MobileNetV1, normalize

YEARS = 101
"""Ages are told as a distribution over 0, 1, ... 100 years."""

_BATCH_OF_STEM = 64


@dataclass(frozen=True)
class AttributeConfig:
    """How the network is trained.

    Attributes:
        width: of MobileNet V1. size: side of the crops, px.
        fixed_layers: of the backbone, from the front: 11 of 27 end at an eighth of the crop; 0 trains everything.
        views: disturbed views of each face; half of all are mirror images.
        epochs: passes over all faces, each in one of its views.
        batch, learning_rate, weight_decay: of AdamW; one cycle of the learning rate.
        age_sigma: of the distribution about a label, years.
        expectation: weight of the error of the expected age, per year.
        seed: of the split, the views, the weights and the order.
    """

    width: float = 0.5
    size: int = 120
    fixed_layers: int = 11
    views: int = 2
    epochs: int = 10
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    age_sigma: float = 2.5
    expectation: float = 0.1
    seed: int = 0


class AttributeLogits(NamedTuple):
    """Answers for n faces: age (n, 101), feminine (n,) and smiling (n,), before softmax and the logistic function."""

    age: Tensor
    feminine: Tensor
    smiling: Tensor


class AttributeNet(nn.Module):
    """A backbone, cut in two, and a small head per attribute on the means of its last two scales."""

    def __init__(self, width: float = 0.5, fixed_layers: int = 11) -> None:
        super().__init__()
        backbone = MobileNetV1(width)
        fine_end = backbone.ends[-2]
        if not 0 <= fixed_layers < fine_end:
            raise ValueError(f"fixed_layers must be 0 to {fine_end - 1}, not {fixed_layers}")
        self.stem = backbone.layers[:fixed_layers]
        self.fine = backbone.layers[fixed_layers:fine_end]
        self.coarse = backbone.layers[fine_end:]
        features = backbone.channels[-2] + backbone.channels[-1]
        self.age_head = _head(features, 128, YEARS)
        self.feminine_head = _head(features, 64, 1)
        self.smiling_head = _head(features, 64, 1)

    def forward(self, image: Tensor) -> AttributeLogits:
        return self.finish(self.stem(image))

    def finish(self, maps: Tensor) -> AttributeLogits:
        """What follows the fixed layers."""
        fine = self.fine(maps)
        features = torch.cat([fine.mean((2, 3)), self.coarse(fine).mean((2, 3))], dim=1)
        return AttributeLogits(
            self.age_head(features),
            self.feminine_head(features)[:, 0],
            self.smiling_head(features)[:, 0],
        )

    def start_from(self, checkpoint: Path) -> None:
        """Take the backbone of a face network's checkpoint.

        Raises:
            ConfigError: the file is no checkpoint, or its backbone has another width.
        """
        weights = averaged(load(checkpoint))
        prefix = "backbone.layers."
        given = {k[len(prefix) :]: v for k, v in weights.items() if k.startswith(prefix)}
        layers = nn.Sequential(*self.stem, *self.fine, *self.coarse)
        try:
            layers.load_state_dict(given)
        except RuntimeError as error:
            raise ConfigError(f"{checkpoint} has another backbone than this network") from error


def width_of(checkpoint: Path) -> float:
    """Width of the backbone in a face network's checkpoint.

    Raises:
        ConfigError: the file is no checkpoint.
    """
    return float(load(checkpoint)["config"].get("width", AttributeConfig.width))


def _head(features: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Dropout(0.2), nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, outputs)
    )


def stem_maps(
    network: AttributeNet, faces: LabelledFaces, views: int, config: AttributeConfig, path: Path
) -> NDArray[np.float16]:
    """What the fixed layers make of every view: (n, max(views, 1), C, h, w), memory-mapped in ``path``.

    Args:
        views: disturbed ones; 0: the one undisturbed.
    """
    stem = _fused(network.stem)
    with torch.no_grad():
        shape = stem(torch.zeros(1, 3, config.size, config.size)).shape[1:]
    count = max(views, 1)
    maps = np.lib.format.open_memmap(path, "w+", np.float16, (len(faces), count, *shape))
    flat = maps.reshape(-1, *shape)
    for start in tqdm(range(0, len(flat), _BATCH_OF_STEM), unit="batch", desc="fixed layers"):
        items = range(start, min(start + _BATCH_OF_STEM, len(flat)))
        crops = np.stack([_view(faces, item, count, views, config) for item in items])
        tensor = torch.from_numpy(np.ascontiguousarray(crops.transpose(0, 3, 1, 2)))
        with torch.no_grad():
            flat[start : start + len(items)] = stem(normalize(tensor)).numpy()
    return maps


def kept_maps(
    network: AttributeNet, faces: LabelledFaces, views: int, config: AttributeConfig, path: Path
) -> NDArray[np.float16]:
    """:func:`stem_maps`, taken from ``path`` where an earlier run has left them whole."""
    whole = path.with_suffix(".whole")
    key = f"{config.size} {config.seed} {views} {digest(network.stem, faces)}"
    if whole.exists() and whole.read_text(encoding="utf-8") == key:
        return np.asarray(np.load(path, mmap_mode="r"))
    whole.unlink(missing_ok=True)
    maps = stem_maps(network, faces, views, config, path)
    maps.flush()
    whole.write_text(key, encoding="utf-8")
    return maps


def digest(stem: nn.Module, faces: LabelledFaces) -> str:
    """A short name for these layers and faces: others have another."""
    found = hashlib.sha256()
    for tensor in stem.state_dict().values():
        found.update(tensor.contiguous().numpy().tobytes())
    for column in fields(faces):
        found.update(np.ascontiguousarray(getattr(faces, column.name)).tobytes())
    return found.hexdigest()[:16]


def _fused(stem: nn.Sequential) -> nn.Sequential:
    """The same function in a third of the time: normalisation with fixed statistics is part of the convolution before it."""
    stem = stem.eval()
    return nn.Sequential(
        *(nn.Sequential(fuse_conv_bn_eval(conv, norm), relu) for conv, norm, relu in stem)
    )


def _view(
    faces: LabelledFaces, item: int, count: int, views: int, config: AttributeConfig
) -> NDArray[np.uint8]:
    rng = np.random.default_rng((config.seed, item)) if views else None
    return read_view(faces, item // count, config.size, rng)


def train(
    network: AttributeNet,
    maps: NDArray[np.float16],
    faces: LabelledFaces,
    config: AttributeConfig,
    checkpoint: Path | None = None,
) -> None:
    """Train what follows the fixed layers, in place.

    Args:
        maps: of the faces, as :func:`stem_maps` returns them for this network.
        checkpoint: written after every epoch; where it exists, training goes on from it as if it had not stopped.

    Raises:
        ConfigError: the checkpoint is of another configuration, of other faces, or began from another network.
    """
    rng = np.random.default_rng(config.seed)
    weights = _rarity(faces)
    parameters = [p for m in (network.fine, network.coarse) for p in m.parameters()]
    for head in (network.age_head, network.feminine_head, network.smiling_head):
        parameters += list(head.parameters())
    steps = config.epochs * (len(faces) // config.batch)
    optimiser = torch.optim.AdamW(
        parameters, lr=config.learning_rate, weight_decay=config.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, config.learning_rate, total_steps=steps, pct_start=0.15
    )
    identity = {
        "config": asdict(config),
        "number of epochs": config.epochs,
        "data": digest(network.stem, faces),
    }
    run = _Run(network, optimiser, schedule, rng, identity)
    begun = run.go_on(checkpoint) if checkpoint is not None and checkpoint.exists() else 0
    network.train()
    network.stem.eval()
    progress = tqdm(total=steps, initial=begun * steps // config.epochs, unit="step", desc="training")  # fmt: skip
    for epoch in range(begun, config.epochs):
        for rows in _batches(len(faces), config.batch, rng):
            seen = maps[rows, rng.integers(maps.shape[1], size=len(rows))].astype(np.float32)
            loss = attribute_loss(
                network.finish(_disturbed(torch.from_numpy(seen), rng)),
                faces.take(rows),
                torch.from_numpy(weights[rows]),
                config,
            )
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 5.0)
            optimiser.step()
            schedule.step()
            progress.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
            progress.update()
        if checkpoint is not None:
            run.keep(checkpoint, epoch + 1)
    progress.close()
    network.eval()


_PARTS = ("network", "optimiser", "schedule")


@dataclass(frozen=True)
class _Run:
    """What training changes, and what says which run it is."""

    network: AttributeNet
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    rng: np.random.Generator
    identity: dict[str, Any]

    def keep(self, path: Path, epochs: int) -> None:
        """Write all of it, after so many epochs."""
        state = {name: getattr(self, name).state_dict() for name in _PARTS}
        generators = {"rng": self.rng.bit_generator.state, "torch_rng": torch.get_rng_state()}
        save(path, {**self.identity, **state, **generators, "epochs_done": epochs})

    def go_on(self, path: Path) -> int:
        """Take all of it over; how many epochs are done."""
        state = load(path)
        check_same_run(path, state, self.identity)
        for name in _PARTS:
            getattr(self, name).load_state_dict(state[name])
        self.rng.bit_generator.state = state["rng"]
        torch.set_rng_state(state["torch_rng"])
        return int(state["epochs_done"])


def attribute_loss(
    found: AttributeLogits, faces: LabelledFaces, weights: Tensor, config: AttributeConfig
) -> Tensor:
    """Mean loss of a batch; faces count for what is known of them only."""
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


def predict(
    network: AttributeNet, maps: NDArray[np.float16], batch: int = 128
) -> dict[str, NDArray[np.float32]]:
    """Logits by name for the first view of every face, (n, ...)."""
    network.eval()
    parts = []
    with torch.no_grad():
        for start in range(0, len(maps), batch):
            seen = torch.from_numpy(maps[start : start + batch, 0].astype(np.float32))
            parts.append(network.finish(seen))
    return {
        name: torch.cat([getattr(p, name) for p in parts]).numpy()
        for name in AttributeLogits._fields
    }


def _rarity(faces: LabelledFaces) -> NDArray[np.float32]:
    """(n,) the root of how rare the age band, gender and ethnicity of a face are together, 1/3 to 3, so that small groups count more."""
    gender = np.nan_to_num(faces.feminine, nan=-1).astype(np.int64)
    strata = np.stack([age_band(faces.age), gender, faces.ethnicity], axis=1)
    _, index, counts = np.unique(strata, axis=0, return_inverse=True, return_counts=True)
    weights = (len(faces) / len(counts) / counts[index.ravel()]) ** 0.5
    return np.clip(weights, 1 / 3, 3).astype(np.float32)


def _batches(count: int, batch: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Every face once, in random order; what does not fill a batch is left out."""
    order = rng.permutation(count)
    for start in range(0, count - batch + 1, batch):
        yield order[start : start + batch]


def _disturbed(maps: Tensor, rng: np.random.Generator) -> Tensor:
    """Maps moved by up to one cell, and with a patch blanked in half of the cases: cheap variety after the fixed layers."""
    height, width = maps.shape[2:]
    top, left = rng.integers(3, size=2)
    moved = pad(maps, (1, 1, 1, 1), mode="replicate")[:, :, top : top + height, left : left + width]
    moved = moved.contiguous(memory_format=torch.channels_last)
    for row in np.flatnonzero(rng.random(len(maps)) < 0.5):
        sides = np.maximum(1, (rng.uniform(0.1, 0.4, 2) * (height, width)).astype(int))
        y, x = (int(rng.integers(n - s + 1)) for n, s in zip((height, width), sides, strict=True))
        moved[row, :, y : y + sides[0], x : x + sides[1]] = 0
    return moved
