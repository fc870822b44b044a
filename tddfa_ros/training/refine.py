"""Refine the labels of a cache with a trained network (self-distillation): blend label and prediction, drop faces on which they disagree.

The errors of a fit and of the network are largely independent: a network trained on many fits does not reproduce the errors of a single
one. Their mean is therefore more accurate than either.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from tddfa_ros.errors import ConfigError
from tddfa_ros.files import link_or_copy, save_arrays
from tddfa_ros.geometry.metrics import nme
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.cache import FaceCache
from tddfa_ros.training.framing import (
    ParamMirror,
    RealLike,
    landmark_frame,
    landmark_pixels,
    reframe,
)
from tddfa_ros.training.networks import FaceNet, normalize
from tddfa_ros.types import CROP_FRAME, POSE_SIZE, DoubleArray, FloatArray

_BATCH = 128
_CENTER = np.array([(CROP_FRAME + 1) / 2, (CROP_FRAME + 1) / 2, 0.0])


@dataclass(frozen=True, eq=False)
class Refined:
    """Refined labels of a cache.

    Attributes:
        params: (n, P).
        disagreement: (n,) mean landmark distance of label and network, % of the face size, NaN without a face.
        dropped: (n,) True where it exceeds the limit.
    """

    params: FloatArray
    disagreement: FloatArray
    dropped: NDArray[np.bool_]


def refine(
    cache: FaceCache,
    model: MorphableModel,
    network: FaceNet,
    *,
    size: int = int(CROP_FRAME),
    share: float = 0.5,
    limit: float = 6.0,
    keep_expressions: bool = False,
) -> Refined:
    """Blend the labels with the predictions for each face and its mirror image, with a progress bar.

    Held-out faces keep their labels, so that figures before and after are comparable.

    Args:
        cache: with the labels.
        model: morphable model of the labels.
        network: in evaluation mode.
        size: side of the network's crops, px.
        share: weight of the network in the new labels, 0..1.
        limit: largest disagreement of label and network, % of the face size; other faces are dropped.
        keep_expressions: keep the expressions of the labels. A network underestimates them, and repeated refinement would shrink them further.
    """
    params = cache.params.copy()
    disagreement = np.full(len(cache), np.nan, dtype=np.float32)
    faces = np.flatnonzero(cache.face)
    for rows in tqdm(list(_chunks(faces)), desc="refine labels", unit="batch", disable=None):
        seen = _predict_faces(cache, model, network, rows, size)
        label = cache.params[rows]
        truth, found = (
            np.stack([landmark_pixels(model, p) for p in both]) for both in (label, seen)
        )
        disagreement[rows] = nme(found, truth)
        params[rows] = blend(label, seen, share)
    if keep_expressions:
        expressions = model.layout.expression_slice
        params[:, expressions] = cache.params[:, expressions]
    keep = cache.held_out | ~cache.face
    params[keep] = cache.params[keep]
    return Refined(params, disagreement, np.nan_to_num(disagreement) > limit)


def blend(one: FloatArray, other: FloatArray, share: float) -> FloatArray:
    """Interpolate parameters (n, P): ``share`` is the weight of ``other``; the 3x3 part of the pose stays a scaled rotation."""
    mixed = (1 - share) * one.astype(np.float64) + share * other
    pose = mixed[:, :POSE_SIZE].reshape(-1, 3, 4)
    left, scales, right = np.linalg.svd(pose[:, :, :3])
    pose[:, :, :3] = scales.mean(axis=1)[:, None, None] * (left @ right)
    return mixed.astype(np.float32)


def write_refined(source: Path, folder: Path, cache: FaceCache, refined: Refined) -> None:
    """Write a cache with refined labels to another folder; images are hard links if the file system allows it, else copies.

    Raises:
        ConfigError: both folders are the same.
    """
    if folder.resolve() == source.resolve():
        raise ConfigError("write refined labels to another folder than that of the cache")
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("images.npy", "parsing.npy", "uv_position.npy"):
        if (source / name).is_file():
            link_or_copy(source / name, folder / name)
    with np.load(source / "labels.npz") as file:
        topology = str(file["topology_id"])
    changed = replace(
        cache,
        params=refined.params,
        weight=np.where(refined.dropped & ~cache.held_out, 0, cache.weight).astype(np.float32),
    )
    labels = ("params", "yaw_deg", "source", "error", "face", "weight", "held_out")
    arrays = {name: getattr(changed, name) for name in labels}
    save_arrays(folder / "labels.npz", topology_id=topology, **arrays)


def _predict_faces(
    cache: FaceCache, model: MorphableModel, network: FaceNet, rows: NDArray[np.int64], size: int
) -> FloatArray:
    """Return the mean of the predictions for crops, framed by their labels, and for their mirror images: params (n, P) in the frame of the cache."""
    crops, frames = [], []
    for row in rows:
        zoom, shift = landmark_frame(model, cache.params[row])
        image = np.asarray(cache.images[row])
        crops.append(reframe(image, cache.params[row], 0.0, zoom, shift, size=size)[0])
        frames.append((zoom, shift))
    straight = _predict(network, np.stack(crops))
    mirrored = _predict(network, np.stack(crops)[:, :, ::-1])
    mirrored = ParamMirror(model)(mirrored)
    # mirroring maps px x to size - 1 - x, which is not 119 - x of the 120-px frame at other sizes
    mirrored[:, 3] += 1 - CROP_FRAME / size
    mean = blend(straight, mirrored, 0.5)
    return np.stack([_stored(p, *frame) for p, frame in zip(mean, frames, strict=True)])


def _predict(network: FaceNet, crops: NDArray[np.uint8]) -> FloatArray:
    batch = torch.from_numpy(np.ascontiguousarray(crops.transpose(0, 3, 1, 2)))
    with torch.no_grad():
        return np.asarray(network(normalize(batch)).params.numpy(), dtype=np.float32)


def _stored(params: FloatArray, zoom: RealLike, shift: DoubleArray) -> FloatArray:
    """Invert :func:`reframe` (without roll) for parameters (P,)."""
    out = params.copy()
    pose = out[:POSE_SIZE].reshape(3, 4)
    pose[:, 3] -= (1 - zoom) * _CENTER + [shift[0], -shift[1], 0.0]
    pose /= zoom
    return out


def _chunks(rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    for start in range(0, len(rows), _BATCH):
        yield rows[start : start + _BATCH]
