"""A face collection in the format of the real one, whose labels are known exactly."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from support.posed import pixels, posed

from tddfa_ros.morphable import MorphableModel

CROP = 192
ROI = np.array([36.0, 36.0, 156.0, 156.0])
AFLW = 21


def write_source(
    root: Path,
    name: str,
    model: MorphableModel,
    params: NDArray[np.float32],
    images: NDArray[np.uint8],
    *,
    badly_labeled: int | None = None,
    evaluation: int | None = None,
    visible: NDArray[np.float32] | None = None,
) -> None:
    """Write a source of n faces.

    Args:
        params: (n, P) in the 120-px frame of :data:`ROI`; images: (n, 192, 192, 3).
        badly_labeled, evaluation: index of a face whose labels are off by 15 px, and of one that is kept for evaluation.
        visible: (n, 21, 2) AFLW's points in crop px of the ROI.
    """
    count = len(params)
    (root / "img" / name).mkdir(parents=True)
    points = posed(model.head_landmarks(params), params)
    labels = np.concatenate([pixels(points) + ROI[:2], points[..., 2:]], axis=2)
    if badly_labeled is not None:
        noise = np.random.default_rng(2).normal(0, 15, labels[0].shape)
        labels[badly_labeled] += noise
    names = np.array([f"{name}/{i}.png" for i in range(count)])
    for path, image in zip(names, images, strict=True):
        cv2.imwrite(str(root / "img" / path), image)
    split = np.full(count, "", dtype="U8")
    if evaluation is not None:
        split[evaluation] = "eval"
    basis = np.zeros((2, 478 * 3), np.float16)
    np.savez(root / "fm478_basis.npz", mean=np.zeros(478 * 3, np.float32), basis=basis)
    more = {} if visible is None else {"gt21": visible + ROI[:2]}
    np.savez(
        root / f"{name}.npz",
        name=names,
        roi=np.tile(ROI, (count, 1)),
        v2_68=labels,
        v2_spread=np.full(count, 0.005),
        v2_ypr=np.linspace(-80, 80, 3 * count).reshape(count, 3),
        fm478_coef=np.full((count, 2), np.nan, np.float16),
        arkit52=np.full((count, 52), np.nan),
        split=split,
        **more,
    )


def position_images(count: int) -> NDArray[np.uint8]:
    """(n, 192, 192, 3): blue encodes x, green y, red the face."""
    v, u = np.mgrid[:CROP, :CROP]
    return np.stack(
        [np.stack([u, v, np.full_like(u, 10 * i)], axis=2) for i in range(count)]
    ).astype(np.uint8)
