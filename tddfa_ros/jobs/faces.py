"""Detect faces in many images, from files or ROS bags: in this process, in several, or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from tddfa_ros.config import PipelineConfig
from tddfa_ros.errors import ConfigError, ImageError
from tddfa_ros.jobs.inputs import UnreadableInput
from tddfa_ros.jobs.ordered import Outcome, Pool, attempt, in_order
from tddfa_ros.runtime.devices import usable_cores
from tddfa_ros.types import ImageBGR

if TYPE_CHECKING:
    from tddfa_ros.face import Face
    from tddfa_ros.model_store.store import ModelStore
    from tddfa_ros.morphable.model import MorphableModel
    from tddfa_ros.pipeline import FacePipeline
    from tddfa_ros.sources.bag import BagImage


@dataclass(frozen=True, eq=False)
class ImageFaces:
    """The faces of one image.

    Attributes:
        path: the image file, or the bag.
        faces: largest first; empty if there are none, or the image failed.
        error: one sentence that names the image and the reason of the failure; None on success.
        device_warnings: `FacePipeline.device_warnings` of the pipeline that processed the image.
        topic: topic of an image of a bag.
        stamp_ns: header stamp of an image of a bag, ns; None for image files.
        note: one sentence about something that was left out; else None.
        image: (H, W, 3) uint8 BGR from :func:`detect_faces`; None if it failed, or was processed by a worker.
    """

    path: Path
    faces: tuple[Face, ...] = ()
    error: str | None = None
    device_warnings: tuple[str, ...] = ()
    topic: str = ""
    stamp_ns: int | None = None
    note: str | None = None
    image: ImageBGR | None = None


@dataclass
class JobSummary:
    """Counts and files of a job.

    Attributes:
        images: number of images that could be read.
        faces: number of faces in them.
        files: files that were written.
        failed: inputs that could not be read or processed, or whose outputs could not be written.
        without_face: image files without a face.
        inputs: number of files that were given.
        finished: whether every video was processed to its end.
    """

    images: int = 0
    faces: int = 0
    files: list[Path] = field(default_factory=list)
    failed: list[Path] = field(default_factory=list)
    without_face: list[Path] = field(default_factory=list)
    inputs: int = 0
    finished: bool = True


def detect_faces(
    paths: Sequence[Path],
    pipeline: FacePipeline,
    summary: JobSummary,
    *,
    min_confidence: float = 0.0,
    threads: int = 2,
    progress: bool = True,
    on_message: Callable[[str], None] = lambda _: None,
) -> Iterator[ImageFaces]:
    """Detect the faces of image files in this process, in the order of ``paths``; files are decoded ahead of the network.

    Args:
        paths: image files.
        pipeline: detects and regresses the faces.
        summary: updated with the number of images and faces, and the files that failed or have no face.
        min_confidence: faces with a lower confidence are skipped, 0..1.
        threads: number of threads that decode files.
        progress: show a progress bar.
        on_message: called with one sentence for every file that cannot be read or has no face.
    """
    from tddfa_ros.outputs.image_io import read_ahead

    _ = pipeline.detector  # a detector that cannot be loaded fails the run, not each image
    bar = tqdm(
        read_ahead(paths, threads, pipeline.config.input.max_image_pixels),
        total=len(paths),
        unit="image",
        disable=None if progress and paths else True,
    )
    for path, image in bar:
        error = str(image) if isinstance(image, ImageError) else None
        outcome = Outcome(path, error=error) if error else attempt(pipeline, image)
        if outcome.error is not None:
            error = _named(path, outcome.error)
            summary.failed.append(path)
            on_message(error)
            yield ImageFaces(path, error=error)
            continue
        if pipeline.face_limit_note is not None:
            on_message(f"{path}: {pipeline.face_limit_note}")
        faces = tuple(face for face in outcome.value if face.confidence >= min_confidence)
        summary.images += 1
        summary.faces += len(faces)
        if not faces:
            summary.without_face.append(path)
            on_message(f"{path}: no face was found")
        yield ImageFaces(path, faces, image=image)


def detect_faces_parallel(
    paths: Iterable[str | Path | BagImage | UnreadableInput],
    config: PipelineConfig | None = None,
    *,
    workers: int | None = None,
    ray: str | None = None,
    store: ModelStore | None = None,
) -> Iterator[ImageFaces]:
    """Detect the faces of many images with a pool of workers, each with its own pipeline of ``regression.threads`` threads.

    Results are yielded in the order of ``paths``. An image that cannot be read, or whose worker dies, becomes a result with an
    ``error``; the other images are not affected. Workers import the main module, so the calling program must guard its entry
    point with ``if __name__ == "__main__":``.

    Args:
        paths: image files, read by the workers; with ``ray`` every machine must see them under the same path. Images of bags
            (:func:`tddfa_ros.jobs.inputs.find_inputs`) are read in this process and sent to the workers.
        config: configuration of the pipeline; None for the defaults.
        workers: number of workers; None = as many as the usable cores of this process or of the cluster allow.
        ray: address of a Ray cluster, such as ``auto``; None = processes on this machine.
        store: model store; None for that of this package.

    Raises:
        ConfigError: ``workers`` is below 1, or the detection options are invalid.
        ModelError: a model is missing or damaged.
        DeviceError: Ray is not installed, or there is no cluster at that address.
    """
    from tddfa_ros.detection import check_detection
    from tddfa_ros.model_store.store import default_store
    from tddfa_ros.morphable.model import MorphableModel

    config, store = config or PipelineConfig(), store or default_store()
    if workers is not None and workers < 1:
        raise ConfigError(f"there must be at least one worker, not {workers}")
    check_detection(config.detection)
    for name in (config.regression.model, config.detection.detector):
        store.path(name)  # download once, not in every worker
    model = MorphableModel.load(store.path(store.morphable_model(config.regression)))
    pool = _pool(partial(_open_pipeline, config, store), config, workers, ray)
    items = (Path(item) if isinstance(item, str) else item for item in paths)
    for outcome in in_order(pool, items):
        yield _with_model(outcome, model)


def as_record(found: ImageFaces) -> dict[str, Any]:
    """Return the JSON object of one image; docs/guide/images.md describes the faces."""
    from tddfa_ros.outputs.records import face_record

    faces = [face_record(face) for face in found.faces]
    record: dict[str, Any] = {"image": str(found.path)}
    if found.stamp_ns is not None:
        record |= {"topic": found.topic, "stamp_ns": found.stamp_ns}
    record["faces"] = faces
    return record if found.error is None else record | {"error": found.error}


def _pool(
    setup: Callable[[], Callable[[Any], Any]],
    config: PipelineConfig,
    workers: int | None,
    ray: str | None,
) -> Pool:
    threads = config.regression.threads or 1
    if ray is not None:
        from tddfa_ros.jobs.ray_pool import RayPool

        return RayPool(setup, ray, workers, threads)
    from tddfa_ros.jobs.process_pool import ProcessPool

    return ProcessPool(setup, workers or max(1, usable_cores() // threads), threads)


@dataclass(frozen=True, eq=False)
class _Found:
    """Result of a worker: the attributes of each `Face` except the morphable model, which all faces share."""

    faces: Sequence[tuple[Any, ...]]
    device_warnings: tuple[str, ...]
    note: str | None = None


def _open_pipeline(
    config: PipelineConfig, store: ModelStore
) -> Callable[[Path | BagImage | UnreadableInput], _Found]:
    """Create the pipeline of a worker and return the function that processes one image."""
    import cv2

    from tddfa_ros.pipeline import FacePipeline
    from tddfa_ros.sources.image_file import read_image

    cv2.setNumThreads(config.regression.threads or 1)
    pipeline = FacePipeline(config, store)

    limit = config.input.max_image_pixels

    def find(item: Path | BagImage | UnreadableInput) -> _Found:
        faces = pipeline(read_image(item, limit) if isinstance(item, Path) else item.image(limit))
        return _Found(
            [(f.box, f.confidence, f.params, f.roi, f.intrinsics) for f in faces],
            pipeline.device_warnings,
            pipeline.face_limit_note,
        )

    return find


def _with_model(outcome: Outcome, model: MorphableModel) -> ImageFaces:
    from tddfa_ros.face import Face

    item = outcome.item
    if isinstance(item, UnreadableInput):
        return ImageFaces(item.path, error=item.reason)
    result = ImageFaces(item) if isinstance(item, Path) else _of_bag(item)
    if outcome.value is None:
        return replace(result, error=_named(item, str(outcome.error)))
    faces = tuple(
        Face(box, confidence, params, roi, model, intrinsics)
        for box, confidence, params, roi, intrinsics in outcome.value.faces
    )
    note = None if outcome.value.note is None else f"{item}: {outcome.value.note}"
    return replace(result, faces=faces, device_warnings=outcome.value.device_warnings, note=note)


def _named(item: object, reason: str) -> str:
    """Put the name of an item before a sentence that lacks it."""
    return reason if str(item) in reason else f"{item}: {reason}"


def _of_bag(item: BagImage) -> ImageFaces:
    return ImageFaces(item.bag, topic=item.topic, stamp_ns=item.stamp_ns)
