"""``python -m tddfa_ros.demo``: run and record the graph, then render a video and a report."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from tddfa_ros.demo.graph import (
    Graph,
    NodeProcess,
    can_launch,
    launch_command,
    private_environment,
)
from tddfa_ros.demo.motion import demo_photo, photo_motion
from tddfa_ros.demo.poster import poster
from tddfa_ros.demo.recording import Recording, load_recording
from tddfa_ros.demo.report import measure, to_text
from tddfa_ros.demo.video import write_textured_mesh, write_video
from tddfa_ros.errors import TddfaError
from tddfa_ros.files import write_atomically
from tddfa_ros.model_store.resources import resource_dir
from tddfa_ros.model_store.store import default_store
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.outputs.image_io import write_image

WARM_UP_LIMIT = 60.0
"""Timeout of the first face, including the loading of models, seconds."""


@dataclass(frozen=True)
class DemoOptions:
    """Options of the demo.

    Attributes:
        source: ``demo``, a video, an image, a folder of images, or a camera such as ``/dev/video0`` or ``0``.
        duration: length of the recording, s.
        out: output folder.
        width: width of the images, px.
        height: height of the images, px.
        rate: frames per second.
        smoothing: whether to run the smoothing node.
        launch: whether to use ``ros2 launch``; None = if ROS is sourced.
        composed: whether smoothing_node runs in the process of face_node.
        raw: whether to record face_mesh_raw as well, which is then published for the recorder only.
    """

    source: str = "demo"
    duration: float = 15.0
    out: Path = Path("out")
    width: int = 640
    height: int = 480
    rate: float = 30.0
    smoothing: bool = True
    launch: bool | None = None
    composed: bool = True
    raw: bool = True


def record(options: DemoOptions, folder: Path) -> tuple[Recording, dict[str, float]]:
    """Run the graph and record it.

    Returns:
        The recording, and the CPU usage by process, percent of one core.

    Raises:
        TddfaError: a process exited early, or no face arrived in time.
    """
    with Graph(private_environment()) as graph:
        wanted = {"output": str(folder), "duration": options.duration, "raw": options.raw}
        command = NodeProcess("recorder", wanted, subpackage="demo").command()
        recorder = graph.start("recorder", command, stdout=subprocess.PIPE)
        _start_nodes(graph, options)
        cpu = _follow(graph, recorder, options)
    return load_recording(folder), cpu


def run(options: DemoOptions) -> dict[str, Any]:
    """Record, render and report; return the numbers of the report."""
    _check_source(options.source)
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TddfaError(f"cannot write to {options.out}: {error.strerror}") from error
    folder = options.out / "recording"
    try:
        recording, cpu = record(options, folder)
        photo = demo_photo() if options.source == "demo" else None
        motion = photo_motion(recording, photo) if photo is not None else None
        numbers = measure(recording, cpu, motion)
        rate = numbers["frame_rate"] or options.rate
        count, still = write_video(recording, options.out / "demo.mp4", rate)
        written = [options.out / "demo.mp4"]
        numbers["video_frames"] = count
        model = MorphableModel.load(default_store().path("tddfa-head"))
        if still is not None:
            write_image(options.out / "demo.png", poster(recording, still, model))
            written.append(options.out / "demo.png")
        written += write_textured_mesh(recording, options.out / "face.obj", model)
        text = to_text(numbers, options.source)
        write_atomically(options.out / "report.txt", text.encode())
        write_atomically(options.out / "report.json", f"{json.dumps(numbers, indent=2)}\n".encode())
        written += [options.out / "report.txt", options.out / "report.json"]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("\n" + text + "\nwritten:")
    for path in written:
        print(f"  {path}")
    return numbers


def launch_arguments(options: DemoOptions) -> dict[str, Any]:
    """Convert the options of the demo to launch arguments."""
    webcam = options.source.isdigit() or options.source.startswith("/dev/")
    kind = "demo" if options.source == "demo" else "webcam" if webcam else "file"
    return {
        "source": kind,
        "source_path": "" if kind == "demo" else options.source,
        "smoothing": "" if options.smoothing else "none",
        "composed": options.composed,
        "width": options.width,
        "height": options.height,
        "rate": options.rate,
    }


def _start_nodes(graph: Graph, options: DemoOptions) -> None:
    if can_launch() if options.launch is None else options.launch:
        graph.start("ros2 launch", launch_command(launch_arguments(options)))
        return
    params_file = resource_dir() / "config" / "face.yaml"
    source = {
        "source": options.source,
        "width": options.width,
        "height": options.height,
        "rate": options.rate,
    }
    nodes = [NodeProcess("image_source_node", source, params_file)]
    if options.smoothing and options.composed:
        flags = ["--no-visualization"]
        nodes.append(NodeProcess("face_system", {}, params_file, arguments=flags))
    else:
        own = {"publish_face_mesh": not options.smoothing}
        nodes.append(NodeProcess("face_node", own, params_file))
        nodes += [NodeProcess("smoothing_node", {}, params_file)] if options.smoothing else []
    for node in nodes:
        graph.start(node.name, node.command())


def _follow(
    graph: Graph, recorder: subprocess.Popen[bytes], options: DemoOptions
) -> dict[str, float]:
    """Follow the recorder's status until it is done; return the CPU usage by process during the recording, percent of one core."""
    status: dict[str, Any] = {"state": "waiting"}
    reader = threading.Thread(target=_read_status, args=(recorder, status), daemon=True)
    reader.start()
    begin = time.monotonic()
    before: dict[str, float] = {}
    recording_since = 0.0
    progress: tqdm[Any] = tqdm(
        total=options.duration,
        desc="starting the nodes",
        unit="s",
        bar_format="{desc}: {n:.1f}/{total:.0f} s {bar}{postfix}",
        disable=None,
    )
    with progress:
        while status["state"] != "done":
            time.sleep(0.1)
            graph.check()
            now = time.monotonic()
            if status["state"] == "recording" and not before:
                before, recording_since = graph.cpu_seconds(), now
                progress.set_description("recording")
            if not before and now - begin > WARM_UP_LIMIT:
                raise TddfaError(
                    f"no face arrived on /face_mesh within {WARM_UP_LIMIT:.0f} s from {options.source}"
                )
            if before and now - recording_since > options.duration + 20:
                raise TddfaError("the recorder did not finish its recording in time")
            if before:
                after, span = graph.cpu_seconds(), max(now - recording_since, 0.1)
                progress.n = min(status["seconds"], options.duration)
                progress.set_postfix_str(f"{status['images']} images, {status['meshes']} meshes")
    return {name: 100 * (after[name] - before.get(name, 0.0)) / span for name in after}


