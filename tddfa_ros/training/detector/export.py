"""Write a trained detector as the ONNX file that :class:`tddfa_ros.detection.tddfa_detect.TddfaDetect` loads."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch

from tddfa_ros.detection.families import TDDFA_OUTPUTS
from tddfa_ros.errors import ModelError
from tddfa_ros.files import atomic_path
from tddfa_ros.training.detector.network import DetectorNet
from tddfa_ros.training.export import OPSET

_SIZES = ((64, 96), (160, 128))  # input sizes at which the file is compared with the network
_TOLERANCE = 2e-3  # relative to the largest value


def export_detector(network: DetectorNet, path: Path) -> None:
    """Export a detector (opset 17; batch, height and width dynamic; input BGR 0..255) and check it against ONNX Runtime.

    Args:
        network: in evaluation mode.
        path: of the ONNX file.

    Raises:
        ModelError: the outputs of ONNX Runtime differ from those of the network.
    """
    import onnx

    free = {"image": {0: "batch", 2: "height", 3: "width"}}
    for name in TDDFA_OUTPUTS:
        free[name] = {0: "batch", 2: f"rows_{name}", 3: f"columns_{name}"}
    with atomic_path(path) as temporary:
        with warnings.catch_warnings():
            # dynamo=False selects this exporter on purpose; torch warns at every call
            warnings.filterwarnings("ignore", "You are using the legacy", DeprecationWarning)
            torch.onnx.export(
                network.with_folded_scale().to(memory_format=torch.contiguous_format),  # type: ignore[call-overload]
                (torch.zeros(1, 3, *_SIZES[0]),),
                str(temporary),
                input_names=["image"],
                output_names=list(TDDFA_OUTPUTS),
                dynamic_axes=free,
                opset_version=OPSET,
                dynamo=False,
            )
        onnx.checker.check_model(onnx.load(str(temporary)))
        _compare(network, temporary)


def _compare(network: DetectorNet, path: Path) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    for size in _SIZES:
        image = rng.uniform(0, 255, (2, 3, *size)).astype(np.float32)
        with torch.no_grad():
            wanted = network(torch.from_numpy(image))
        found = session.run(list(TDDFA_OUTPUTS), {"image": image})
        for ours, theirs in zip(wanted, found, strict=True):
            scale = max(float(ours.abs().max()), 1.0)
            if np.abs(ours.numpy() - theirs).max() > _TOLERANCE * scale:
                raise ModelError("the outputs of the ONNX file differ from those of the network")
