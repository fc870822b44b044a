"""A whole run: label images and read backgrounds once, then train."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from tddfa_ros.morphable import MorphableModel
from tddfa_ros.pipeline import FacePipeline
from tddfa_ros.training.cache import FaceCache
from tddfa_ros.training.detector.config import DetectorConfig
from tddfa_ros.training.detector.data import DetectorData
from tddfa_ros.training.detector.image_labels import TEACHER_SIZES, backgrounds, label_images
from tddfa_ros.training.detector.images import ImagePool, LabeledImage, open_pool, write_pool
from tddfa_ros.training.detector.trainer import DetectorTrainer

_MOST_FACES = 100
_BACKGROUND_SIZES = (480,)  # long side of the detector's input on backgrounds, px

Reader = Callable[[Path, Sequence[FacePipeline], Callable[[str], None]], Iterable[LabeledImage]]


def train_detector(
    config: DetectorConfig,
    cache: FaceCache,
    model: MorphableModel,
    folder: Path,
    *,
    labeled: Path | None,
    background_images: Path | None,
    start: Path | None = None,
    on_message: Callable[[str], None],
) -> dict[str, float]:
    """Train, or resume, the run of a folder.

    Args:
        config: options of the run.
        cache: faces that are pasted.
        model: morphable model of the cache.
        folder: for pools of images, checkpoint, ``log.csv`` and overlays.
        labeled: folder with ``boxes.json``, or None.
        background_images: folder of images without faces, or None.
        start: checkpoint with initial weights.
        on_message: gets one sentence for each image that is excluded.

    Returns:
        The figures of the last validation; empty if the run was complete.

    Raises:
        ConfigError: a folder holds no usable image, or the checkpoint belongs to another run.
        ModelError: a model that labels the images is unavailable.
        KeyboardInterrupt: the run was stopped; the same call resumes it.
    """
    behind = _pool(
        folder / "backgrounds", background_images, backgrounds, _BACKGROUND_SIZES, on_message
    )
    labeled_pool = _pool(folder / "labeled", labeled, label_images, TEACHER_SIZES, on_message)
    data = DetectorData(config, cache, model, behind, labeled_pool)
    return DetectorTrainer(config, data, folder, start).run()


def _pool(
    folder: Path,
    images: Path | None,
    read: Reader,
    sizes: Sequence[int],
    on_message: Callable[[str], None],
) -> ImagePool | None:
    """Open the pool of a run; make it at the first time."""
    if images is None:
        return None
    if not (folder / "labels.npz").is_file():
        teachers = [
            FacePipeline.from_config(
                {
                    "detection": {
                        "detector": "centerface",
                        "input_size": size,
                        "max_faces": _MOST_FACES,
                    }
                }
            )
            for size in sizes
        ]
        write_pool(folder, read(images, teachers, on_message))
    return open_pool(folder)
