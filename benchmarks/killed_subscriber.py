"""Measure what subscribers that are killed (kill -9) cost the other subscribers of a graph.

    python benchmarks/killed_subscriber.py                                  # prints Markdown
    python benchmarks/killed_subscriber.py --profile mine.xml --killed 1

A publisher sends the face_mesh of one face (195 kB) and its face_landmarks at 30 Hz, one after the other as the nodes do. Processes
that subscribe to face_mesh are killed; the rate of face_landmarks at another subscriber shows how long the publisher waits for them.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from array import array
from collections.abc import Callable
from pathlib import Path

os.environ["ROS_DOMAIN_ID"] = os.environ.get(
    "KILLED_SUBSCRIBER_DOMAIN", str(random.SystemRandom().randint(1, 101))
)
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"

import rclpy
from rclpy.node import Node

from tddfa_msgs.msg import FaceLandmarks, FaceLandmarksArray, FaceMesh, FaceMeshArray
from tddfa_ros.nodes.face_publisher import OUTPUT_QOS

RATE = 30.0
VERTICES = 16_247
BEFORE, AFTER = 5, 25
"""Seconds of the measurement before and after the kill."""

PROFILE = Path(__file__).resolve().parents[1] / "config" / "fastdds.xml"
VARIABLE = "FASTDDS_DEFAULT_PROFILES_FILE"
if os.environ.get("ROS_DISTRO") in ("humble", "iron", "jazzy"):
    VARIABLE = "FASTRTPS_DEFAULT_PROFILES_FILE"


def publish() -> None:
    """Publish both topics at 30 Hz; what cannot be published in time is left out."""
    node = rclpy.create_node("publisher")
    meshes = node.create_publisher(FaceMeshArray, "face_mesh", OUTPUT_QOS)
    landmarks = node.create_publisher(FaceLandmarksArray, "face_landmarks", OUTPUT_QOS)
    mesh = FaceMeshArray(faces=[FaceMesh(vertices=array("f", bytes(12 * VERTICES)))])
    light = FaceLandmarksArray(faces=[FaceLandmarks()])
    due = time.monotonic()
    while True:
        landmarks.publish(light)
        meshes.publish(mesh)
        due = max(due + 1 / RATE, time.monotonic())
        time.sleep(max(due - time.monotonic(), 0.0))


def subscribe(topic: str, kind: type, on_message: Callable[[object], None]) -> Node:
    """Create a node with one subscription."""
    node = rclpy.create_node(f"{topic}_reader_{os.getpid()}")
    node.create_subscription(kind, topic, on_message, OUTPUT_QOS)
    return node


def run(profile: Path, killed: int) -> list[int]:
    """Return the number of face_landmarks messages that arrive in each second.

    Args:
        profile: Fast DDS profile of all processes; an empty path = the defaults of Fast DDS.
        killed: number of subscribers of face_mesh that are killed after :data:`BEFORE` seconds.
    """
    environment = {**os.environ, "KILLED_SUBSCRIBER_DOMAIN": os.environ["ROS_DOMAIN_ID"]}
    environment[VARIABLE] = str(profile)

    def start(role: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, __file__, "--role", role]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)

    publisher = start("publisher")
    victims = [start("victim") for _ in range(killed)]
    witness = start("witness")
    try:
        for process in (*victims, witness):
            assert process.stdout is not None
            assert process.stdout.readline() == b"first message\n"
        time.sleep(BEFORE)
        for victim in victims:
            victim.kill()
        output, _ = witness.communicate(timeout=BEFORE + AFTER + 30)
        return [int(word) for word in output.split()]
    finally:
        for process in (publisher, witness, *victims):
            process.send_signal(signal.SIGKILL)
            process.wait()


def play(role: str) -> None:
    """Run one of the processes."""
    rclpy.init(args=[])
    if role == "publisher":
        publish()
    arrivals: list[float] = []

    def on_message(_: object) -> None:
        arrivals.append(time.monotonic())
        if len(arrivals) == 1:
            print("first message", flush=True)

    light = role == "witness"
    topic, kind = ("face_landmarks", FaceLandmarksArray) if light else ("face_mesh", FaceMeshArray)
    node = subscribe(topic, kind, on_message)
    while not light or not arrivals or arrivals[-1] - arrivals[0] < BEFORE + AFTER:
        rclpy.spin_once(node, timeout_sec=1.0)
    seconds = [int(moment - arrivals[0]) for moment in arrivals]
    print(*(seconds.count(second) for second in range(BEFORE + AFTER)))


def main() -> int:
    """Measure the given profiles."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", type=Path, action="append", help="Fast DDS profile; repeatable")  # fmt: skip
    parser.add_argument("--killed", type=int, default=5, help="number of killed subscribers")
    parser.add_argument("--role", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role:
        play(options.role)
        return 0
    print("| profile | before, Hz | after the kill, Hz: mean of 20 s | lowest second | seconds below 25 Hz |")  # fmt: skip
    print("|---|---:|---:|---:|---:|")
    for profile in options.profile or [PROFILE]:
        counts = run(profile, options.killed)
        after = counts[BEFORE : BEFORE + 20]
        low = sum(count < 25 for count in counts[BEFORE:])
        print(f"| {profile.name} | {sum(counts[1:BEFORE]) / (BEFORE - 1):.1f} | {sum(after) / 20:.1f} | {min(after)} | {low} |", flush=True)  # fmt: skip
        print(counts, file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
