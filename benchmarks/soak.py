"""Run the ROS graph for a long time, with faces that come and go, then with faults; report memory and recovery.

    python benchmarks/soak.py                 # 30 minutes; prints Markdown
    python benchmarks/soak.py --minutes 1     # a short one

The exit code is 1 if a process has grown by more than 2 % in memory or has gained threads or file descriptors in the second half
of the steady part (of 5 minutes or more), or if the graph did not recover from a fault.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

os.environ["ROS_DOMAIN_ID"] = str(random.SystemRandom().randint(1, 101))
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Image

from tddfa_msgs.msg import FaceMeshArray
from tddfa_ros.config import RegressionConfig
from tddfa_ros.model_store.store import default_store
from tddfa_ros.types import ImageBGR

IDENTITIES = 10
PATIENCE = 60.0
"""Time in which the graph must have recovered from a fault, seconds."""

GROWTH = 0.02
JUDGED_MINUTES = 5.0
"""Memory is not judged in shorter runs: the allocators have not settled."""
SHARED_MEMORY = Path("/dev/shm")


@dataclass
class Usage:
    """Samples of one process: (resident memory in MB, threads, file descriptors)."""

    samples: list[tuple[float, int, int]] = field(default_factory=list)

    def add(self, pid: int) -> None:
        """Take a sample."""
        status = Path(f"/proc/{pid}/status").read_text()
        memory = re.search(r"VmRSS:\s+(\d+)", status)
        threads = re.search(r"Threads:\s+(\d+)", status)
        assert memory is not None
        assert threads is not None
        files = len(os.listdir(f"/proc/{pid}/fd"))
        self.samples.append((int(memory[1]) / 1024, int(threads[1]), files))

    def halves(self) -> tuple[np.ndarray, np.ndarray]:
        """Medians of the third and the last quarter of the samples; the first half warms up."""
        values = np.array(self.samples)
        middle, late = len(values) // 2, len(values) * 3 // 4
        return np.median(values[middle:late], axis=0), np.median(values[late:], axis=0)


class Soak:
    """The graph in processes, and a camera and a subscriber in this one.

    Args:
        portrait: image with one face, from which the identities are made.
        folder: for the logs and for a copy of the network.
        rate: frames per second of the camera.
    """

    def __init__(self, portrait: ImageBGR, folder: Path, rate: float) -> None:
        self.folder = folder
        self.rate = rate
        self.faces = [_identity(portrait, i) for i in range(IDENTITIES)]
        self.network = folder / "network.onnx"
        shutil.copy(default_store().path(RegressionConfig().model), self.network)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.meshes = 0
        self.ids: set[str] = set()
        self.warnings: dict[str, str] = {}
        self.sending = True
        self._sent = 0
        rclpy.init(args=[])
        self.node = rclpy.create_node("soak")
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self._images = self.node.create_publisher(Image, "image_raw", 1)
        self.node.create_subscription(FaceMeshArray, "face_mesh", self._on_meshes, 5)
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self.node.create_timer(1 / rate, self._send)

    def start(self, name: str) -> None:
        """Start a node process."""
        parameters = (
            {"publish_face_mesh": "false", "regression.model": str(self.network)}
            if name == "face_node"
            else {}
        )
        command = [sys.executable, "-m", f"tddfa_ros.nodes.{name}", "--ros-args"]
        for key, value in parameters.items():
            command += ["-p", f"{key}:={value}"]
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(command, stdout=log, stderr=log)

    def spin(self, seconds: float) -> None:
        """Run the camera and the subscriber."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.05)

    def until(self, condition: Callable[[], object]) -> float | None:
        """Run until a condition holds; return the time it took, s, or None after :data:`PATIENCE`."""
        start = time.monotonic()
        while not condition():
            if time.monotonic() - start > PATIENCE:
                return None
            self.executor.spin_once(timeout_sec=0.05)
        return time.monotonic() - start

    def until_meshes(self) -> float | None:
        """Run until three more messages with faces have arrived."""
        wanted = self.meshes + 3
        return self.until(lambda: self.meshes >= wanted)

    def close(self) -> None:
        """End all processes."""
        for process in self.processes.values():
            process.send_signal(signal.SIGINT)
        for process in self.processes.values():
            process.wait(20)
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown()

    def publish(self, image: ImageBGR, **fields: Any) -> None:
        """Publish an image, with some fields of its message replaced."""
        message = Image(encoding="bgr8", height=image.shape[0], width=image.shape[1])
        message.step = 3 * image.shape[1]
        message.data = array("B", image.tobytes())
        message.header.stamp = self.node.get_clock().now().to_msg()
        message.header.frame_id = "camera_optical_frame"
        for name, value in fields.items():
            setattr(message, name, value)
        self._images.publish(message)

    def _send(self) -> None:
        """Show the next frame: each identity for two seconds, then nobody for a second."""
        if not self.sending:
            return
        seconds = self._sent / self.rate
        self._sent += 1
        face = self.faces[int(seconds / 3) % IDENTITIES]
        self.publish(face if seconds % 3 < 2 else np.zeros_like(face))

    def _on_meshes(self, message: FaceMeshArray) -> None:
        self.meshes += bool(message.faces)
        self.ids |= {face.id for face in message.faces}

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self.warnings[status.name] = "" if status.level == b"\0" else status.message


