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
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.calibration import Confidence
from tddfa_ros.training.networks import OPTIONAL_HEADS, FaceNet

OPSET = 17
_TOLERANCE, _HALF_TOLERANCE = 2e-3, 5e-3
"""Of the largest value; on noise, where a network answers wildly, 11 bits of each weight make some thousandths."""


class _Exported(nn.Module):
    """The heads of a network that go into the file, as a tuple; the confidence as a probability, parsing as one too."""

    def __init__(
        self, network: FaceNet, confidence: Confidence | None, heads: Collection[str]
    ) -> None:
        super().__init__()
        self.network, self._confidence = network, confidence
        self.names = ["params", "landmarks", *(h for h in OPTIONAL_HEADS if h in heads)]

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        found = self.network(image)._asdict()
        if self._confidence is not None:
            curve = self._confidence
            found["confidence"] = torch.sigmoid(
                (found["confidence"] - curve.midpoint) / curve.width
            )
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
    half: bool = False,
) -> None:
    """Write ``path`` (opset 17, dynamic batch), with what the regressor needs to know in its metadata, once it is checked.

    Args:
        size: side of the crops, px.
        confidence: curve of the confidence head, when it is exported.
        agreement: curve of the agreement of both sets of landmarks, for a file without that head.
        heads: optional heads that go into the file.
        half: store weights as float16 (half the size); they are float32 again in memory, so the speed is the same.

    Raises:
        ConfigError: a head that the network does not have, or not the one curve that belongs to the heads.
        ModelError: ONNX Runtime's answer differs from the network's.
    """
    present: dict[str, nn.Module | None] = {
        "confidence": network.confidence_head,
        "parsing": network.parsing_head,
        "uv_position": network.uv_head,
    }
    for head in heads:
        if present.get(head) is None:
            raise ConfigError(f"the network has no head {head!r} to export")
    of_head = "confidence" in heads
    if (confidence is not None) != of_head or (agreement is None) != of_head:
        raise ConfigError(
            "a confidence head is exported with its calibration, a network without it with that of the agreement"
        )
    exported = _Exported(network, confidence, heads).eval()
    names = exported.names
    metadata = {
        "tddfa.layout": f"{model.layout.shape},{model.layout.expression}",
        "tddfa.input_size": str(size),
        "tddfa.topology_id": model.topology_id,
    }
    if agreement is not None:
        # the regressor measures how much they disagree
        metadata["tddfa.confidence"] = f"{-agreement.midpoint:.6g},{agreement.width:.6g}"
    partial = path.with_suffix(".partial")
    write_graph(exported, names, size, metadata, partial, half)
    _compare(exported, partial, size, (3, 1), _HALF_TOLERANCE if half else _TOLERANCE)
    partial.replace(path)


def write_graph(
    network: nn.Module,
    names: Sequence[str],
    size: int,
    metadata: Mapping[str, str],
    path: Path,
    half: bool,
) -> None:
    """Write a network of crops (n, 3, size, size) as ONNX, its outputs called ``names``, with metadata; ``half``: weights stored as float16."""
    import onnx

    with warnings.catch_warnings():
        # dynamo=False asks for this exporter on purpose; torch warns of it on every call.
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
        _store_half(graph)
    onnx.helper.set_model_props(graph, dict(metadata))
    onnx.checker.check_model(graph)
    onnx.save(graph, str(path))


def _store_half(graph: object) -> None:
    """Replace large float32 initialisers by float16 ones and a cast, which ONNX Runtime folds when it loads the file."""
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
    """The exported file must answer as the network does, for any batch size."""
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
                path.unlink()
                raise ModelError(
                    "the ONNX file does not answer as the network that it was made from"
                )
