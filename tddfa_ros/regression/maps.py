"""Maps that a network regresses beside the parameters: face parsing and UV position map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.config import RegressionConfig
from tddfa_ros.errors import ModelError
from tddfa_ros.geometry.pose import to_image
from tddfa_ros.geometry.roi import crop_batch
from tddfa_ros.model_store.store import ModelStore
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.regression.regressor import Regressor, to_tensor
from tddfa_ros.types import DoubleArray, FloatArray, ImageBGR, RealArray

PARSING, UV_POSITION = "parsing", "uv_position"
"""Outputs of a network with these heads."""

CELL = 4
"""Side of a cell of the parsing map, px of the network's input."""

_IDENTITY = np.eye(3, 4)


@dataclass(frozen=True, eq=False)
class RegressedMaps:
    """Maps of n faces of one image.

    Attributes:
        rois: (n, 4) the ROIs, image px.
        parsing: (n, C, S/4, S/4) float32 probability of each class at each cell of the crop.
        uv_position: (n, u, u, 3) float32 x, y, z of each texel, image px, z nearer = larger and relative; row 0 is at v = 1. Texels that the
            UV map of the model does not cover are meaningless.
    """

    rois: DoubleArray
    parsing: FloatArray | None
    uv_position: FloatArray | None

    def parsing_image(self, shape: Sequence[int]) -> NDArray[np.uint8]:
        """Return the most probable class at each pixel of the image, (H, W) uint8; 0 outside the ROIs.

        Args:
            shape: of the image, (H, W) or more.

        Raises:
            ModelError: the network has no such head.
        """
        if self.parsing is None:
            raise ModelError(f"the network has no output {PARSING}")
        out = np.zeros((int(shape[0]), int(shape[1])), dtype=np.uint8)
        sides = self.rois[:, 2] - self.rois[:, 0]
        for i in np.argsort(sides):  # larger, and so nearer, faces cover smaller ones
            _paint(out, self.parsing[i], self.rois[i])
        return out


class MapPredictor:
    """The map heads of a regression network.

    Args:
        path: ONNX file of `Regressor` with at least one of the outputs ``parsing`` (n, C, S/4, S/4) probabilities and ``uv_position``
            (n, 3, u, u) px of the 120-px crop frame, y up.
        morphable: model of the network's parameters.
        device, threads: see `OnnxSession`.

    Attributes:
        heads: the names of the outputs that the network has.

    Raises:
        ModelError: as `Regressor`, or the network has none of these outputs.
    """

    def __init__(
        self, path: str | Path, morphable: MorphableModel, device: str = "auto", threads: int = 1
    ) -> None:
        regressor = Regressor(path, morphable, device, threads)
        self._session, self._size = regressor.session, regressor.input_size
        self.heads = tuple(h for h in (PARSING, UV_POSITION) if h in self._session.output_names)
        self._name = Path(path).name
        if not self.heads:
            self.require(PARSING, UV_POSITION)

    def require(self, *heads: str) -> None:
        """Raise ModelError unless the network has all of these outputs."""
        missing = [head for head in heads if head not in self.heads]
        if missing:
            raise ModelError(
                f"{self._name} has no output {' or '.join(missing)}: use a network with these heads, such as tddfa-mb05-multitask "
                "(regression.model)"
            )

    @classmethod
    def from_config(
        cls, config: RegressionConfig, store: ModelStore, morphable: MorphableModel
    ) -> MapPredictor:
        """Load the network of a pipeline's configuration."""
        return cls(store.path(config.model), morphable, config.device, config.threads)

    def __call__(self, image: ImageBGR, rois: RealArray) -> RegressedMaps:
        """Regress the maps of the faces in square ROIs (n, 4) ``x0, y0, x1, y1``, image px, such as `Face.roi`.

        Raises:
            ImageError: a ROI is empty, not finite or unreasonably large.
        """
        places = np.asarray(rois, dtype=np.float64).reshape(-1, 4)
        if len(places) == 0:
            return RegressedMaps(places, None, None)
        crops = crop_batch(image, places, self._size)
        values = self._session.run({"image": to_tensor(crops)}, self.heads)
        found = dict(zip(self.heads, values, strict=True))
        position = found.get(UV_POSITION)
        if position is not None:
            points = position.reshape(len(position), 3, -1).transpose(0, 2, 1)
            pixels = [to_image(p, _IDENTITY, roi) for p, roi in zip(points, places, strict=True)]
            position = np.stack(pixels).reshape(*position.shape[:1], *position.shape[2:], 3)
        return RegressedMaps(places, found.get(PARSING), position)


def _paint(out: NDArray[np.uint8], probability: FloatArray, roi: DoubleArray) -> None:
    """Write the classes (not class 0) of one face into ``out``."""
    low = np.maximum(np.floor(roi[:2]), 0).astype(int)
    high = np.minimum(np.ceil(roi[2:]) + 1, out.shape[1::-1]).astype(int)
    width, height = high - low
    if width <= 0 or height <= 0:
        return
    # The center of cell i is the input pixel CELL * i + (CELL - 1) / 2.
    count = probability.shape[1]
    scale = count / (roi[2] - roi[0])
    offset = (low - roi[:2]) * scale - (CELL - 1) / (2 * CELL)
    matrix = np.array([[scale, 0, offset[0]], [0, scale, offset[1]]])
    planes = [
        cv2.warpAffine(
            np.ascontiguousarray(plane),
            matrix,
            (int(width), int(height)),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        for plane in probability
    ]
    classes = np.argmax(planes, axis=0).astype(np.uint8)
    window = out[low[1] : high[1], low[0] : high[0]]
    inside = _inside(roi, low, (int(height), int(width)))
    seen = (classes > 0) & inside
    window[seen] = classes[seen]


def _inside(roi: DoubleArray, low: NDArray[np.int_], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return which pixels of a window that begins at ``low`` lie in the ROI."""
    x, y = low[0] + np.arange(shape[1]), low[1] + np.arange(shape[0])
    columns = (x >= roi[0]) & (x < roi[2])
    rows = (y >= roi[1]) & (y < roi[3])
    return np.asarray(rows[:, None] & columns[None, :])
