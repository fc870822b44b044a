"""Faces as JSON: everything numeric that is known about a face, and the way back. The format is described in docs/guide/images.md."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.errors import CameraError, ModelError, TddfaError
from tddfa_ros.face import Face, TrackedFace
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.types import Intrinsics

IMAGES_FORMAT = "tddfa-images-1"
VIDEO_FORMAT = "tddfa-video-1"


def model_record(model: MorphableModel, regressor: str) -> dict[str, Any]:
    """What the parameters of a record mean: the networks' names, the topology, sizes and the expressions' names."""
    return {
        "regressor": regressor,
        "morphable_model": model.name,
        "topology_id": model.topology_id,
        "license": model.license,
        "shape_size": model.layout.shape,
        "expression_names": list(model.expression_names),
    }


def face_record(face: Face) -> dict[str, Any]:
    """One face as plain numbers, lists and mappings.

    float32 numbers are written with as many digits as it takes to read the same number back. What is NaN, or needs intrinsics that
    are absent, is None. A :class:`TrackedFace` has ``id`` and ``age`` too.
    """
    yaw, pitch, roll = (_number(v) for v in face.yaw_pitch_roll)
    record: dict[str, Any] = {
        "box": _numbers(face.box),
        "roi": _numbers(face.roi),
        "confidence": _number(face.confidence),
        "params": _numbers(face.params),
        "pose": _numbers(face.pose),
        "yaw": yaw,
        "pitch": pitch,
        "roll": roll,
        "head_pose": None,
        "landmarks68": _numbers(face.landmarks68),
        "landmarks_metric": None,
        "expression": {name: _short(value) for name, value in face.expression.items()},
    }
    try:
        pose = face.head_pose
        record["head_pose"] = {
            "position": _numbers(pose.position),
            "rotation": _numbers(pose.rotation),
            "reprojection_error": _number(pose.reprojection_error),
        }
        record["landmarks_metric"] = _numbers(face.landmarks_metric)
    except CameraError:
        pass
    if isinstance(face, TrackedFace):
        record = {"id": face.id, "age": face.age, **record}
    return record


def intrinsics_record(intrinsics: Intrinsics) -> dict[str, Any]:
    """The camera that metric values were computed with."""
    return {
        "width": intrinsics.width,
        "height": intrinsics.height,
        "k": _numbers(intrinsics.k),
        "d": _numbers(intrinsics.d),
        "assumed": intrinsics.assumed,
    }


def intrinsics_from_record(record: Mapping[str, Any]) -> Intrinsics:
    """The inverse of :func:`intrinsics_record`."""
    return Intrinsics(
        record["width"], record["height"], record["k"], record["d"], record["assumed"]
    )


def face_from_record(
    record: Mapping[str, Any], model: MorphableModel, intrinsics: Intrinsics | None = None
) -> Face:
    """The face that a record describes, with its mesh and everything else that follows from its parameters.

    Args:
        record: as :func:`face_record` makes it.
        model: the morphable model of the record: compare ``topology_id``.
        intrinsics: of the picture, for metric values.

    Raises:
        ModelError: the record has another number of parameters than the model.
    """
    params = np.array(record["params"], dtype=np.float32)
    if params.shape != (model.layout.size,):
        raise ModelError(
            f"{model.name} takes {model.layout.size} parameters, the record has {params.size}"
        )
    box = np.array(record["box"], dtype=np.float64)
    roi = np.array(record["roi"], dtype=np.float64)
    return Face(box, float(record["confidence"]), params, roi, model, intrinsics)


class RecordFile:
    """A JSON file of a header and a list of any length, written piece by piece and put in its place when it is whole.

    Use as a context manager. Left by an exception it writes nothing.

    Args:
        path: where it goes.
        header: what stands before the list.
        name: of the list.
    """

    def __init__(self, path: Path, header: Mapping[str, Any], name: str) -> None:
        self._path = path
        self._partial = path.with_name(path.name + ".part")
        try:
            self._file = self._partial.open("w", encoding="utf-8")
        except OSError as error:
            raise TddfaError(f"cannot write {path}: {error.strerror or error}") from error
        self._file.write(to_json(header)[:-1] + f",\n{json.dumps(name)}: [")
        self._count = 0

    def __enter__(self) -> RecordFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._file.write("\n]}\n")
        self._file.close()
        if kind is None:
            self._partial.replace(self._path)
        else:
            self._partial.unlink(missing_ok=True)

    def write(self, record: Mapping[str, Any]) -> None:
        """Append one entry to the list, on a line of its own."""
        self._file.write((",\n" if self._count else "\n") + to_json(record))
        self._count += 1


def to_json(record: Any) -> str:
    """One line of standard JSON, without spaces."""
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _numbers(array: NDArray[Any]) -> Any:
    """Nested lists; float32 by its shortest decimal form that reads back as the same number."""
    values = np.asarray(array)
    flat: list[Any] = [
        _short(v) if values.dtype == np.float32 else _number(v) for v in values.ravel()
    ]
    for size in values.shape[:0:-1]:
        flat = [flat[i : i + size] for i in range(0, len(flat), size)]
    return flat


def _short(value: Any) -> float | None:
    return _number(float(str(np.float32(value))))


def _number(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None
