"""GLB avatars of other rigs: names of morph targets, the head joint, and errors."""

from __future__ import annotations

import json
import os
import runpy
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from support.browser import Page, three_folder
from support.synthetic_model import synthetic_model

from tddfa_ros.arkit import ARKIT_NAMES
from tddfa_ros.avatar import AvatarFrame, AvatarServer
from tddfa_ros.avatar.rig import arkit_targets, read_rig
from tddfa_ros.cli import main
from tddfa_ros.errors import ConfigError
from tddfa_ros.geometry.pose import rotation_from_yaw_pitch_roll
from tddfa_ros.geometry.rotation import quaternion


@pytest.fixture(scope="module")
def rig(repo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The avatar of scripts/make_sample_avatar.py: five meshes with morph targets below a head joint, in centimeters."""
    script = runpy.run_path(str(repo_root / "scripts/make_sample_avatar.py"))
    path = tmp_path_factory.mktemp("rig") / "avatar.glb"
    script["main"]([str(path)])
    return path


def document(content: bytes) -> dict[str, Any]:
    (length,) = struct.unpack_from("<I", content, 12)
    return json.loads(content[20 : 20 + length])


def glb(document: dict[str, Any]) -> bytes:
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    return struct.pack("<4sIIII", b"glTF", 2, 20 + len(text), len(text), 0x4E4F534A) + text


def test_names_of_other_rigs_are_recognized(rig: Path) -> None:
    content = read_rig(rig)
    assert content == rig.read_bytes()
    own = document(content)
    orders = [mesh["extras"]["targetNames"] for mesh in own["meshes"] if "extras" in mesh]
    assert len(orders) == 6 and "mouthSmile_L" in orders[1] and "mouthSmileLeft" not in orders[1]
    found = arkit_targets(own)
    assert {"jawOpen", "mouthSmileLeft", "eyeBlinkRight", "browInnerUp"} < found < set(ARKIT_NAMES)
    assert len(found) == 26
    loud = {"meshes": [{"extras": {"targetNames": ["Smile", "JAWOPEN", "EyeBlink_R"]}}, {}]}
    assert arkit_targets(loud) == {"jawOpen", "eyeBlinkRight"}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"not a model", "not a GLB file"),
        (glb({"meshes": [{"extras": {"targetNames": ["A", "I"]}}]}), "no morph targets with names of ARKit"),
        (glb({"meshes": [], "images": 3}), "no morph targets with names of ARKit"),
        (glb({"buffers": [{"uri": "body.bin"}]}), "needs the file body.bin"),
    ],
)  # fmt: skip
def test_rejects_files_that_cannot_be_driven(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "rig.glb"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=sentence):
        read_rig(path)
    with pytest.raises(ConfigError, match="cannot read"):
        read_rig(tmp_path / "nothing.glb")


def test_rig_option_needs_the_page(rig: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["avatar", "demo", "--jsonl", "-", "--rig", str(rig)]) == 2
    assert "--rig is the avatar on the web page, so it needs --web" in capsys.readouterr().err


def test_page_drives_all_meshes_of_a_rig(rig: Path, tmp_path: Path, repo_root: Path) -> None:
    """In Chromium with three.js: one blend shape moves every mesh that has it, and the head joint turns."""
    server = AvatarServer(synthetic_model(), three=three_folder(repo_root), rig=rig)
    shapes = np.zeros(len(ARKIT_NAMES), np.float32)
    shapes[ARKIT_NAMES.index("jawOpen")] = 0.8
    shapes[ARKIT_NAMES.index("eyeBlinkRight")] = 0.9
    angles = np.array([30.0, 0, 0])
    turn = quaternion(rotation_from_yaw_pitch_roll(angles))
    frame = AvatarFrame(0.0, "f1", shapes, turn, np.array([0, 0, -0.5]), angles)

    def shown(page: Page) -> Any:
        server.send([frame])
        return page.evaluate("avatar().frames > 0 && avatar()")

    try:
        with Page(f"{server.url}?mirror=0", tmp_path / "profile") as page:
            found = page.until(lambda: shown(page), "the page did not show the face")
            image = page.screenshot()
    finally:
        server.close()
    if keep := os.environ.get("TDDFA_BROWSER_IMAGE"):
        cv2.imwrite(keep, image)
    assert found["joint"] == "Head"
    assert found["meshes"] == ["Brows", "Mouth", "Lips", "Lids", "Irises", "Skull"]
    assert found["weights"]["jawOpen"] == pytest.approx(0.8, abs=1e-3)
    assert found["weights"]["eyeBlink_R"] == pytest.approx(0.9, abs=1e-3)
    assert found["weights"]["eyeBlink_L"] == 0
    assert np.abs(found["turn"][:3]).max() == pytest.approx(np.sin(np.radians(15)), abs=0.02)
    assert found["turn"] == pytest.approx(found["rotation"], abs=1e-3)
