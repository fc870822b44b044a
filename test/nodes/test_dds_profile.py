"""Nodes started one by one use the shared-memory segments of ``config/fastdds.xml``."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: run through `make test`")
pytest.importorskip("skimage", reason="scikit-image provides the demo image")

pytestmark = pytest.mark.ros

SEGMENT = 32 * 2**20
NAMES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
START = "from tddfa_ros.nodes.main import image_source_node; image_source_node()"


def largest_segment(pid: int) -> int:
    """Size of the largest shared-memory segment of Fast DDS that a process has mapped, bytes."""
    maps = Path(f"/proc/{pid}/maps").read_text()
    found = re.findall(r"(?m)^([0-9a-f]+)-([0-9a-f]+) .*/dev/shm/fast(?:dds|rtps)_[0-9a-f]+$", maps)
    return max((int(end, 16) - int(start, 16) for start, end in found), default=0)


def test_lease_of_killed_processes_is_short() -> None:
    """Until its lease ends, reliable publishers wait for a killed subscriber: 20 s with the defaults of Fast DDS."""
    root = ElementTree.parse(Path(__file__).resolve().parents[2] / "config/fastdds.xml").getroot()

    def seconds(name: str) -> float:
        found = next(element for element in root.iter() if element.tag.endswith(f"}}{name}"))
        values = {part.tag.rpartition("}")[2]: float(part.text or 0) for part in found}
        return values.get("sec", 0.0) + values.get("nanosec", 0.0) / 1e9

    assert seconds("leaseDuration") <= 5
    assert seconds("leaseAnnouncement") <= seconds("leaseDuration") / 4, "some may be lost"


@pytest.mark.parametrize(
    ("own", "large"), [({}, True), ({"FASTDDS_BUILTIN_TRANSPORTS": "DEFAULT"}, False)]
)
def test_node_uses_large_segments_unless_configured(own: dict[str, str], large: bool) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in NAMES} | own
    process = subprocess.Popen([sys.executable, "-c", START], env=environment)
    try:
        end = time.monotonic() + 40
        while largest_segment(process.pid) == 0:
            assert time.monotonic() < end
            assert process.poll() is None
            time.sleep(0.2)
        assert (largest_segment(process.pid) >= SEGMENT) == large
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
