"""``tddfa avatar`` on a video."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.faces import model_parameters

from tddfa_ros.avatar import ARKIT_NAMES, from_line
from tddfa_ros.avatar.livelink import decode
from tddfa_ros.cli import main


@pytest.fixture
def clip(tmp_path: Path, astronaut: np.ndarray) -> Path:
    """Return a video of 0.5 s of the portrait."""
    model_parameters()
    path = tmp_path / "clip.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, (512, 512))
    for _ in range(5):
        writer.write(astronaut)
    writer.release()
    return path


def test_writes_json_lines_of_video(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["avatar", str(clip), "--jsonl", str(tmp_path / "faces.jsonl")]) == 0
    frames = [from_line(line) for line in (tmp_path / "faces.jsonl").read_text().splitlines()]
    assert [frame.id for frame in frames] == ["f1"] * 5
    np.testing.assert_allclose([frame.stamp for frame in frames], np.arange(5) / 10, atol=1e-3)
    smile = [frame.blendshapes[ARKIT_NAMES.index("mouthSmileLeft")] for frame in frames]
    assert min(smile) > 0.4, "smile"
    assert all(frame.position[2] < -0.2 for frame in frames)
    assert "1 face\n" in capsys.readouterr().err
    # stretching never lowers a coefficient
    assert main(["avatar", str(clip), "--raw", "--jsonl", str(tmp_path / "raw.jsonl")]) == 0
    raw = from_line((tmp_path / "raw.jsonl").read_text().splitlines()[-1]).blendshapes
    assert (raw != frames[-1].blendshapes).any()


def test_eye_look_follows_irises_unless_turned_off(clip: Path, tmp_path: Path) -> None:
    def looks(*options: str) -> dict[str, float]:
        path = tmp_path / f"faces{len(options)}.jsonl"
        assert main(["avatar", str(clip), *options, "--jsonl", str(path)]) == 0
        shapes = json.loads(path.read_text().splitlines()[-1])["blendshapes"]
        return {name: value for name, value in shapes.items() if name.startswith("eyeLook")}

    found, network = looks(), looks("--no-gaze")
    assert found["eyeLookOutLeft"] == found["eyeLookInRight"]
    assert found["eyeLookInLeft"] == found["eyeLookOutRight"]
    assert min(found["eyeLookOutLeft"], found["eyeLookInLeft"]) == 0
    assert 0 < max(found.values()) < 0.9
    assert network["eyeLookOutLeft"] != network["eyeLookInRight"]


def test_stdout_holds_json_only(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["avatar", str(clip), "--jsonl", "-"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["f1"] * 5


def test_sends_packets_of_video(clip: Path) -> None:
    packets: list[bytes] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(60)
        listening = threading.Thread(target=lambda: packets.append(receiver.recv(4096)))
        listening.start()
        target = f"127.0.0.1:{receiver.getsockname()[1]}"
        assert main(["avatar", str(clip), "--livelink", target, "--subject", "Ada"]) == 0
        listening.join()
    assert decode(packets[0]).subject == "Ada"
    assert decode(packets[0]).blendshapes.max() > 0.4


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["demo"], "no receiver is given"),
        (["nowhere.mp4", "--jsonl", "-"], "there is no camera, video, image or folder"),
        (["demo", "--osc", "here"], "HOST:PORT"),
        (["demo", "--livelink", "no.such.host.invalid:1"], "unknown host"),
    ],
)
def test_rejects_invalid_arguments_in_one_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model_parameters()
    assert main(["avatar", *arguments]) == 2
    assert sentence in capsys.readouterr().err
