"""Identification of files of 3DDFA, 3DDFA_V2 and detectors by content, independent of their names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tddfa_ros.detection.families import family_of, read_onnx
from tddfa_ros.errors import ModelError
from tddfa_ros.official.basel import Basel, parse_triangles
from tddfa_ros.official.checkpoints import Checkpoint, is_checkpoint, read_checkpoint, width_label
from tddfa_ros.official.pickles import read_pickle
from tddfa_ros.official.whitening import LAYOUT, Whitening
from tddfa_ros.types import FloatArray, IntArray

BFM_VERTICES = 53215
"""Of the Basel Face Model as 300W-LP and ``BFM_UV.mat`` use it."""

SUFFIXES = (".pth", ".tar", ".pt", ".pkl", ".npy", ".mat", ".onnx")
"""Suffixes of the files read in a folder."""

_PICKLE_START = 0x80


@dataclass(frozen=True, eq=False)
class Triangles:
    """``tri.pkl``: (T, 3)."""

    indices: IntArray


@dataclass(frozen=True, eq=False)
class UvTable:
    """``BFM_UV.mat``: (53215, 2), v up."""

    uv: FloatArray


@dataclass(frozen=True, eq=False)
class VertexSubset:
    """``indices.npy``: indices (N,) of the 53215 vertices that a smaller mesh keeps."""

    indices: IntArray


@dataclass(frozen=True, eq=False)
class OnnxRegressor:
    """3DDFA_V2's own export of a regression network: an ``onnx.ModelProto``."""

    model: Any
    name: str


@dataclass(frozen=True, eq=False)
class OnnxDetector:
    """A detector that needs no conversion."""

    family: str


Piece = (
    Checkpoint
    | Whitening
    | Basel
    | Triangles
    | UvTable
    | VertexSubset
    | OnnxRegressor
    | OnnxDetector
)


def recognize(path: Path) -> Piece | None:
    """Read one file; return None if it is readable but not importable.

    Raises:
        ModelError: the file is missing, truncated, unsafe to read, or has inconsistent content.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(128)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    if not start:
        raise ModelError(f"{path} is empty")
    if start.startswith(b"\x93NUMPY"):
        return _vertex_subset(path)
    if start.startswith(b"MATLAB 5.0 MAT-file"):
        return _uv_table(path)
    if is_checkpoint(path):
        return read_checkpoint(path)
    if path.suffix in (".pth", ".tar", ".pt"):
        raise ModelError(f"{path} is not a readable torch checkpoint, or is truncated")
    if start[0] == _PICKLE_START or path.suffix == ".pkl":
        return _pickled(path)
    return _onnx(path)


def _pickled(path: Path) -> Piece | None:
    content = read_pickle(path)
    whitening = Whitening.parse(content)
    if whitening is not None:
        return whitening
    basel = Basel.parse(content, str(path))
    if basel is not None:
        return basel
    triangles = parse_triangles(content)
    return None if triangles is None else Triangles(triangles)


def _vertex_subset(path: Path) -> VertexSubset | None:
    try:
        content = np.load(path, allow_pickle=False)
    except Exception as error:  # NumPy's, by version
        raise ModelError(f"{path} is not a readable .npy file, or is truncated") from error
    if content.ndim != 1 or content.dtype.kind not in "iu" or not len(content):
        return None
    fits = content.min() >= 0 and content.max() < BFM_VERTICES and (np.diff(content) > 0).all()
    return VertexSubset(content.astype(np.int32)) if fits else None


def _uv_table(path: Path) -> UvTable | None:
    from scipy.io import loadmat

    try:
        content = loadmat(path)
    except Exception as error:  # scipy's, by version
        raise ModelError(f"{path} is not a readable MATLAB file, or is truncated") from error
    uv = content.get("UV")
    if not isinstance(uv, np.ndarray) or uv.shape != (BFM_VERTICES, 2):
        return None
    return UvTable(np.asarray(uv, np.float32))


def _onnx(path: Path) -> Piece | None:
    model = read_onnx(path)
    graph = model.graph
    last = [dim.dim_value for dim in graph.output[0].type.tensor_type.shape.dim][-1:]
    if len(graph.output) == 1 and last == [LAYOUT.size]:
        return OnnxRegressor(model, _regressor_name(graph))
    if {value.name for value in graph.input} >= {"R", "offset"}:
        raise ModelError(
            f"{path} is the Basel Face Model as a computation, without its mesh: import bfm_noneck_v3.pkl in its place"
        )
    family = family_of(path)
    return None if family is None else OnnxDetector(family)


def _regressor_name(graph: Any) -> str:
    """Name the network by its last layer: a matrix on 1024 * width features, or 1x1 convolutions in the ResNet."""
    shapes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Gemm":
            sides = shapes.get(node.input[1], [])
            if LAYOUT.size in sides:
                features = next((side for side in sides if side != LAYOUT.size), LAYOUT.size)
                return f"mb{width_label(features / 1024)}"
    return "resnet22"
