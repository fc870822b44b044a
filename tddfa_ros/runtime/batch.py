"""Faces in many pictures, by several processes or the machines of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tddfa_ros.config import PipelineConfig
from tddfa_ros.errors import ConfigError, ImageError
from tddfa_ros.runtime.devices import usable_cores
from tddfa_ros.runtime.ordered import Outcome, Pool, in_order

if TYPE_CHECKING:
    from tddfa_ros.face import Face
    from tddfa_ros.morphable.model import MorphableModel
    from tddfa_ros.runtime.store import ModelStore


@dataclass(frozen=True, eq=False)
class PictureFaces:
    """The faces of one picture.

    Attributes:
        path: the picture.
        faces: largest first; empty where there are none, or the picture failed.
        error: one sentence that says why it failed; else None.
        notes: see `FacePipeline.notes`, of the worker that had the picture.
    """

    path: Path
    faces: tuple[Face, ...] = ()
    error: str | None = None
    notes: tuple[str, ...] = ()


def process_pictures(
    paths: Iterable[str | Path],
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
        paths: of pictures; read by the workers, so with ``ray`` they must lead to the same files on every machine.
        config: None for the defaults.
        workers: how many; None = as many as the cores that this process may use, or the cluster, have room for.
        ray: address of a Ray cluster, such as ``auto``; None = processes on this machine.
        store: where models come from; None for those of this package.

    Raises:
        ConfigError: ``workers`` is below 1.
        ModelError: a model is missing or damaged.
        DeviceError: Ray is not installed, or there is no cluster at that address.
    """
    from tddfa_ros.morphable.model import MorphableModel
    from tddfa_ros.runtime.store import default_store

    config, store = config or PipelineConfig(), store or default_store()
    if workers is not None and workers < 1:
        raise ConfigError(f"there must be at least one worker, not {workers}")
    for name in (config.regression.model, config.detection.detector):
        store.path(name)  # fetched once, before many workers would
    model = MorphableModel.load(store.path(config.regression.morphable_model))
    pool = _pool(partial(_open_pipeline, config, store), config, workers, ray)
    for outcome in in_order(pool, map(Path, paths)):
        yield _with_model(outcome, model)


def as_record(picture: PictureFaces) -> dict[str, Any]:
    """What is said of a picture in JSON: px of the picture, degrees, coefficients by name."""
    record: dict[str, Any] = {
        "picture": str(picture.path),
        "faces": [_face_record(face) for face in picture.faces],
    }
    return record if picture.error is None else record | {"error": picture.error}


def _face_record(face: Face) -> dict[str, Any]:
    rounded = {
        "box": face.box,
        "roi": face.roi,
        "yaw_pitch_roll": face.yaw_pitch_roll,
        "landmarks68": face.landmarks68,
    }
    return {
        "confidence": round(face.confidence, 4),
        **{name: _list(values, 3) for name, values in rounded.items()},
        "expression": {name: round(float(v), 4) for name, v in face.expression.items()},
        "params": _list(face.params, 6),
    }


def _list(values: Any, digits: int) -> list[Any]:
    import numpy as np

    return list(np.round(np.asarray(values, dtype=np.float64), digits).tolist())


def _pool(
    setup: Callable[[], Callable[[Path], Any]],
    config: PipelineConfig,
    workers: int | None,
    ray: str | None,
) -> Pool:
    threads = config.regression.threads or 1
    if ray is not None:
        from tddfa_ros.runtime.ray_pool import RayPool

        return RayPool(setup, ray, workers, threads)
    from tddfa_ros.runtime.processes import ProcessPool

    return ProcessPool(setup, workers or max(1, usable_cores() // threads), threads)


@dataclass(frozen=True, eq=False)
class _Found:
    """What a worker sends back: the attributes of each `Face` but its model, which is the same for all."""

    faces: Sequence[tuple[Any, ...]]
    notes: tuple[str, ...]


def _open_pipeline(config: PipelineConfig, store: ModelStore) -> Callable[[Path], _Found]:
    """The setup of a worker."""
    import cv2
    import numpy as np

    from tddfa_ros.pipeline import FacePipeline

    cv2.setNumThreads(config.regression.threads or 1)
    pipeline = FacePipeline(config, store)

    def find(path: Path) -> _Found:
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if image is None:
            raise ImageError("it cannot be read as a picture")
        faces = pipeline(np.asarray(image, dtype=np.uint8))
        return _Found(
            [(f.box, f.confidence, f.params, f.roi, f.intrinsics) for f in faces], pipeline.notes
        )

    return find


def _with_model(outcome: Outcome, model: MorphableModel) -> PictureFaces:
    from tddfa_ros.face import Face

    if outcome.value is None:
        return PictureFaces(outcome.item, error=outcome.error)
    faces = tuple(
        Face(box, confidence, params, roi, model, intrinsics)
        for box, confidence, params, roi, intrinsics in outcome.value.faces
    )
    return PictureFaces(outcome.item, faces, notes=outcome.value.notes)
