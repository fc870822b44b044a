"""All crops of a face collection in one memory-mapped array, decoded and resampled once.

Decoding and warping cost as much as the network, so each face is stored as a square of ``CACHE_SIDE`` px whose middle ``CROP_FRAME`` px
are the ROI; the rest is the margin that augmentation needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from tddfa_ros.errors import ConfigError
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.faces import load_source
from tddfa_ros.training.labels import fit_faces
from tddfa_ros.types import CROP_FRAME, FloatArray

CACHE_SIDE = 160
MARGIN = (CACHE_SIDE - int(CROP_FRAME)) // 2


@dataclass(frozen=True, eq=False)
class FaceCache:
    """Attributes: images (n, 160, 160, 3) uint8 BGR; params (n, P); yaw_deg (n,); source (n,); error (n,) of the fit, %."""

    images: NDArray[np.uint8]
    params: FloatArray
    yaw_deg: FloatArray
    source: NDArray[np.str_]
    error: FloatArray

    def __len__(self) -> int:
        return len(self.params)


def build_cache(
    root: Path, sources: Sequence[str], model: MorphableModel, folder: Path, max_error: float = 4.0
) -> FaceCache:
    """Fit labels and decode crops of all sources into ``folder``; faces whose fit misses the labels by more than ``max_error`` % of
    the face size, and those kept for evaluation, are left out.

    Raises:
        ConfigError: a source or a picture is missing, or no face is left.
    """
    folder.mkdir(parents=True, exist_ok=True)
    params, yaw, source, error, jobs = [], [], [], [], []
    for name in sources:
        faces = load_source(root, name)
        fitted = _stored_fit(folder, name, model, root)
        kept = np.flatnonzero((fitted["error"] < max_error) & ~faces.evaluation)
        params.append(fitted["params"][kept])
        error.append(fitted["error"][kept])
        yaw.append(faces.yaw_deg[kept])
        source.append(np.full(len(kept), name))
        jobs += [(str(root / "img" / str(faces.images[i])), faces.roi[i]) for i in kept]
    if not jobs:
        raise ConfigError(f"no face of {', '.join(sources)} fits its labels to {max_error} %")
    images = np.lib.format.open_memmap(
        folder / "images.npy", "w+", np.uint8, (len(jobs), CACHE_SIDE, CACHE_SIDE, 3)
    )
    for row, (path, roi) in enumerate(tqdm(jobs, desc="decode crops", unit="face")):
        images[row] = _cut(path, roi)
    images.flush()
    np.savez(
        folder / "labels.npz",
        params=np.concatenate(params),
        yaw_deg=np.concatenate(yaw),
        source=np.concatenate(source),
        error=np.concatenate(error),
        topology_id=model.topology_id,
    )
    return open_cache(folder, model)


def open_cache(folder: Path, model: MorphableModel) -> FaceCache:
    """Open what :func:`build_cache` wrote.

    Raises:
        ConfigError: there is no cache, or it was fitted with another morphable model.
    """
    labels = folder / "labels.npz"
    if not labels.is_file():
        raise ConfigError(f"{folder} holds no training cache: run 'tddfa dataset cache' first")
    with np.load(labels) as file:
        if str(file["topology_id"]) != model.topology_id:
            raise ConfigError(
                f"the training cache {folder} was fitted with model {file['topology_id']}, not {model.topology_id}"
            )
        images = np.load(folder / "images.npy", mmap_mode="r")
        return FaceCache(images, file["params"], file["yaw_deg"], file["source"], file["error"])


def _stored_fit(
    folder: Path, name: str, model: MorphableModel, root: Path
) -> dict[str, FloatArray]:
    """The fit of a source, computed once."""
    path = folder / f"fit_{name}_{model.topology_id}.npz"
    if not path.is_file():
        fitted = fit_faces(model, load_source(root, name))
        np.savez(path, params=fitted.params, error=fitted.error)
    with np.load(path) as file:
        return {key: file[key] for key in file.files}


def _cut(path: str, roi: FloatArray) -> NDArray[np.uint8]:
    image = cv2.imread(path, cv2.IMREAD_COLOR)
    if image is None:
        raise ConfigError(f"cannot read the picture {path}")
    scale = (roi[2] - roi[0]) / CROP_FRAME
    start = roi[:2] - MARGIN * scale
    matrix = np.array([[scale, 0, start[0]], [0, scale, start[1]]])
    return np.asarray(
        cv2.warpAffine(
            image,
            matrix,
            (CACHE_SIDE, CACHE_SIDE),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        ),
        dtype=np.uint8,
    )