def _read_status(recorder: subprocess.Popen[bytes], status: dict[str, Any]) -> None:
    assert recorder.stdout is not None
    for line in recorder.stdout:
        try:
            status.update(json.loads(line))
        except ValueError:
            continue  # a log line of rclpy


def _check_source(source: str) -> None:
    if source != "demo" and not source.isdigit() and not Path(source).exists():
        raise TddfaError(f"there is no image, video, folder or camera at {source}")


def parse(arguments: Sequence[str] | None = None) -> DemoOptions:
    """Parse the command line."""
    default = DemoOptions()
    parser = argparse.ArgumentParser(
        prog="python -m tddfa_ros.demo",
        description="Run and record the ROS graph on an image, video or camera, then render a video and a report.",
    )
    parser.add_argument("--source", default=default.source, help="demo, PATH, /dev/video0 or 0")
    parser.add_argument(
        "--duration", type=float, default=default.duration, help="length of the recording, seconds"
    )
    parser.add_argument("--out", type=Path, default=default.out, help="output folder")
    parser.add_argument("--width", type=int, default=default.width)
    parser.add_argument("--height", type=int, default=default.height)
    parser.add_argument("--rate", type=float, default=default.rate, help="frames per second")
    parser.add_argument("--no-smoothing", action="store_true", help="run without smoothing_node")
    parser.add_argument(
        "--no-launch", action="store_true", help="do not use ros2 launch, even if ROS is sourced"
    )
    chosen = parser.parse_args(arguments)
    if not 1 <= chosen.duration <= 600:
        raise TddfaError("--duration must be between 1 and 600 seconds")
    if chosen.width < 64 or chosen.height < 64 or not 1 <= chosen.rate <= 240:
        raise TddfaError("--width and --height must be at least 64, --rate between 1 and 240")
    return DemoOptions(
        source=chosen.source,
        duration=chosen.duration,
        out=chosen.out,
        width=chosen.width,
        height=chosen.height,
        rate=chosen.rate,
        smoothing=not chosen.no_smoothing,
        launch=False if chosen.no_launch else None,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; return the exit code: 0 = success, 2 = error, 130 = interrupted."""
    try:
        run(parse(arguments))
    except TddfaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
