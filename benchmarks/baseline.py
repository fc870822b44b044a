"""Baseline network for the regressor: MobileNet V1 x0.5 as in 3DDFA_V2, run by ONNX Runtime.

Uses the official weights of mb05 if they are present, else random weights, which take the same time. Needs torch and onnx.

    python benchmarks/baseline.py /tmp/baseline.onnx            # on a machine with torch and onnx
    python benchmarks/bench.py --baseline /tmp/baseline.onnx    # on any machine
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

_WIDTH = 0.5


def official_folder() -> Path:
    """Return the folder of the official files."""
    data = os.environ.get("TDDFA_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
    return Path(data) / "3ddfa_v2"


def baseline_onnx() -> tuple[str, bytes]:
    """Return the name and the ONNX bytes of the baseline.

    Raises:
        ImportError: torch or onnx is not installed.
        ModelError: the official file is damaged, or holds another network.
    """
    import torch

    from tddfa_ros.official.checkpoints import read_checkpoint
    from tddfa_ros.official.networks import MobileNetV1

    weights = official_folder() / "mb05_120x120.pth"
    if weights.is_file():
        name = "3DDFA_V2 mb05, official weights"
        network = read_checkpoint(weights).network
    else:
        name = "MobileNet V1 x0.5, random weights"
        network = MobileNetV1(_WIDTH, landmarks=False)
    network.fc_lm = None  # compare the parameter head only
    buffer = io.BytesIO()
    torch.onnx.export(
        network.eval(),
        torch.zeros(1, 3, 120, 120),
        buffer,
        input_names=["image"],
        output_names=["params"],
        dynamic_axes={"image": {0: "n"}, "params": {0: "n"}},
        opset_version=17,
        dynamo=False,
    )
    return name, buffer.getvalue()


if __name__ == "__main__":
    label, content = baseline_onnx()
    Path(sys.argv[1]).write_bytes(content)
    print(f"{label}: {len(content)} bytes")
