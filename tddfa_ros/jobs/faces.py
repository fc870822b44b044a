"""Detect faces in many images, from files or ROS bags: in this process, in several, or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from tddfa_ros.config import PipelineConfig
from tddfa_ros.errors import ConfigError
from tddfa_ros.jobs.groups import Found, find_faces, grouped, growing_chunks
from tddfa_ros.jobs.inputs import UnreadableInput
from tddfa_ros.jobs.ordered import Outcome, Pool, in_order
from tddfa_ros.jobs.results import ImageFaces, ImageLine, JobSummary, failed_image, json_line, named
from tddfa_ros.jobs.worker import as_line, open_pipeline, packed, with_model
from tddfa_ros.runtime.devices import usable_cores

if TYPE_CHECKING:
    from tddfa_ros.model_store.store import ModelStore
    from tddfa_ros.pipeline import FacePipeline
    from tddfa_ros.sources.bag import BagImage


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
    """Detect the faces of image files in this process, in the order of ``paths``.

    Files are decoded ahead of the networks, and crops of several images are regressed together.

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
    limit = pipeline.config.input.max_image_pixels
    shown = None if progress and paths else True
    with tqdm(total=len(paths), unit="image", disable=shown) as bar:
        for group in grouped(read_ahead(paths, threads, limit)):
            for (path, image), outcome in zip(group, find_faces(group, pipeline), strict=True):
                bar.update()
                if outcome.error is not None:
                    error = named(path, outcome.error)
                    summary.failed.append(path)
                    on_message(error)
                    yield ImageFaces(path, error=error)
                    continue
                if outcome.value.note is not None:
                    on_message(f"{path}: {outcome.value.note}")
                faces = tuple(f for f in outcome.value.faces if f.confidence >= min_confidence)
                summary.images += 1
                summary.faces += len(faces)
                if not faces:
                    summary.without_face.append(path)
                    on_message(f"{path}: no face was found")
                yield ImageFaces(path, faces, image=None if isinstance(image, Exception) else image)


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
    from tddfa_ros.model_store.store import default_store
    from tddfa_ros.morphable.model import MorphableModel

    config, store = config or PipelineConfig(), store or default_store()
    _check(config, store, workers)
    model = MorphableModel.load(store.path(store.morphable_model(config.regression)))
    for outcome in _processed(paths, packed, config, store, workers, ray):
        yield with_model(outcome, model)


def detect_lines_parallel(
    paths: Iterable[str | Path | BagImage | UnreadableInput],
    config: PipelineConfig | None = None,
    *,
    workers: int | None = None,
    ray: str | None = None,
    store: ModelStore | None = None,
) -> Iterator[ImageLine]:
    """As :func:`detect_faces_parallel`, but the workers also write the records, and this process loads no model."""
    from tddfa_ros.model_store.store import default_store

    config, store = config or PipelineConfig(), store or default_store()
    _check(config, store, workers)
    for outcome in _processed(paths, as_line, config, store, workers, ray):
        if outcome.value is not None:
            yield outcome.value
            continue
        failed = failed_image(outcome)
        yield ImageLine(json_line(failed), error=failed.error)


def _check(config: PipelineConfig, store: ModelStore, workers: int | None) -> None:
    """Refuse an invalid run, and fetch the models once, not in every worker."""
    from tddfa_ros.detection import check_detection
    from tddfa_ros.precision.networks import detection_network, regression_network

    if workers is not None and workers < 1:
        raise ConfigError(f"there must be at least one worker, not {workers}")
    check_detection(config.detection)
    store.path(config.detection.detector)
    regression_network(config.regression, store)
    detection_network(config, store)


def _processed(
    paths: Iterable[str | Path | BagImage | UnreadableInput],
    finish: Callable[[Any, Found, tuple[str, ...]], Any],
    config: PipelineConfig,
    store: ModelStore,
    workers: int | None,
    ray: str | None,
) -> Iterator[Outcome]:
    """Process the items in workers and yield what ``finish`` returned there, in input order."""
    setup = partial(open_pipeline, config, store, finish)
    pool = _pool(setup, config, workers, ray)
    items = (Path(item) if isinstance(item, str) else item for item in paths)
    # A worker of a cluster takes one image at a time: when it dies, no other image is affected.
    chunks = growing_chunks(items, pool.size) if ray is None else ([item] for item in items)
    for chunk in in_order(pool, chunks):
        if chunk.value is not None:
            results = zip(chunk.item, chunk.value, strict=True)
            yield from (replace(outcome, item=item) for item, outcome in results)
        elif len(chunk.item) == 1:
            yield replace(chunk, item=chunk.item[0])
        else:  # the worker died: only the image that killed it fails
            again = in_order(_pool(setup, config, 1, None), ([item] for item in chunk.item))
            for single in again:
                found = single.value[0] if single.value is not None else single
                yield replace(found, item=single.item[0])


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
