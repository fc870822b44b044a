"""Generate docs/rviz.jpg: a screenshot of RViz with ``config/face.rviz`` on the topics of the demo.

    python scripts/draw_rviz.py      # writes docs/rviz.jpg

Runs ``face_system --source`` (ROS 2) and records one message per topic. RViz has no wheel, so the window is that of Debian's rviz
(ROS 1, same display types): the messages are published again, field by field, to a ROS 1 master. Needs a sourced ROS 2 or
``. .setup/env.sh``, and ``apt install rviz python3-rospy python3-visualization-msgs python3-tf2-msgs xvfb imagemagick``.
"""

from __future__ import annotations

import json
import os
import pickle
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "rviz.jpg"
TOPICS = {
    "/face_markers": "visualization_msgs/MarkerArray",
    "/face_overlay": "sensor_msgs/Image",
    "/face_points": "sensor_msgs/PointCloud2",
    "/tf": "tf2_msgs/TFMessage",
    "/tf_static": "tf2_msgs/TFMessage",
}
SCREEN = (1500, 900)
WIDTH = 1100  # px, of the JPEG file
WARM_UP = 6.0  # s of the demo before messages are recorded
RENDERING = 20.0  # s, for software rendering to show all displays


def fields(message: Any) -> Any:
    """Convert a ROS 2 message to dictionaries, lists and plain values."""
    if hasattr(message, "get_fields_and_field_types"):
        return {
            name: fields(getattr(message, name)) for name in message.get_fields_and_field_types()
        }
    if isinstance(message, bytes | bytearray) or getattr(message, "typecode", "") == "B":
        return bytes(message)
    return [fields(item) for item in message] if isinstance(message, list) else message


def record() -> dict[str, Any]:
    """Run the demo and return one message of each topic as dictionaries."""
    import importlib

    os.environ |= {"ROS_DOMAIN_ID": "77", "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    import rclpy
    from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_profile_sensor_data

    from tddfa_ros.nodes.face_publisher import LATCHED_QOS

    system = subprocess.Popen([sys.executable, "-m", "tddfa_ros.nodes.face_system", "--source"])
    found: dict[str, Any] = {}
    start = time.monotonic()

    def keep(topic: str, message: Any) -> None:
        if topic == "/tf_static" or time.monotonic() - start > WARM_UP:
            found[topic] = message

    try:
        with rclpy.init():
            node = rclpy.create_node("draw_rviz")
            for topic, kind in TOPICS.items():
                package, name = kind.split("/")
                qos: QoSProfile = LATCHED_QOS if topic == "/tf_static" else qos_profile_sensor_data
                if topic == "/tf":
                    qos = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
                message_type = getattr(importlib.import_module(f"{package}.msg"), name)
                node.create_subscription(message_type, topic, lambda m, t=topic: keep(t, m), qos)
            while len(found) < len(TOPICS):
                if time.monotonic() - start > 10 * WARM_UP:
                    raise SystemExit(f"no message on {', '.join(sorted(TOPICS.keys() - found))}")
                rclpy.spin_once(node, timeout_sec=0.1)
    finally:
        system.terminate()
        system.wait()
    return {topic: fields(message) for topic, message in found.items()}


def ros1_config() -> dict[str, Any]:
    """Return ``config/face.rviz`` with the class and property names of ROS 1."""
    import yaml

    text = (ROOT / "config" / "face.rviz").read_text(encoding="utf-8")
    text = text.replace("rviz_default_plugins/", "rviz/").replace("rviz_common/", "rviz/")
    config: dict[str, Any] = yaml.safe_load(text)
    names = {"rviz/Image": "Image Topic", "rviz/MarkerArray": "Marker Topic"}
    for display in config["Visualization Manager"]["Displays"]:
        if "Topic" in display:
            topic = display.pop("Topic")["Value"]
            display[names.get(display["Class"], "Topic")] = topic
    config["Window Geometry"] |= {"X": 0, "Y": 0, "Width": SCREEN[0], "Height": SCREEN[1]}
    return config


def fill(message: Any, values: Mapping[str, Any]) -> Any:
    """Set the fields of a ROS 1 message from those of a ROS 2 message; fields that ROS 1 lacks are skipped."""
    import roslib.message

    renamed = {"sec": "secs", "nanosec": "nsecs"}
    for name, value in values.items():
        name = renamed.get(name, name)
        if not hasattr(message, name):
            continue
        if isinstance(value, Mapping):
            fill(getattr(message, name), value)
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            kind = message._slot_types[message.__slots__.index(name)].removesuffix("[]")
            item_type = roslib.message.get_message_class(kind)
            setattr(message, name, [fill(item_type(), item) for item in value])
        else:
            setattr(message, name, value)
    return message


def publish(path: Path) -> None:
    """Publish recorded messages at 10 Hz to the ROS 1 master, with current stamps; runs in the interpreter of ROS 1."""
    import roslib.message
    import rospy

    rospy.init_node("draw_rviz", disable_signals=True)
    recorded = pickle.loads(path.read_bytes())
    recorded["/tf"]["transforms"] += recorded.pop("/tf_static")["transforms"]
    topics = {}
    for topic, values in recorded.items():
        kind = roslib.message.get_message_class(TOPICS[topic])
        topics[topic] = (rospy.Publisher(topic, kind, queue_size=2), fill(kind(), values))
    while not rospy.is_shutdown():
        now = rospy.Time.now()
        for publisher, message in topics.values():
            parts = getattr(message, "markers", getattr(message, "transforms", [message]))
            for part in parts:
                part.header.stamp = now
            publisher.publish(message)
        rospy.sleep(0.1)


def main() -> None:
    """Record the demo, show it in RViz on a virtual display, and write the screenshot."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        messages, config, shot = home / "messages.pkl", home / "face.rviz", home / "screen.png"
        messages.write_bytes(pickle.dumps(record()))
        config.write_text(json.dumps(ros1_config()), encoding="utf-8")  # JSON is YAML
        kept = ("PATH", "LANG")  # nothing of ROS 2
        environment = {name: os.environ[name] for name in kept if name in os.environ} | {
            "HOME": folder,
            "ROS_MASTER_URI": f"http://localhost:{port}",
            "ROS_HOSTNAME": "localhost",
            "LIBGL_ALWAYS_SOFTWARE": "1",
        }
        shell = f"""
            set -e
            trap 'kill $(jobs -p) 2>/dev/null' EXIT
            /usr/bin/python3 -c 'import rosmaster; rosmaster.rosmaster_main(["--core", "-p", "{port}"])' &
            sleep 3
            /usr/bin/python3 {__file__} --publish {messages} &
            /usr/bin/rviz -d {config} &
            sleep {RENDERING}
            import -window root {shot}
        """
        screen = f"-screen 0 {SCREEN[0]}x{SCREEN[1]}x24"
        command = ["xvfb-run", "-a", "-s", screen, "bash", "-c", shell]
        log = subprocess.run(command, env=environment, capture_output=True, text=True)
        if not shot.is_file():
            raise SystemExit(f"RViz was not shown:\n{log.stdout}{log.stderr}")
        import cv2

        image = cv2.imread(str(shot))
        size = (WIDTH, round(WIDTH * SCREEN[1] / SCREEN[0]))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(TARGET), small, [cv2.IMWRITE_JPEG_QUALITY, 85])
    print(f"wrote {TARGET}: {TARGET.stat().st_size / 1000:.0f} kB", file=sys.stderr)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--publish"]:
        publish(Path(sys.argv[2]))
    else:
        main()