def _identity(portrait: ImageBGR, number: int) -> ImageBGR:
    """Make another face of a portrait: mirrored, of another size, place and tint."""
    image = portrait if number % 2 else np.ascontiguousarray(portrait[:, ::-1])
    size = 240 + 24 * number
    face = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    canvas = np.full((480, 640, 3), 20 * number, np.uint8)
    x = (640 - size) * number // IDENTITIES
    canvas[: min(size, 480), x : x + size] = face[:480]
    tint = np.array([0.8 + 0.04 * number, 1.0, 1.2 - 0.04 * number])
    return np.clip(canvas * tint, 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Outcome:
    """A fault: what a user sees, and the time until meshes arrive again, s, from its end; None = never."""

    fault: str
    seen: str
    recovery: float | None


def kill(soak: Soak, name: str, watcher: str, sentence: str) -> Outcome:
    """Kill a node, wait for the warning of another one, and start it again as launch does."""
    soak.processes[name].kill()
    soak.processes[name].wait()
    soak.until(lambda: sentence in soak.warnings.get(watcher, ""))
    seen = f"{watcher}: {soak.warnings.get(watcher) or 'nothing'}"
    soak.start(name)
    return Outcome(f"`{name}` killed (kill -9) and started again", seen, soak.until_meshes())


def unplug(soak: Soak) -> Outcome:
    """Stop the camera for some seconds."""
    soak.sending = False
    soak.until(lambda: "image_raw" in soak.warnings.get("face_node", ""))
    seen = soak.warnings.get("face_node", "") or "nothing"
    soak.sending = True
    return Outcome("camera stops and comes back", f"face_node: {seen}", soak.until_meshes())


def fuzz(soak: Soak, count: int) -> Outcome:
    """Send damaged image messages."""
    chance = random.Random(0)
    soak.sending = False
    image = soak.faces[0]
    for _ in range(count):
        soak.publish(
            image[: chance.randint(1, 8)],
            encoding=chance.choice(["bgr8", "mono16", "yuv422", "bayer_rggb8", "", "\0", "32FC4"]),
            height=chance.choice([0, 1, 480, 2**32 - 1]),
            step=chance.choice([0, 1, 1920, 2**32 - 1]),
        )
        soak.spin(0.02)
    alive = soak.processes["face_node"].poll() is None
    soak.until(lambda: soak.warnings.get("face_node"))
    seen = f"face_node: {soak.warnings.get('face_node') or 'nothing'}" if alive else "it ended"
    soak.sending = True
    return Outcome(f"{count} damaged image messages", seen, soak.until_meshes())


def overwrite_network(soak: Soak) -> Outcome:
    """Damage the network file of the running node, then start the node again with it."""
    soak.network.write_bytes(b"not a network")
    recovery = soak.until_meshes()
    face_node = soak.processes["face_node"]
    face_node.send_signal(signal.SIGINT)
    face_node.wait(20)
    log = soak.folder / "face_node.log"
    known = log.stat().st_size
    soak.start("face_node")
    code = soak.processes["face_node"].wait(60)
    said = log.read_text(errors="replace")[known:].strip().splitlines()
    seen = f"nothing while it runs; started again, it ends with code {code}: {said[-1] if said else ''}"
    return Outcome("network file overwritten", seen.replace(str(soak.folder), "..."), recovery)


def segments() -> int:
    """Return the number of shared-memory files of Fast DDS that no process has open."""
    opened = {
        Path(line.split()[-1]).name
        for maps in Path("/proc").glob("[0-9]*/maps")
        for line in _lines(maps)
        if str(SHARED_MEMORY) in line
    }
    return sum(
        re.fullmatch(r"fast(?:dds|rtps)_[0-9a-f]+", path.name) is not None
        and path.name not in opened
        for path in SHARED_MEMORY.glob("fast*")
    )


def _lines(path: Path) -> Sequence[str]:
    try:
        return path.read_text().splitlines()
    except OSError:  # the process has ended
        return []


def main() -> int:
    """Run the soak and print the report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=30.0, help="length of the steady part")
    parser.add_argument("--rate", type=float, default=15.0, help="frames per second of the camera")
    parser.add_argument("--fuzz", type=int, default=10_000, help="number of damaged messages")
    parser.add_argument("--image", type=Path, help="portrait; default: scikit-image's astronaut")
    options = parser.parse_args()
    if options.image is None:
        import skimage

        options.image = Path(skimage.__file__).parent / "data" / "astronaut.png"
    portrait = cv2.imread(str(options.image))
    if portrait is None:
        parser.error(f"{options.image} cannot be read as an image")
    with tempfile.TemporaryDirectory() as folder:
        face = portrait[:400, 30:430] if portrait.shape[0] == 512 else portrait
        soak = Soak(face, Path(folder), options.rate)
        try:
            return _report(soak, options.minutes, options.fuzz)
        finally:
            soak.close()


def _report(soak: Soak, minutes: float, count: int) -> int:
    for name in ("face_node", "smoothing_node"):
        soak.start(name)
    failed = soak.until_meshes() is None
    usage = {name: Usage() for name in soak.processes}
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        soak.spin(min(max(minutes, 0.1), 5.0))
        for name, process in soak.processes.items():
            usage[name].add(process.pid)
    print(f"{minutes:g} minutes, {soak.meshes} messages with faces, {len(soak.ids)} IDs\n")
    print("| node | memory, MB | growth | threads | file descriptors |\n|---|---|---|---|---|")
    for name, samples in usage.items():
        before, after = samples.halves()
        growth = after[0] / before[0] - 1
        grown = growth > GROWTH or after[1] > before[1] or after[2] > before[2]
        failed |= bool(grown) and minutes >= JUDGED_MINUTES
        print(
            f"| `{name}` | {after[0]:.0f} | {100 * growth:+.1f} % | {after[1]:.0f} | {after[2]:.0f} |"
        )
    stale = segments()
    outcomes = [
        kill(soak, "face_node", "smoothing_node", "face_node is not running"),
        kill(soak, "smoothing_node", "face_node", "smoothing_node is not running"),
        unplug(soak),
        fuzz(soak, count),
        overwrite_network(soak),
    ]
    print("\n| fault | what a user sees | recovery |\n|---|---|---|")
    for outcome in outcomes:
        failed |= outcome.recovery is None
        time_ = "never" if outcome.recovery is None else f"{outcome.recovery:.1f} s"
        print(f"| {outcome.fault} | {outcome.seen} | {time_} |")
    print(
        f"\n{segments() - stale} shared-memory segments of killed nodes are left in {SHARED_MEMORY}"
    )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
