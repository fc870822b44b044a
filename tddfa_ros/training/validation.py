"""Validate a network on held-out crops: landmark errors, AUC of the confidence, an overlay."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from tddfa_ros.geometry.metrics import auc
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.rendering.overlay import IBUG_GROUPS
from tddfa_ros.training.cache import FaceCache
from tddfa_ros.training.config import TrainConfig
from tddfa_ros.training.dataset import Batch, FaceDataset
from tddfa_ros.training.losses.terms import PosedPoints, crop_pixels
from tddfa_ros.training.networks import FaceNet, Predictions, normalize
from tddfa_ros.types import CROP_FRAME, ImageBGR

_BATCH = 256
_TILES, _COLUMNS, _ZOOM = 24, 8, 2
_LABEL, _FOUND = (90, 90, 255), (120, 255, 120)  # BGR


class Validation:
    """Callable: network in evaluation mode -> figures.

    ``nme_validation`` and ``nme_direct``: mean distance of the 68 landmarks of the mesh, and of the direct head, from the labels, % of
    sqrt(w * h) of their box. ``auc_confidence``: of a confidence head, where there are crops without a face.

    Args:
        cache: with the crops.
        model: morphable model of the labels.
        config: gives the size of the crops.
        faces: rows with a face to validate on.
        others: rows without a face.
        points: posed landmarks of the model.
        device: of the network.
    """

    def __init__(
        self,
        cache: FaceCache,
        model: MorphableModel,
        config: TrainConfig,
        faces: NDArray[np.int64],
        others: NDArray[np.int64],
        points: PosedPoints,
        device: torch.device,
    ) -> None:
        self._crops = FaceDataset(cache, model, None, config.seed, config.input_size)
        self._faces, self._others = faces, others
        self._points, self._device = points, device

    def __call__(self, network: FaceNet) -> dict[str, float]:
        errors, direct, logits = [], [], []
        for batch, found in self._predict(network, self._faces):
            wanted = crop_pixels(self._points(batch["params"])[:, :68])
            mesh = crop_pixels(self._points(found.params)[:, :68])
            size = (wanted.amax(dim=1) - wanted.amin(dim=1)).prod(dim=1).sqrt()
            errors.append((mesh - wanted).norm(dim=2).mean(dim=1) / size)
            direct.append((found.landmarks - wanted).norm(dim=2).mean(dim=1) / size)
            logits.append(found.confidence)
        figures = {
            "nme_validation": 100 * float(torch.cat(errors).mean()),
            "nme_direct": 100 * float(torch.cat(direct).mean()),
        }
        if len(self._others) and logits[0] is not None:
            wrong = [found.confidence for _, found in self._predict(network, self._others)]
            figures["auc_confidence"] = auc(_numbers(logits), _numbers(wrong))
        return figures

    def params(self, network: FaceNet, most: int) -> tuple[Tensor, Tensor]:
        """Return predicted and true parameters (n, P) of at most ``most`` held-out faces."""
        pairs = [
            (found.params, batch["params"])
            for batch, found in self._predict(network, self._faces[:most])
        ]
        return torch.cat([p for p, _ in pairs]), torch.cat([p for _, p in pairs])

    def overlay(self, network: FaceNet) -> ImageBGR:
        """Draw held-out crops of all yaws with the landmarks of their labels (red dots) and of the network (green lines)."""
        rows = self._faces[
            np.linspace(0, len(self._faces) - 1, min(_TILES, len(self._faces))).astype(int)
        ]
        tiles: list[ImageBGR] = []
        for batch, found in self._predict(network, rows):
            wanted = crop_pixels(self._points(batch["params"])[:, :68]).cpu().numpy()
            mesh = crop_pixels(self._points(found.params)[:, :68]).cpu().numpy()
            crops = batch["image"].permute(0, 2, 3, 1).cpu().numpy()
            tiles += [_tile(*args) for args in zip(crops, wanted, mesh, strict=True)]
        tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % _COLUMNS)
        lines = [np.hstack(tiles[i : i + _COLUMNS]) for i in range(0, len(tiles), _COLUMNS)]
        return np.vstack(lines)

    def _predict(
        self, network: FaceNet, rows: NDArray[np.int64]
    ) -> Iterator[tuple[Batch, Predictions]]:
        loader = DataLoader(
            self._crops, batch_size=_BATCH, sampler=rows.tolist(), generator=torch.Generator()
        )
        for batch in loader:
            batch = {name: value.to(self._device) for name, value in batch.items()}
            with torch.no_grad():
                found = network(normalize(batch["image"]))
            yield batch, found


def _tile(crop: ImageBGR, wanted: NDArray[np.float32], found: NDArray[np.float32]) -> ImageBGR:
    side = int(CROP_FRAME) * _ZOOM
    tile = cv2.resize(crop, (side, side), interpolation=cv2.INTER_CUBIC)
    # resizing aligns the edges of both images, not the centers of their first pixels
    half = (side / len(crop) - 1) / 2
    for points, closed in IBUG_GROUPS.values():
        line = np.round((found[list(points)] * _ZOOM + half) * 8).astype(np.int32)
        cv2.polylines(tile, [line], closed, _FOUND, 1, cv2.LINE_AA, 3)
    for x, y in np.round((wanted * _ZOOM + half) * 8).astype(int):
        cv2.circle(tile, (int(x), int(y)), 10, _LABEL, -1, cv2.LINE_AA, 3)
    return np.asarray(tile, dtype=np.uint8)


def _numbers(parts: Sequence[Tensor | None]) -> NDArray[np.float32]:
    return torch.cat([part for part in parts if part is not None]).cpu().numpy()
