"""Detect faces in many images, from files or ROS bags: in this process, in several, or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from tddfa_ros.config import PipelineConfig
from tddfa_ros.errors import ConfigError, ImageError
from tddfa_ros.jobs.ordered import Outcome, Pool, in_order
from tddfa_ros.runtime.devices import usable_cores
from tddfa_ros.types import ImageBGR

if TYPE_CHECKING:
    from tddfa_ros.face import Face
    from tddfa_ros.model_store.store import ModelStore
    from tddfa_ros.morphable.model import MorphableModel
    from tddfa_ros.pipeline import FacePipeline
    from tddfa_ros.sources.bag import BagImage, BagImages


@dataclass(frozen=True, eq=False)
class ImageFaces:
    """The faces of one image.

    Attributes:
        path: the image file, or the bag.
        faces: largest first; empty where there are none, or the image failed.
        error: one sentence that names the image and says why it failed; else None.
        device_warnings: see `FacePipeline.device_warnings`, of the pipeline that processed the image.
        topic, stamp_ns: of an image of a bag: where it was recorded, and the stamp of its header, ns.
        image: (H, W, 3) uint8 BGR from :func:`detect_faces`; None where it failed, or came from another process.
    """

    path: Path
    faces: tuple[Face, ...] = ()
    error: str | None = None
    device_warnings: tuple[str, ...] = ()
    topic: str = ""
    stamp_ns: int | None = None
    image: ImageBGR | None = None


@dataclass
class JobSummary:
    """What a job did.

    Attributes:
        images: number of images that could be used.
        faces: number of faces in them.
        files: what was written.
        unreadable, without_face: image files that could not be used, and that show no face.
        finished: whether every video was processed to its end.
    """

    images: int = 0
    faces: int = 0
    files: list[Path] = field(default_factory=list)
    unreadable: list[Path] = field(default_factory=list)
    without_face: list[Path] = field(default_factory=list)
    finished: bool = True


def find_inputs(inputs: Iterable[str | Path], topic: str = "") -> list[Sequence[Path] | BagImages]:
    """What users name, images and bags, in their order: each part has a length, and gives what :func:`detect_faces_parallel` takes.

    Args:
        inputs: images, folders and patterns as for :func:`tddfa_ros.outputs.find_images`, and ROS bags.
        topic: of the images in bags; empty: the only one.

    Raises:
        SourceError: an input is none of these, or a bag cannot be used.
    """
    from tddfa_ros.outputs.files import find_images
    from tddfa_ros.sources.bag import BagImages, is_bag

    parts: list[Sequence[Path] | BagImages] = []
    for of_bags, group in groupby(inputs, key=is_bag):
        if of_bags:
            parts += [BagImages(Path(path).expanduser(), topic) for path in group]
        else:
            parts.append(find_images(group))
    return parts


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
        pipeline: finds the faces.
        summary: counts images and faces, and collects the files that could not be used or show no face.
        min_confidence: faces below it are left out, 0..1.
        threads: how many files are decoded at once.
        progress: show a progress bar.
        on_message: called with one sentence for every file that cannot be used or shows no face.
    """
    from tddfa_ros.outputs.image_io import read_ahead

    bar = tqdm(
        read_ahead(paths, threads), total=len(paths), unit="image", disable=not (progress and paths)
    )
    for path, image in bar:
        try:
            if isinstance(image, ImageError):
                raise image
            found = pipeline(image)
        except ImageError as error:
            summary.unreadable.append(path)
            on_message(str(error))
            yield ImageFaces(path, error=str(error))
            continue
        faces = tuple(face for face in found if face.confidence >= min_confidence)
        summary.images += 1
        summary.faces += len(faces)
        if not faces:
            summary.without_face.append(path)
            on_message(f"{path}: no face was found")
        yield ImageFaces(path, faces, image=image)


def detect_faces_parallel(
    paths: Iterable[str | Path | BagImage],
    config: PipelineConfig | None = None,
    *,
    workers: int | None = None,
    ray: str | None = None,
    store: ModelStore | None = None,
) -> Iterator[ImageFaces]:
    """Find the faces of many images; each worker has a pipeline of its own, with ``regression.threads`` threads.

    Results come in the order of ``paths``, as soon as it is their turn. An image that cannot be read, or whose worker dies,
    becomes a result with an ``error``; the others go on. A program that calls this guards its start with
    ``if __name__ == "__main__":``, because workers import it.

    Args:
        paths: of images; read by the workers, so with ``ray`` they must lead to the same files on every machine. Images of bags
            (:func:`find_inputs`) are read here and sent to the workers.
        config: None for the defaults.
        workers: how many; None = as many as the cores that this process may use, or the cluster, have room for.
        ray: address of a Ray cluster, such as ``auto``; None = processes on this machine.
        store: where models come from; None for those of this package.

    Raises:
        ConfigError: ``workers`` is below 1, or the options of detection cannot be.
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
        store.path(name)  # fetched once, before many workers would
    model = MorphableModel.load(store.path(store.morphable_model(config.regression)))
    pool = _pool(partial(_open_pipeline, config, store), config, workers, ray)
    items = (Path(item) if isinstance(item, str) else item for item in paths)
    for outcome in in_order(pool, items):
        yield _with_model(outcome, model)


def as_record(found: ImageFaces) -> dict[str, Any]:
    """The JSON object of one image; its faces as in docs/guide/images.md."""
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
    """What a worker sends back: the attributes of each `Face` but its model, which is the same for all."""

    faces: Sequence[tuple[Any, ...]]
    device_warnings: tuple[str, ...]


def _open_pipeline(
    config: PipelineConfig, store: ModelStore
) -> Callable[[Path | BagImage], _Found]:
    """The setup of a worker."""
    import cv2

    from tddfa_ros.outputs.image_io import read_image
    from tddfa_ros.pipeline import FacePipeline

    cv2.setNumThreads(config.regression.threads or 1)
    pipeline = FacePipeline(config, store)

    def find(item: Path | BagImage) -> _Found:
        faces = pipeline(read_image(item) if isinstance(item, Path) else item.image())
        return _Found(
            [(f.box, f.confidence, f.params, f.roi, f.intrinsics) for f in faces],
            pipeline.device_warnings,
        )

    return find


def _with_model(outcome: Outcome, model: MorphableModel) -> ImageFaces:
    from tddfa_ros.face import Face

    item = outcome.item
    result = ImageFaces(item) if isinstance(item, Path) else _of_bag(item)
    if outcome.value is None:
        reason = str(outcome.error)
        named = reason if str(item) in reason else f"{item}: {reason}"
        return replace(result, error=named)
    faces = tuple(
        Face(box, confidence, params, roi, model, intrinsics)
        for box, confidence, params, roi, intrinsics in outcome.value.faces
    )
    return replace(result, faces=faces, device_warnings=outcome.value.device_warnings)


def _of_bag(item: BagImage) -> ImageFaces:
    return ImageFaces(item.bag, topic=item.topic, stamp_ns=item.stamp_ns)
