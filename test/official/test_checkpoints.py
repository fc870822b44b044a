"""Checkpoints with random weights: recognized, converted, and never executed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="checkpoints need torch: install the extra 'training'")
pytest.importorskip("onnxruntime")

import torch
from support.official_files import whitening_content

from tddfa_ros.errors import ModelError
from tddfa_ros.official.checkpoints import is_checkpoint, read_checkpoint
from tddfa_ros.official.export import export_regressor
from tddfa_ros.official.networks import FaceBoxesNet, MobileNetV1, ResNet22
from tddfa_ros.official.recognize import recognize
from tddfa_ros.official.whitening import Whitening


def save(path: Path, network: Any, legacy: bool, rename: tuple[str, str] = ("", "")) -> Path:
    """As 3DDFA_V2 saves: in a dict with the epoch, names below ``module.``."""
    state = {f"module.{k.replace(*rename)}": v for k, v in network.state_dict().items()}
    content = {"epoch": 3, "state_dict": state}
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


@pytest.mark.parametrize(
    ("network", "name", "rename", "landmarks"),
    [
        (lambda: MobileNetV1(0.25, True), "mb025", ("", ""), True),
        (lambda: MobileNetV1(0.25, False), "mb025", ("", ""), False),
        (lambda: MobileNetV1(0.5, False), "v1-mb05", ("fc_param", "fc"), False),
        (lambda: ResNet22(False), "resnet22", ("", ""), False),
        (FaceBoxesNet, "faceboxes", ("", ""), False),
    ],
    ids=["two-heads", "one-head", "v1", "resnet22", "faceboxes"],
)
def test_detects_architecture_from_layers(
    tmp_path: Path, network: Any, name: str, rename: tuple[str, str], landmarks: bool
) -> None:
    made = network().eval()
    image = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 3, 120, 120)))
    path = save(tmp_path / "any.name", made, legacy=name != "resnet22", rename=rename)
    assert is_checkpoint(path)
    found = recognize(path)
    assert (found.name, found.landmarks) == (name, landmarks)
    with torch.no_grad():
        for mine, theirs in zip(found.network(image.float()), made(image.float()), strict=True):
            assert torch.equal(mine, theirs)


def test_parameter_counts_match_the_publication() -> None:
    """3.27 M and 0.85 M parameters (the paper's table); FaceBoxes 1.007 M; 22 layers of weights in the ResNet."""

    def millions(network: Any) -> float:
        return sum(p.numel() for p in network.parameters()) / 1e6

    assert millions(MobileNetV1(1.0, False)) == pytest.approx(3.27, abs=0.01)
    assert millions(MobileNetV1(0.5, False)) == pytest.approx(0.85, abs=0.015)
    assert millions(FaceBoxesNet()) == pytest.approx(1.007, abs=0.01)
    layers = [n for n, p in ResNet22(False).named_parameters() if p.ndim == 4]
    assert len([n for n in layers if "downsample" not in n]) == 22 + 1  # and the head


def test_both_heads_reach_the_onnx_file(tmp_path: Path) -> None:
    import onnxruntime

    torch.manual_seed(0)
    network = MobileNetV1(0.25, True).eval()
    whitening = Whitening.parse(whitening_content())
    assert whitening is not None
    export_regressor(network, True, whitening, tmp_path / "n.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "n.onnx"))
    image = np.random.default_rng(0).uniform(-1, 1, (2, 3, 120, 120)).astype(np.float32)
    params, landmarks = session.run(["params", "landmarks"], {"image": image})
    with torch.no_grad():
        white, points = (value.numpy() for value in network(torch.from_numpy(image)))
    np.testing.assert_allclose(params, white * whitening.std + whitening.mean, rtol=1e-4, atol=1e-2)
    # x of all 68 points, then y; 60 px * v + 60.
    np.testing.assert_allclose(landmarks[1, 5], 60 + 60 * points[1, [5, 68 + 5]], rtol=1e-4)
    metadata = session.get_modelmeta().custom_metadata_map
    assert metadata["tddfa.parameter_space"] == "3ddfa_v2"
    assert metadata["tddfa.layout"] == "40,10"


class Call:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


@pytest.mark.parametrize("legacy", [True, False])
def test_checkpoint_code_is_never_executed(tmp_path: Path, legacy: bool) -> None:
    witness, path = tmp_path / "executed", tmp_path / "bad.pth"
    torch.save(
        {"state_dict": Call(f"touch {witness}")}, path, _use_new_zipfile_serialization=not legacy
    )
    with pytest.raises(ModelError, match="holds more than tensors"):
        read_checkpoint(path)
    assert not witness.exists()
    torch.load(path, weights_only=False)
    assert witness.exists(), "the attack works"


def test_rejects_wrong_and_truncated_checkpoints(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    save(path, torch.nn.Linear(2, 2), legacy=False)
    with pytest.raises(ModelError, match="of another network than"):
        recognize(path)
    torch.save({"epoch": 3}, path)
    with pytest.raises(ModelError, match="holds no weights"):
        recognize(path)
    for legacy in (True, False):
        save(path, MobileNetV1(0.25, False), legacy)
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        with pytest.raises(ModelError, match=r"truncated|more than tensors") as caught:
            recognize(path)
        assert "\n" not in str(caught.value)
    state = MobileNetV1(0.25, False).state_dict()
    del state["dw6.conv_dw.weight"]
    torch.save({"state_dict": state}, path)
    with pytest.raises(ModelError, match=r"looks like mb025 and does not fit it: Missing key.*dw6"):
        recognize(path)
