"""The network to compare the regressor with: MobileNet V1 x0.5 as in 3DDFA_V2, run by ONNX Runtime like ours.

With the official weights at hand (and torch and onnx) it is their mb05; with torch and onnx alone the same network with
random weights, which takes as long.

    python benchmarks/baseline.py /tmp/baseline.onnx    # where torch and onnx are installed
    python benchmarks/bench.py --baseline /tmp/baseline.onnx    # where they are not
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any

_BLOCKS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *((512, 1),) * 5,
    (1024, 2),
    (1024, 1),
)
_NAMES = (
    "dw2_1",
    "dw2_2",
    "dw3_1",
    "dw3_2",
    "dw4_1",
    "dw4_2",
    *(f"dw5_{i}" for i in range(1, 7)),
    "dw6",
)


def official_folder() -> Path:
    """Where the official files lie when they are present."""
    data = os.environ.get("TDDFA_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
    return Path(data) / "3ddfa_v2"


def baseline_onnx() -> tuple[str, bytes]:
    """Name and ONNX bytes of the baseline.

    Raises:
        ImportError: torch or onnx is not installed.
    """
    import torch

    network = _network(torch)
    weights = official_folder() / "mb05_120x120.pth"
    name = "MobileNet V1 x0.5, random weights"
    if weights.is_file():
        state = torch.load(weights, map_location="cpu", weights_only=True)
        state = state.get("state_dict", state)
        state = {key.removeprefix("module."): value for key, value in state.items()}
        missing, _ = network.load_state_dict(state, strict=False)
        if missing:
            raise ImportError(f"{weights} is not the network it should be: {missing[:3]}")
        name = "3DDFA_V2 mb05, official weights"
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


def _network(torch: Any) -> Any:
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, inputs: int, outputs: int, stride: int) -> None:
            super().__init__()
            self.conv_dw = nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False)
            self.bn_dw = nn.BatchNorm2d(inputs)
            self.conv_sep = nn.Conv2d(inputs, outputs, 1, bias=False)
            self.bn_sep = nn.BatchNorm2d(outputs)

        def forward(self, x: Any) -> Any:
            x = torch.relu(self.bn_dw(self.conv_dw(x)))
            return torch.relu(self.bn_sep(self.conv_sep(x)))

    class MobileNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(3, 16, 3, 2, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(16)
            inputs = 16
            for name, (width, stride) in zip(_NAMES, _BLOCKS, strict=True):
                setattr(self, name, Block(inputs, width // 2, stride))
                inputs = width // 2
            self.fc_param = nn.Linear(512, 62)

        def forward(self, x: Any) -> Any:
            x = torch.relu(self.bn1(self.conv1(x)))
            for name in _NAMES:
                x = getattr(self, name)(x)
            return self.fc_param(x.mean((2, 3)))

    return MobileNet()


if __name__ == "__main__":
    label, content = baseline_onnx()
    Path(sys.argv[1]).write_bytes(content)
    print(f"{label}: {len(content)} bytes")
