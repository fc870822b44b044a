"""Recording of a graph as arrays: images, face meshes and diagnostics, with stamps and times of arrival."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.errors import TddfaError
from tddfa_ros.files import save_arrays, write_atomically
from tddfa_ros.types import FloatArray, ImageBGR, IntArray

IMAGES, TABLE, DIAGNOSTICS = "images.bin", "meshes.npz", "diagnostics.json"

_FACE_COLUMNS = ("confidence", "params", "distance", "landmarks", "coarse")


@dataclass(frozen=True, eq=False)
class RecordedFace:
    """One face of one message.

    Attributes:
        stamp: stamp of the image, ns.
        id: track ID.
        confidence: 0..1.
        params: (P,) parameters.
        distance: distance of the sellion from the camera, m.
        landmarks: (68, 3) landmarks, image px.
        coarse: (M, 3) vertices of the coarse mesh, image px.
    """

    stamp: int
    id: str
    confidence: float
    params: FloatArray
    distance: float
    landmarks: FloatArray
    coarse: FloatArray


@dataclass(frozen=True, eq=False)
class BestFace:
    """Dense mesh of the largest frontal face.

    Attributes:
        stamp: stamp of the image, ns.
        params: (P,) parameters.
        vertices: (N, 3) camera optical frame, m.
        image_vertices: (N, 3) image px.
    """

    stamp: int
    params: FloatArray
    vertices: FloatArray
    image_vertices: FloatArray


@dataclass
class Stream:
    """Messages of a mesh topic: image stamps and times of arrival, ns of the system clock, and their faces."""

    stamps: list[int] = field(default_factory=list)
    arrivals: list[int] = field(default_factory=list)
    faces: list[RecordedFace] = field(default_factory=list)


@dataclass(eq=False)
class Recording:
    """A recording in memory; images are read from their file on demand.

    Attributes:
        folder: folder of the recording.
        image_shape: (height, width), px.
        image_stamps: (F,) int64 stamps, ns.
        image_arrivals: (F,) int64 times of arrival, ns.
        meshes: messages of ``face_mesh``.
        raw: messages of ``face_mesh_raw`` (before smoothing); empty without a smoothing node.
        triangles: (T, 3) triangles of the mesh, from ``face_mesh/topology``; empty if it did not arrive, like the next two.
        coarse_triangles: (C, 3) triangles of the coarse mesh.
        uv: (N, 2) texture coordinates.
        model_name: name of the morphable model.
        diagnostics: {"time": s, "name": node, "values": {key: value}} in order of arrival.
        best: face to export; None without a face.
    """

    folder: Path
    image_shape: tuple[int, int]
    image_stamps: NDArray[np.int64]
    image_arrivals: NDArray[np.int64]
    meshes: Stream
    raw: Stream
    triangles: IntArray
    coarse_triangles: IntArray
    uv: FloatArray
    model_name: str
    diagnostics: list[dict[str, Any]]
    best: BestFace | None

    def images(self) -> Iterator[tuple[int, ImageBGR]]:
        """Iterate over (stamp in ns, image (H, W, 3) uint8 BGR), in order."""
        height, width = self.image_shape
        size = height * width * 3
        with (self.folder / IMAGES).open("rb") as file:
            for stamp in self.image_stamps.tolist():
                data = file.read(size)
                if len(data) < size:
                    return
                yield stamp, np.frombuffer(data, np.uint8).reshape(height, width, 3).copy()

    def image(self, stamp: int) -> ImageBGR | None:
        """Return the image of a stamp; None when it was not recorded."""
        rows = np.nonzero(self.image_stamps == stamp)[0]
        if len(rows) == 0:
            return None
        height, width = self.image_shape
        size = height * width * 3
        data = np.fromfile(self.folder / IMAGES, np.uint8, size, offset=int(rows[0]) * size)
        return data.reshape(height, width, 3) if data.size == size else None

    def faces_by_stamp(self) -> dict[int, list[RecordedFace]]:
        """Group the faces of ``face_mesh`` by image stamp."""
        result: dict[int, list[RecordedFace]] = {stamp: [] for stamp in self.meshes.stamps}
        for face in self.meshes.faces:
            result.setdefault(face.stamp, []).append(face)
        return result


def save_tables(recording: Recording) -> None:
    """Write all but the images, which the recorder has written, to the folder of the recording."""
    table: dict[str, Any] = {
        "image_shape": recording.image_shape,
        "image_stamps": recording.image_stamps,
        "image_arrivals": recording.image_arrivals,
        "triangles": recording.triangles,
        "coarse_triangles": recording.coarse_triangles,
        "uv": recording.uv,
        "model_name": recording.model_name,
    }
    for name, stream in (("meshes", recording.meshes), ("raw", recording.raw)):
        table |= _pack(name, stream)
    if recording.best is not None:
        table["best_stamp"] = recording.best.stamp
        table["best_params"] = recording.best.params
        table["best_vertices"] = recording.best.vertices
        table["best_image_vertices"] = recording.best.image_vertices
    save_arrays(recording.folder / TABLE, **table)
    write_atomically(recording.folder / DIAGNOSTICS, json.dumps(recording.diagnostics).encode())


def load_recording(folder: str | Path) -> Recording:
    """Load a recording written by :func:`save_tables`.

    Raises:
        TddfaError: the folder holds no recording.
    """
    folder = Path(folder)
    if not (folder / TABLE).is_file():
        raise TddfaError(f"there is no recording in {folder}")
    with np.load(folder / TABLE) as table:
        values = {key: table[key] for key in table.files}
    best = None
    if "best_stamp" in values:
        best = BestFace(
            int(values["best_stamp"]),
            values["best_params"],
            values["best_vertices"],
            values["best_image_vertices"],
        )
    height, width = (int(v) for v in values["image_shape"])
    return Recording(
        folder=folder,
        image_shape=(height, width),
        image_stamps=values["image_stamps"],
        image_arrivals=values["image_arrivals"],
        meshes=_unpack("meshes", values),
        raw=_unpack("raw", values),
        triangles=values["triangles"],
        coarse_triangles=values["coarse_triangles"],
        uv=values["uv"],
        model_name=str(values["model_name"]),
        diagnostics=json.loads((folder / DIAGNOSTICS).read_text()),
        best=best,
    )


def _pack(name: str, stream: Stream) -> dict[str, Any]:
    packed: dict[str, Any] = {
        f"{name}_stamps": np.array(stream.stamps, np.int64),
        f"{name}_arrivals": np.array(stream.arrivals, np.int64),
        f"{name}_face_stamps": np.array([f.stamp for f in stream.faces], np.int64),
        f"{name}_ids": np.array([f.id for f in stream.faces], dtype=np.str_),
    }
    for column in _FACE_COLUMNS:
        packed[f"{name}_{column}"] = np.array(
            [getattr(f, column) for f in stream.faces], np.float32
        )
    return packed


def _unpack(name: str, values: dict[str, Any]) -> Stream:
    columns = [values[f"{name}_{column}"] for column in _FACE_COLUMNS]
    stamps, ids = values[f"{name}_face_stamps"].tolist(), values[f"{name}_ids"].tolist()
    faces = [
        RecordedFace(stamp, face_id, float(confidence), params, float(distance), landmarks, coarse)
        for stamp, face_id, confidence, params, distance, landmarks, coarse in zip(
            stamps, ids, *columns, strict=True
        )
    ]
    return Stream(values[f"{name}_stamps"].tolist(), values[f"{name}_arrivals"].tolist(), faces)
