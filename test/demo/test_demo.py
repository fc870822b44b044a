"""A short run of the demo with real processes, DDS, models and files."""

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest

from tddfa_ros.demo.__main__ import DemoOptions, launch_arguments, main, parse
from tddfa_ros.demo.graph import launch_command
from tddfa_ros.errors import TddfaError

SECONDS = 3.5


def missing():
    """Return why the demo cannot run here; None if it can."""
    from tddfa_ros.model_store.store import default_store

    for module in ("rclpy", "tddfa_msgs.msg", "skimage.data"):
        try:
            __import__(module)
        except ImportError as error:
            return f"{module} cannot be imported: {error}"
    store = default_store()
    for name in ("centerface", "tddfa-head", "tddfa-mb05"):
        try:
            store.path(name)
        except TddfaError as error:
            return str(error)
    return None


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    reason = missing()
    if reason:
        pytest.skip(reason)
    out = tmp_path_factory.mktemp("demo")
    command = [
        sys.executable,
        "-m",
        "tddfa_ros.demo",
        "--duration",
        str(SECONDS),
        "--out",
        str(out),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    return out, json.loads((out / "report.json").read_text()), done.stdout


@pytest.mark.ros
def test_every_frame_gives_a_mesh_message(results):
    _, report, _ = results
    assert report["frames_in"] > 10 * SECONDS
    assert report["meshes_out"] > 0.5 * report["frames_in"]
    assert report["matched_with_image"] > 0.5 * report["meshes_out"]
    assert report["identities"] == ["f1"]
    assert report["faces"] == report["meshes_out"]
    assert (report["image"]["width"], report["image"]["height"]) == (640, 480)


@pytest.mark.ros
def test_report_has_jitter_and_stage_times(results):
    _, report, _ = results
    smooth, raw = report["jitter"]["face_mesh"], report["jitter"]["face_mesh_raw"]
    # Against the known camera motion landmarks stay within a few percent of the eye distance.
    assert 0 < smooth["drift_percent"] < 10
    # If a busy machine drops frames, the lag of smoothing changes on this moving camera.
    assert smooth["jitter_px"] > 0
    assert report["drop_rate"] > 0 or smooth["jitter_px"] < raw["jitter_px"]
    assert {"face_node", "smoothing_node"} <= set(report["stages_ms"])
    assert report["stages_ms"]["face_node"]["regression"] > 0
    assert {"face_system", "image_source_node", "recorder"} <= set(report["cpu_percent"])


@pytest.mark.ros
def test_writes_video_still_and_mesh(results):
    out, report, _ = results
    reader = cv2.VideoCapture(str(out / "demo.mp4"))
    frames = 0
    while reader.grab():
        frames += 1
    assert frames == report["video_frames"] > 10 * SECONDS
    still = cv2.imread(str(out / "demo.png"))
    assert still.shape[0] == 480 and still.shape[1] > 640 + 150
    lines = (out / "face.obj").read_text().splitlines()
    vertices = np.array([line.split()[1:] for line in lines if line.startswith("v ")], float)
    height = np.ptp(vertices[:, 1])
    assert 0.1 < height < 0.5, "a head, in meters"
    assert cv2.imread(str(out / "face.png")).std() > 10
    assert (out / "face.mtl").is_file()
    assert not (out / "recording").exists()


@pytest.mark.ros
def test_report_is_printed_with_paths(results):
    out, _, printed = results
    assert (out / "report.txt").read_text() in printed
    assert str(out / "demo.mp4") in printed


def test_missing_source_prints_one_line(tmp_path, capsys):
    assert main(["--source", "/no/such/video.mp4", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        "error: there is no image, video, folder or camera at /no/such/video.mp4\n"
    )


@pytest.mark.parametrize(
    "arguments", [["--duration", "0"], ["--duration", "1e9"], ["--rate", "0"], ["--width", "3"]]
)
def test_rejects_values_out_of_range(arguments, capsys):
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith("error: --")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (DemoOptions(rate=15), {"source:=demo", "composed:=true", "width:=640", "height:=480", "rate:=15"}),
        (DemoOptions("0", smoothing=False), {"source:=webcam", "source_path:=0", "smoothing:=none"}),
        (DemoOptions("a b.mp4", composed=False), {"source:=file", "source_path:=a b.mp4", "composed:=false"}),
    ],
)  # fmt: skip
def test_launch_command(options: DemoOptions, words: set[str]) -> None:
    """Values of launch arguments are not quoted; empty ones are left out."""
    command = launch_command(launch_arguments(options))
    assert command[:4] == ["ros2", "launch", "tddfa_ros", "face.launch.py"]
    assert words <= set(command[4:])
    assert not any(word.endswith(":=") or '"' in word for word in command)


def test_parses_command_line(tmp_path):
    options = parse(["--source", "0", "--duration", "4", "--out", str(tmp_path), "--no-smoothing"])
    assert (options.source, options.duration, options.smoothing) == ("0", 4.0, False)
    assert parse([]).source == "demo"
