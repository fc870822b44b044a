"""Console scripts of the nodes: install signal handlers, then import and run the node.

Importing NumPy, OpenCV, ONNX Runtime and rclpy takes about a second. Without these handlers a SIGINT during the imports, for
example from a launch file, would end in a traceback. Nothing heavy may be imported before they are installed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any


def face_node() -> None:
    """Console script ``face_node``."""
    _start("face_node")


def smoothing_node() -> None:
    """Console script ``smoothing_node``."""
    _start("smoothing_node")


def visualization_node() -> None:
    """Console script ``visualization_node``."""
    _start("visualization_node")


def avatar_node() -> None:
    """Console script ``avatar_node``."""
    _start("avatar_node")


def hri_node() -> None:
    """Console script ``hri_node``."""
    _start("hri_node")


def image_source_node() -> None:
    """Console script ``image_source_node``."""
    _start("image_source_node")


def face_system() -> None:
    """Console script ``face_system``."""
    _start("face_system")


def process_bag() -> None:
    """Console script ``process_bag``."""
    import_module("tddfa_ros.nodes.process_bag").main()


def _start(module: str) -> None:
    with contextlib.suppress(ValueError):  # not in the main thread
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _leave)
    missing = [name for name in ("rclpy", "tddfa_msgs") if find_spec(name) is None]
    if missing:
        print(
            f"error: {module} needs ROS 2, and this Python has no {' and no '.join(missing)}: source the workspace "
            "(source install/setup.bash), or run 'make setup' and '. .setup/env.sh' in a clone",
            file=sys.stderr,
        )
        sys.exit(2)
    _set_dds_profile()
    import_module(f"tddfa_ros.nodes.{module}").main()


def _set_dds_profile() -> None:
    """Give Fast DDS the profile with large shared-memory segments, unless the user has chosen a profile or another middleware.

    With its default segments raw 1080p images do not arrive. Launch files and shells that set the profile come first.
    """
    # Fast DDS 3 (since Kilted) reads the first name and warns about the second; earlier versions read only the second.
    names = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
    if any(name in os.environ for name in (*names, "FASTDDS_BUILTIN_TRANSPORTS")):
        return
    if "fastrtps" not in os.environ.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp"):
        return
    from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

    with contextlib.suppress(PackageNotFoundError):
        profile = os.path.join(get_package_share_directory("tddfa_ros"), "config", "fastdds.xml")
        name = names[os.environ.get("ROS_DISTRO") in ("humble", "iron", "jazzy")]
        if os.path.isfile(profile):
            os.environ[name] = profile


def _leave(*_: Any) -> None:
    # Not sys.exit: the import machinery may swallow an exception raised in one of its callbacks. No resource is open yet.
    os._exit(0)
