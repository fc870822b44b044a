"""Write a trained network as the ONNX file that :class:`tddfa_ros.regression.Regressor` loads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tddfa_ros.errors import ModelError
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.networks import FaceNet, MobileNetV1
from tddfa_ros.types import CROP_FRAME

OPSET = 17
_TOLERANCE = 2e-3


@dataclass(frozen=True)
class Confidence:
    """confidence = 1 / (1 + exp((distance - midpoint) / width)), distance: mean px between mesh and direct landmarks."""

    midpoint: float
    width: float


def load_network(checkpoint: Path, model: MorphableModel) -> FaceNet:
    """The network of a training checkpoint, in evaluation mode.

    Raises:
        ModelError: the file is not a checkpoint, or was trained for another number of parameters.
    """
    try:
        state = torch.load(checkpoint, weights_only=True, map_location="cpu")
        width = state["config"]["width"]
        weights = state["network"]
    except Exception as error:
        raise ModelError(f"{checkpoint} is not a training checkpoint: {error}") from error
    count = model.layout.size
    if len(weights["mean"]) != count:
        raise ModelError(
            f"{checkpoint} predicts {len(weights['mean'])} parameters, {model.name} has {count}"
        )
    backbone = MobileNetV1(width)
    network = FaceNet(backbone, backbone.features, weights["mean"], weights["std"])
    network.load_state_dict(weights)
    return network.eval()


def export_onnx(
    network: FaceNet, model: MorphableModel, confidence: Confidence, path: Path
) -> None:
    """Write ``path`` (opset 17, dynamic batch), with what the regressor needs to know in its metadata.

    Raises:
        ModelError: ONNX Runtime's answer differs from the network's.
    """
    import onnx

    side = int(CROP_FRAME)
    example = torch.zeros(1, 3, side, side)
    torch.onnx.export(
        network,
        (example,),
        str(path),
        input_names=["image"],
        output_names=["params", "landmarks"],
        dynamic_axes={name: {0: "batch"} for name in ("image", "params", "landmarks")},
        opset_version=OPSET,
        dynamo=False,
    )
    graph = onnx.load(str(path))
    onnx.helper.set_model_props(
        graph,
        {
            "tddfa.layout": f"{model.layout.shape},{model.layout.expression}",
            "tddfa.input_size": str(side),
            "tddfa.confidence": f"{confidence.midpoint:.4f},{confidence.width:.4f}",
            "tddfa.topology_id": model.topology_id,
        },
    )
    onnx.checker.check_model(graph)
    onnx.save(graph, str(path))
    _compare(network, path, (3, 1))


def _compare(network: FaceNet, path: Path, batches: Sequence[int]) -> None:
    """The exported file must answer as the network does, for any batch size."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    for size in batches:
        image = rng.uniform(-1, 1, (size, 3, int(CROP_FRAME), int(CROP_FRAME))).astype(np.float32)
        with torch.no_grad():
            wanted = network(torch.from_numpy(image))
        found: list[NDArray[np.float32]] = session.run(["params", "landmarks"], {"image": image})
        for mine, theirs in zip(found, wanted, strict=True):
            scale = np.maximum(np.abs(theirs.numpy()).max(), 1)
            if np.abs(mine - theirs.numpy()).max() > _TOLERANCE * scale:
                raise ModelError(f"{path} does not answer as the network it was exported from")
