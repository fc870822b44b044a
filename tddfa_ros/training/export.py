"""Write a trained network as the ONNX file that :class:`tddfa_ros.regression.Regressor` loads."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tddfa_ros.errors import ConfigError, ModelError
from tddfa_ros.files import atomic_path
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.calibration import Confidence
from tddfa_ros.training.networks import OPTIONAL_HEADS, FaceNet

OPSET = 17
_TOLERANCE, _HALF_TOLERANCE = 2e-3, 5e-3
"""Largest difference relative to the largest value; with float16 weights outputs for noise images differ by some thousandths."""


class _Exported(nn.Module):
    """The exported heads of a network as a tuple: confidence and parsing as probabilities, sigma calibrated."""

    def __init__(
        self,
        network: FaceNet,
        confidence: Confidence | None,
        heads: Collection[str],
        sigma_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.network, self._confidence, self._sigma_scale = network, confidence, sigma_scale
        self.names = ["params", "landmarks", *(h for h in OPTIONAL_HEADS if h in heads)]

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        found = self.network(image)._asdict()
        if self._confidence is not None:
            curve = self._confidence
            found["confidence"] = torch.sigmoid(
                (found["confidence"] - curve.midpoint) / curve.width
            )
        if "landmark_sigma" in self.names:
            found["landmark_sigma"] = found["landmark_sigma"] * self._sigma_scale
        if "parsing" in self.names:
            found["parsing"] = found["parsing"].softmax(dim=1)
        return tuple(found[name] for name in self.names)


def export_onnx(
    network: FaceNet,
    model: MorphableModel,
    path: Path,
    *,
    size: int,
    confidence: Confidence | None = None,
    agreement: Confidence | None = None,
    heads: Collection[str] = ("confidence",),
    sigma_scale: float = 1.0,
    half: bool = False,
) -> None:
    """Export a network to ONNX (opset 17, dynamic batch) with the regressor's metadata, and check it against ONNX Runtime.

    Args:
        network: in evaluation mode.
        model: morphable model of its parameters.
        path: of the ONNX file.
        size: side of the crops, px.
        confidence: logistic curve of the confidence head, if it is exported.
        agreement: logistic curve of the disagreement of both sets of landmarks, for a file without that head.
        heads: optional heads to export.
        sigma_scale: factor that calibrates the head ``landmark_sigma``.
        half: store weights as float16 (half the size); they are float32 again in memory, so the speed is the same.

    Raises:
        ConfigError: the network has no such head, or ``confidence`` and ``agreement`` do not match the heads.
        ModelError: the outputs of ONNX Runtime differ from those of the network.
    """
    present: dict[str, nn.Module | None] = {
        "confidence": network.confidence_head,
        "landmark_sigma": network.sigma_head,
        "parsing": network.parsing_head,
        "uv_position": network.uv_head,
    }
    for head in heads:
        if present.get(head) is None:
            raise ConfigError(f"the network has no head {head!r} to export")
    of_head = "confidence" in heads
    if (confidence is not None) != of_head or (agreement is None) != of_head:
        raise ConfigError(
            "give the curve of the confidence head if it is exported, else that of the agreement"
        )
    exported = _Exported(network, confidence, heads, sigma_scale).eval()
    names = exported.names
    metadata = {
        "tddfa.layout": f"{model.layout.shape},{model.layout.expression}",
        "tddfa.input_size": str(size),
        "tddfa.topology_id": model.topology_id,
    }
    if agreement is not None:
        # the regressor computes the disagreement, which is the negative score
        metadata["tddfa.confidence"] = f"{-agreement.midpoint:.6g},{agreement.width:.6g}"
    with atomic_path(path) as temporary:
        write_graph(exported, names, size, metadata, temporary, half)
        _compare(exported, temporary, size, (3, 1), _HALF_TOLERANCE if half else _TOLERANCE)


def write_graph(
    network: nn.Module,
    names: Sequence[str],
    size: int,
    metadata: Mapping[str, str],
    path: Path,
    half: bool,
) -> None:
    """Write a network as ONNX.

    Args:
        network: maps crops (n, 3, size, size) float32 to a tuple of outputs.
        names: of the outputs.
        size: side of the crops, px.
        metadata: of the file.
        path: of the file.
        half: store weights as float16.
    """
    import onnx

    with warnings.catch_warnings():
        # dynamo=False selects this exporter on purpose; torch warns at every call
        warnings.filterwarnings("ignore", "You are using the legacy", DeprecationWarning)
        torch.onnx.export(
            network,
            (torch.zeros(1, 3, size, size),),
            str(path),
            input_names=["image"],
            output_names=list(names),
            dynamic_axes={name: {0: "batch"} for name in ("image", *names)},
            opset_version=OPSET,
            dynamo=False,
        )
    graph = onnx.load(str(path))
    if half:
        store_half(graph)
    onnx.helper.set_model_props(graph, dict(metadata))
    onnx.checker.check_model(graph)
    onnx.save(graph, str(path))


def store_half(graph: object) -> None:
    """Replace large float32 initializers by float16 ones and a cast, which ONNX Runtime folds at load time."""
    import onnx

    inner = graph.graph  # type: ignore[attr-defined]
    casts = []
    for tensor in inner.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        values = onnx.numpy_helper.to_array(tensor)
        if values.size < 1024:
            continue
        name = tensor.name
        tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(
            onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT)
        )
    nodes = [*casts, *inner.node]
    del inner.node[:]
    inner.node.extend(nodes)


def _compare(
    network: _Exported, path: Path, size: int, batches: Sequence[int], tolerance: float
) -> None:
    """Compare the outputs of the file with those of the network, for several batch sizes."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    for count in batches:
        image = rng.uniform(-1, 1, (count, 3, size, size)).astype(np.float32)
        with torch.no_grad():
            wanted = network(torch.from_numpy(image))
        found: list[NDArray[np.float32]] = session.run(network.names, {"image": image})
        for mine, theirs in zip(found, wanted, strict=True):
            scale = np.maximum(np.abs(theirs.numpy()).max(), 1)
            if np.abs(mine - theirs.numpy()).max() > tolerance * scale:
                raise ModelError("the outputs of the ONNX file differ from those of the network")
