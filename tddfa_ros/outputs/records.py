"""Convert faces to JSON records and back; docs/guide/images.md describes the format."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.errors import CameraError, ModelError
from tddfa_ros.face import Face, TrackedFace
from tddfa_ros.files import atomic_path
from tddfa_ros.geometry.scale import SPAN_SIGMA, HeadScale
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.types import Intrinsics

IMAGES_FORMAT = "tddfa-images-1"
VIDEO_FORMAT = "tddfa-video-1"


def model_record(model: MorphableModel, regressor: str) -> dict[str, Any]:
    """Return the record of the models: names, topology, number of shape coefficients and expression names."""
    return {
        "regressor": regressor,
        "morphable_model": model.name,
        "topology_id": model.topology_id,
        "license": model.license,
        "shape_size": model.layout.shape,
        "expression_names": list(model.expression_names),
    }


def face_record(face: Face) -> dict[str, Any]:
    """Convert a face to numbers, lists and mappings.

    float32 values have as many digits as reading the same value back needs. NaN, and metric values without intrinsics, become None. A
    :class:`TrackedFace` also has ``id`` and ``age``.
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
        "expression": _named_numbers(face.expression),
    }
    try:
        pose = face.head_pose
        record["head_pose"] = {
            "position": _numbers(pose.position),
            "rotation": _numbers(pose.rotation),
            "scale": _number(face.metric_fit.scale),
            "reprojection_error": _number(pose.reprojection_error),
        }
        record["landmarks_metric"] = _numbers(face.landmarks_metric)
    except CameraError:
        pass
    if isinstance(face, TrackedFace):
        record = {"id": face.id, "age": face.age, **record}
    return record


def intrinsics_record(intrinsics: Intrinsics) -> dict[str, Any]:
    """Return the record of the intrinsics that metric values were computed with."""
    return {
        "width": intrinsics.width,
        "height": intrinsics.height,
        "k": _numbers(intrinsics.k),
        "d": _numbers(intrinsics.d),
        "distortion_model": intrinsics.distortion_model,
        "assumed": intrinsics.assumed,
    }


def intrinsics_from_record(record: Mapping[str, Any]) -> Intrinsics:
    """Build intrinsics from :func:`intrinsics_record`."""
    return Intrinsics(
        record["width"],
        record["height"],
        record["k"],
        record["d"],
        record["assumed"],
        record.get("distortion_model", "plumb_bob"),  # absent before version 0.3
    )


def face_from_record(
    record: Mapping[str, Any], model: MorphableModel, intrinsics: Intrinsics | None = None
) -> Face:
    """Rebuild a face, with its mesh and all derived values, from a record.

    Args:
        record: a record of :func:`face_record`.
        model: the morphable model of the record; its ``topology_id`` must be that of the record.
        intrinsics: camera of the image, for metric values.

    Raises:
        ModelError: the number of parameters differs from that of the model.
    """
    params = np.array(record["params"], dtype=np.float32)
    if params.shape != (model.layout.size,):
        raise ModelError(
            f"{model.name} takes {model.layout.size} parameters, the record has {params.size}"
        )
    box = np.array(record["box"], dtype=np.float64)
    roi = np.array(record["roi"], dtype=np.float64)
    factor = (record.get("head_pose") or {}).get("scale", 1.0)
    scale = None if factor == 1.0 else HeadScale(factor, SPAN_SIGMA)
    return Face(box, float(record["confidence"]), params, roi, model, intrinsics, scale=scale)


class RecordFile:
    """Write a JSON file with a header and a list, entry by entry; the file appears when the context ends without an error.

    Args:
        path: the file.
        header: keys before the list.
        name: key of the list.
    """

    def __init__(self, path: Path, header: Mapping[str, Any], name: str) -> None:
        self._path = path
        self._stack = ExitStack()
        temporary = self._stack.enter_context(atomic_path(path))
        self._file = self._stack.enter_context(temporary.open("w", encoding="utf-8"))
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
        self._stack.__exit__(kind, error, trace)

    def write(self, record: Mapping[str, Any]) -> None:
        """Append an entry to the list, on its own line."""
        self._file.write((",\n" if self._count else "\n") + to_json(record))
        self._count += 1


def to_json(record: Any) -> str:
    """Return one line of standard JSON without spaces.

    Bytes of file names that are not UTF-8 become escapes such as ``\\udcf6``: ``os.fsencode`` of what ``json.loads`` returns is the name.
    """
    line = json.dumps(record, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return line.encode("utf-8", "backslashreplace").decode()


def _numbers(array: NDArray[Any]) -> Any:
    """Return nested lists; float32 in the shortest decimal form that reads back as the same value."""
    values = np.asarray(array)
    flat: list[Any] = values.ravel().tolist()
    if values.dtype == np.float32:  # NumPy writes float32 in that form
        flat = [float(text) for text in values.ravel().astype("U").tolist()]
    if not np.isfinite(values).all():
        flat = [_number(value) for value in flat]
    for size in values.shape[:0:-1]:
        flat = [flat[i : i + size] for i in range(0, len(flat), size)]
    return flat


def _named_numbers(values: Mapping[str, float]) -> dict[str, float | None]:
    """Return float32 values by name as :func:`_numbers`."""
    return dict(zip(values, _numbers(np.array([*values.values()], np.float32)), strict=True))


def _number(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None
