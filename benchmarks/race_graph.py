"""Graph rows of `race.py`: latency from the stamp of an image to the arrival of its faces in another process, at 30 Hz."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from scenes import scene

from tddfa_ros.demo.graph import Graph, NodeProcess, can_launch, launch_command, private_environment
from tddfa_ros.errors import TddfaError
from tddfa_ros.model_store.resources import resource_dir

HERE = Path(__file__).resolve().parent
_LIMIT_S = 120.0


def run_graph(
    race: Any, names: Sequence[str], options: argparse.Namespace, environment: Mapping[str, str]
) -> None:
    """Measure graphs one after the other, the contestants in turns."""
    with tempfile.TemporaryDirectory() as folder:
        for count in (1, 5):
            photo = Path(folder) / f"{count}.png"
            cv2.imwrite(str(photo), scene(count))
            faces = "1 face" if count == 1 else f"{count} faces"
            dense = f"graph at 30 Hz, {faces}, dense mesh and smoothing"
            light = f"graph at 30 Hz, {faces}, landmarks"
            for row, name, topic in (
                (dense, "ours", "face_mesh"),
                (dense, "mediapipe", "face_mesh"),
                (light, "ours", "face_landmarks"),
            ):
                if name not in names:
                    continue
                print(f"{row}: {name}", file=sys.stderr, flush=True)
                try:
                    answer = _latency(name, topic, photo, count, options, environment)
                except (TddfaError, ImportError) as error:
                    answer = {"error": str(error)}
                race.add(row, name, answer)


def _latency(
    name: str,
    topic: str,
    photo: Path,
    count: int,
    options: argparse.Namespace,
    environment: Mapping[str, str],
) -> dict[str, Any]:
    script = str(HERE / "race_nodes.py")
    seconds = options.graph_seconds
    source = {"source": str(photo), "width": 640, "height": 480, "rate": 30.0}
    # The contestants' path, and a ROS domain of their own.
    own = {**environment, **{k: v for k, v in private_environment().items() if "ROS" in k}}
    with Graph(own) as graph:
        listener = graph.start(
            "listener",
            [sys.executable, script, "listener", "--topic", topic, "--seconds", str(seconds)],
            stdout=subprocess.PIPE,
        )
        if name == "ours" and can_launch():
            graph.start("ours", launch_command({**source, "rviz": False}))
        else:
            params = resource_dir() / "config" / "face.yaml"
            nodes = [NodeProcess("image_source_node", source, params)]
            if name == "ours":
                nodes += [
                    NodeProcess("face_node", {"publish_face_mesh": False}, params),
                    NodeProcess("smoothing_node", {}, params),
                ]
            for node in nodes:
                graph.start(node.name, node.command())
        if name == "mediapipe":
            arguments = ["--model", str(options.model), "--faces", str(count)]
            graph.start("mediapipe", [sys.executable, script, "mediapipe", *arguments])
        begin = time.monotonic()
        before: dict[str, float] = {}
        while listener.poll() is None:
            time.sleep(0.2)
            graph.check()
            if time.monotonic() - begin > _LIMIT_S + seconds:
                raise TddfaError(f"no face arrived on {topic} in time")
            before = before or (graph.cpu_seconds() if time.monotonic() - begin > 8 else {})
            begun = begin + 8
        after, span = graph.cpu_seconds(), max(time.monotonic() - begun, 0.1)
        assert listener.stdout is not None
        found = json.loads(listener.stdout.read().splitlines()[-1])
    latencies = found["latencies"]
    if not latencies or max(found["faces"]) < count:
        raise TddfaError(f"{max(found['faces'], default=0)} of {count} faces arrived on {topic}")
    skipped = ("listener", "image_source_node")
    used = sum(after[k] - before.get(k, 0.0) for k in after if k not in skipped)
    return {
        "p50": float(np.median(latencies)),
        "p99": float(np.percentile(latencies, 99)),
        "cpu": 100 * used / span,
    }
