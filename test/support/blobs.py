"""Videos of bright squares on black, and a pipeline that detects the squares as faces; files and network are real."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from support.synthetic_model import synthetic_model
from support.tiny_regressor import write_tiny_regressor

from tddfa_ros.pipeline import FacePipeline

WIDTH, HEIGHT, SIDE = 160, 120, 40


class BrightestSquare:
    """Detector that returns the bounding box of all bright pixels."""

    provider, fallback_reason = "CPUExecutionProvider", None
    score_threshold, max_faces = 0.5, 20

    def __call__(self, image: np.ndarray) -> np.ndarray:
        rows, columns = np.nonzero(image.max(axis=2) > 128)
        if len(rows) < 50:
            return np.zeros((0, 5), np.float32)
        box = [columns.min() + 4, rows.min() - 6, columns.max() - 4, rows.max() - 10, 0.9]
        return np.array([box], np.float32)


def blob_pipeline(folder: Path, maps: bool = False) -> FacePipeline:
    """Return a pipeline whose models are written to ``folder``; ``maps`` gives its network map heads."""
    synthetic_model().save(folder / "head.npz")
    write_tiny_regressor(folder / "tiny.onnx", synthetic_model(), maps=maps)
    files = {"model": str(folder / "tiny.onnx"), "morphable_model": str(folder / "head.npz")}
    pipeline = FacePipeline.from_config({"regression": {**files, "device": "cpu"}})
    pipeline.__dict__["detector"] = BrightestSquare()
    return pipeline


def blob_image(x: float, y: float = 60.0) -> np.ndarray:
    """Return a black image (120, 160, 3) uint8 with a white square of 40 px centered at (x, y)."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    left, top = round(x - SIDE / 2), round(y - SIDE / 2)
    image[max(top, 0) : top + SIDE, max(left, 0) : left + SIDE] = 255
    return image


def blob_path(frame: int) -> float:
    """Return the x coordinate of the square, px: a slow sweep."""
    return 80 + 30 * float(np.sin(frame / 8))


def write_clip(path: Path, images: Iterable[np.ndarray], rate: float = 25.0) -> Path:
    """Encode images as MPEG-4 in a container that OpenCV supports."""
    writer = None
    for image in images:
        if writer is None:
            code = cv2.VideoWriter.fourcc(*"mp4v")
            size = (image.shape[1], image.shape[0])
            writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, rate, size)
            assert writer.isOpened()
        writer.write(image)
    assert writer is not None
    writer.release()
    return path


def blob_clip(path: Path, frames: int, rate: float = 25.0) -> Path:
    """Write a video of a square that moves along :func:`blob_path`."""
    return write_clip(path, (blob_image(blob_path(i)) for i in range(frames)), rate)


def read_clip(path: Path) -> tuple[list[np.ndarray], list[float]]:
    """Decode a video with OpenCV; return its frames and their times, s."""
    capture, images, times = cv2.VideoCapture(str(path)), [], []
    while (read := capture.read())[0]:
        images.append(np.asarray(read[1]))
        times.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
    return images, times
