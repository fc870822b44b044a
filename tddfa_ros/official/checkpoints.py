"""Reader of torch checkpoints of 3DDFA, 3DDFA_V2 and FaceBoxes: tensors only, identified by their layers."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tddfa_ros.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # first pickled value of torch before 1.6
_PARAMETERS, _LANDMARKS = 62, 136


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A network with the weights of a checkpoint.

    Attributes:
        network: torch module in evaluation mode.
        name: ``mb1``, ``mb05``, ``resnet22``, ``v1-mb1``, ``faceboxes`` ...
        landmarks: whether it has a second head for landmarks.
    """

    network: nn.Module
    name: str
    landmarks: bool = False


def is_checkpoint(path: Path) -> bool:
    """Return whether ``torch.save`` wrote the file, by its first bytes or the names in its archive."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/data.pkl") for name in archive.namelist())
    start = pickle.dumps(_LEGACY_MAGIC, protocol=2)
    with path.open("rb") as stream:
        return stream.read(len(start)) == start


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint and build its network.

    Raises:
        ModelError: torch is not installed, the file is truncated or contains more than tensors, or the network is unknown.
    """
    weights = _state_dict(path)
    built = _build(weights)
    if built is None:
        raise ModelError(
            f"{path} is a torch checkpoint of another network than MobileNet V1, ResNet22 or FaceBoxes of 3DDFA_V2"
        )
    try:
        built.network.load_state_dict(_renamed(weights))
    except RuntimeError as error:
        raise ModelError(
            f"{path} looks like {built.name} and does not fit it: {_first_detail(error)}"
        ) from error
    built.network.eval()
    return built


def _state_dict(path: Path) -> dict[str, Tensor]:
    if find_spec("torch") is None:
        raise ModelError(
            f"reading {path.name} needs torch: install the extra 'training' (pip install torch); "
            "ONNX files, .pkl and .mat need nothing more"
        )
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path} is refused: it holds more than tensors, and pickled code is never executed"
        ) from error
    except Exception as error:  # a damaged archive can fail in any way
        raise ModelError(f"{path} is not a readable torch checkpoint, or is truncated") from error
    tensors: Any = content.get("state_dict", content) if isinstance(content, Mapping) else {}
    weights = {
        str(name).removeprefix("module."): value
        for name, value in tensors.items()
        if isinstance(value, torch.Tensor)
    }
    if not weights:
        raise ModelError(f"{path} holds no weights of a network")
    return weights


def _build(weights: Mapping[str, Tensor]) -> Checkpoint | None:
    """Build the network, without weights, that has layers of these names and shapes."""
    from tddfa_ros.official.networks import FaceBoxesNet, MobileNetV1, ResNet22

    if "inception1.branch1x1.conv.weight" in weights and "loc.0.weight" in weights:
        return Checkpoint(FaceBoxesNet(), "faceboxes")
    if _outputs(weights, "conv_param") == _PARAMETERS:
        has = _outputs(weights, "conv_lm") == _LANDMARKS
        return Checkpoint(ResNet22(has), "resnet22", has)
    of_v1 = _outputs(weights, "fc") == _PARAMETERS
    if "dw2_1.conv_dw.weight" in weights and (
        of_v1 or _outputs(weights, "fc_param") == _PARAMETERS
    ):
        width = weights["conv1.weight"].shape[0] / 32
        has = _outputs(weights, "fc_lm") == _LANDMARKS
        name = f"{'v1-' if of_v1 else ''}mb{width_label(width)}"
        return Checkpoint(MobileNetV1(width, has), name, has)
    return None


def width_label(width: float) -> str:
    """Format a width as 3DDFA_V2 does: 1, 05, 075, 025."""
    return f"{width:g}".replace(".", "")


def _outputs(weights: Mapping[str, Tensor], layer: str) -> int:
    return len(weights[f"{layer}.bias"]) if f"{layer}.bias" in weights else 0


def _renamed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the head of 3DDFA version 1 to that of version 2."""
    renamed = {
        name.replace("fc.", "fc_param.", 1) if name.startswith("fc.") else name: value
        for name, value in weights.items()
    }
    return renamed


def _first_detail(error: RuntimeError) -> str:
    lines = [line.strip() for line in str(error).splitlines()[1:] if line.strip()]
    return (lines or [str(error)])[0].rstrip(".")[:160]
