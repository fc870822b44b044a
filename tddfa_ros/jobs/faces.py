"""Faces in many pictures, of files or ROS bags, by several processes or the machines of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tddfa_ros.config import PipelineConfig
from tddfa_ros.errors import ConfigError
from tddfa_ros.jobs.ordered import Outcome, Pool, in_order
from tddfa_ros.runtime.devices import usable_cores

if TYPE_CHECKING:
    from tddfa_ros.face import Face
    from tddfa_ros.model_store.store import ModelStore
    from tddfa_ros.morphable.model import MorphableModel
    from tddfa_ros.sources.bag import BagPicture, BagPictures


@dataclass(frozen=True, eq=False)
class PictureFaces:
    """The faces of one picture.

    Attributes:
        path: the picture, or the bag.
        faces: largest first; empty where there are none, or the picture failed.
        error: one sentence that names it and says why it failed; else None.
        notes: see `FacePipeline.notes`, of the worker that had the picture.
        topic, stamp_ns: of a picture of a bag: where it was recorded, and the stamp of its header, ns.
    """

    path: Path
    faces: tuple[Face, ...] = ()
    error: str | None = None
    notes: tuple[str, ...] = ()
    topic: str = ""
    stamp_ns: int | None = None


def find_inputs(
    inputs: Iterable[str | Path], topic: str = ""
) -> list[Sequence[Path] | BagPictures]:
    """What users name, pictures and bags, in their order: each part has a length, and gives what :func:`process_pictures` takes.

    Args:
        inputs: pictures, folders and patterns as for :func:`tddfa_ros.outputs.find_pictures`, and ROS bags.
        topic: of the pictures in bags; empty: the only one.

    Raises:
        SourceError: an input is none of these, or a bag cannot be used.
    """
    from tddfa_ros.outputs.files import find_pictures
    from tddfa_ros.sources.bag import BagPictures, is_bag

    parts: list[Sequence[Path] | BagPictures] = []
    for of_bags, group in groupby(inputs, key=is_bag):
        if of_bags:
            parts += [BagPictures(Path(path).expanduser(), topic) for path in group]
        else:
            parts.append(find_pictures(group))
    return parts


def process_pictures(
    paths: Iterable[str | Path | BagPicture],
    config: PipelineConfig | None = None,
    *,
    workers: int | None = None,
    ray: str | None = None,
    store: ModelStore | None = None,
) -> Iterator[PictureFaces]:
    """Find the faces of many pictures; each worker has a pipeline of its own, with ``regression.threads`` threads.

    Results come in the order of ``paths``, as soon as it is their turn. A picture that cannot be read, or whose worker dies,
    becomes a result with an ``error``; the others go on. A program that calls this guards its start with
    ``if __name__ == "__main__":``, because workers import it.

    Args:
        paths: of pictures; read by the workers, so with ``ray`` they must lead to the same files on every machine. Pictures of bags
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


def as_record(picture: PictureFaces) -> dict[str, Any]:
    """What is said of a picture in JSON; its faces as in docs/guide/images.md."""
    from tddfa_ros.outputs.records import face_record

    faces = [face_record(face) for face in picture.faces]
    record: dict[str, Any] = {"picture": str(picture.path)}
    if picture.stamp_ns is not None:
        record |= {"topic": picture.topic, "stamp_ns": picture.stamp_ns}
    record["faces"] = faces
    return record if picture.error is None else record | {"error": picture.error}


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
    notes: tuple[str, ...]


def _open_pipeline(
    config: PipelineConfig, store: ModelStore
) -> Callable[[Path | BagPicture], _Found]:
    """The setup of a worker."""
    import cv2

    from tddfa_ros.outputs.reading import read_picture
    from tddfa_ros.pipeline import FacePipeline

    cv2.setNumThreads(config.regression.threads or 1)
    pipeline = FacePipeline(config, store)

    def find(item: Path | BagPicture) -> _Found:
        faces = pipeline(read_picture(item) if isinstance(item, Path) else item.image())
        return _Found(
            [(f.box, f.confidence, f.params, f.roi, f.intrinsics) for f in faces], pipeline.notes
        )

    return find


def _with_model(outcome: Outcome, model: MorphableModel) -> PictureFaces:
    from tddfa_ros.face import Face

    item = outcome.item
    result = PictureFaces(item) if isinstance(item, Path) else _of_bag(item)
    if outcome.value is None:
        reason = str(outcome.error)
        named = reason if str(item) in reason else f"{item}: {reason}"
        return replace(result, error=named)
    faces = tuple(
        Face(box, confidence, params, roi, model, intrinsics)
        for box, confidence, params, roi, intrinsics in outcome.value.faces
    )
    return replace(result, faces=faces, notes=outcome.value.notes)


def _of_bag(item: BagPicture) -> PictureFaces:
    return PictureFaces(item.bag, topic=item.topic, stamp_ns=item.stamp_ns)
