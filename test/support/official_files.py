"""Synthetic files in the formats of 3DDFA_V2: an ellipsoid head in micrometers, random whitening."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from support.synthetic_model import synthetic_model

from tddfa_ros.model_store.store import ModelStore, default_store
from tddfa_ros.official.importer import import_models

ORIGIN_UM = np.array([1500.0, -12000.0, 90000.0])
"""Origin of the synthetic head before conversion to micrometers: the frame of the file is not centered."""


def whitening_content(seed: int = 0, version: int = 2) -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    std = np.concatenate([np.full(12, 1e-4), rng.uniform(1e4, 1e6, 40), rng.uniform(0.1, 2, 10)])
    std[[3, 7, 11]] = 20.0
    mean = rng.normal(size=62) * std
    names = ("mean", "std") if version == 2 else ("param_mean", "param_std")
    return {names[0]: mean.astype(np.float32), names[1]: std.astype(np.float32)}


def basel_content(seed: int = 0) -> dict[str, Any]:
    """Return the keys and shapes of ``bfm_noneck_v3_slim.pkl`` with the synthetic head (738 vertices) and inward triangles."""
    head = synthetic_model(shape=40, expressions=10)
    rng = np.random.default_rng(seed)
    vertices = head.mean * 1e6 + ORIGIN_UM
    corners = head.triangles[head.landmark_triangles]
    landmarks = corners[np.arange(68), head.landmark_weights.argmax(axis=1)]
    rows = (landmarks[:, None] * 3 + np.arange(3)).ravel()
    return {
        "u": vertices.reshape(-1, 1).astype(np.float32),
        "w_shp": (rng.normal(size=(vertices.size, 45)) * 1e-2).astype(np.float32),
        "w_exp": (rng.normal(size=(vertices.size, 10)) * 1e3).astype(np.float32),
        "keypoints": rows.astype(np.int64),
        "tri": np.ascontiguousarray(head.triangles[:, ::-1].T),
    }


def made_up_store(folder: Path) -> ModelStore:
    """Return a store with imported ``official-mb05`` and ``official-bfm`` in the cache ``folder/cache``."""
    checkout, manifest = folder / "3DDFA_V2", default_store().manifest
    write_pickle(checkout / "param_mean_std_62d_120x120.pkl", whitening_content())
    write_original_onnx(checkout / "mb05_120x120.onnx")
    head = write_pickle(folder / "bfm_noneck_v3_slim.pkl", basel_content())
    import_models(checkout, ModelStore(manifest, folder / "cache"))
    import_models(head, ModelStore(manifest, folder / "cache"), name="official-bfm")
    return ModelStore(manifest, folder / "cache")


def write_pickle(path: Path, content: Any, protocol: int = 2) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


def write_original_onnx(path: Path, features: int = 512, seed: int = 0) -> Path:
    """Write a network in the export format of 3DDFA_V2: one crop, input ``input``, whitened output ``output``; four patches and a matrix."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(features // 4, 3, 60, 60)).astype(np.float32) / 100
    matrix = rng.normal(size=(62, features)).astype(np.float32) * 0.3
    constants = [
        numpy_helper.from_array(weights, "conv"),
        numpy_helper.from_array(matrix, "fc.weight"),
        numpy_helper.from_array(rng.normal(size=62).astype(np.float32), "fc.bias"),
        numpy_helper.from_array(np.array([1, -1]), "flat"),
    ]
    nodes = [
        helper.make_node("Conv", ["input", "conv"], ["maps"], strides=[60, 60]),
        helper.make_node("Reshape", ["maps", "flat"], ["features"]),
        helper.make_node("Gemm", ["features", "fc.weight", "fc.bias"], ["output"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "original",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 120, 120])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 62])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)])
    model.ir_version = 6
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path
