"""``face_system``: several nodes in one process, with the same names and parameters as separate processes.

``face_node`` hands its faces to ``smoothing_node`` as objects: nothing is serialized, and the smoothed faces are published by the
thread that has regressed them. rclpy has no intra-process transport, so all other messages pass through DDS shared memory. One
process saves memory and startup time, but all workers share the GIL. Each node has a worker thread with a mailbox, and one executor thread runs all callbacks: ONNX
Runtime, OpenCV and NumPy release the GIL while they compute, so inference and drawing of different frames overlap.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from rclpy.node import Node
from rclpy.parameter import Parameter

from tddfa_ros.errors import TddfaError
from tddfa_ros.nodes.ros.runner import EXIT_USER_ERROR, own_arguments, run


def factories(options: argparse.Namespace) -> list[Callable[[], Node]]:
    """Return factories of the nodes to run, in starting order."""
    # Imported on demand: disabled nodes are not loaded.
    from tddfa_ros.nodes.face_node import FaceNode
    from tddfa_ros.nodes.raw_faces import RawFacesTopic

    in_process = RawFacesTopic() if options.smoothing else None

    def face_node() -> Node:
        # Only one of face_node and smoothing_node may publish face_mesh.
        chosen = Parameter("publish_face_mesh", value=not options.smoothing)
        return FaceNode(in_process, parameter_overrides=[chosen])

    nodes: list[Callable[[], Node]] = [face_node]
    if options.smoothing:
        from tddfa_ros.nodes.smoothing_node import SmoothingNode

        nodes.append(lambda: SmoothingNode(in_process))
    if options.visualization:
        from tddfa_ros.nodes.visualization_node import VisualizationNode

        nodes.append(VisualizationNode)
    if options.avatar:
        from tddfa_ros.nodes.avatar_node import AvatarNode

        nodes.append(AvatarNode)
    if options.hri:
        from tddfa_ros.nodes.hri_node import HriNode

        nodes.append(HriNode)
    if options.source:
        from tddfa_ros.nodes.image_source_node import ImageSourceNode

        nodes.append(ImageSourceNode)
    return nodes


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the command line without its ROS arguments."""
    parser = argparse.ArgumentParser(
        prog="face_system",
        description="Run face_node, smoothing_node and visualization_node in one process; prefix parameters with the "
        "name of the node: --ros-args -p face_node:detection.input_size:=480",
    )
    flag = argparse.BooleanOptionalAction
    parser.add_argument("--smoothing", action=flag, default=True, help="run smoothing_node")
    parser.add_argument("--visualization", action=flag, default=True, help="run visualization_node")
    parser.add_argument("--avatar", action=flag, default=False, help="run avatar_node")
    parser.add_argument("--hri", action=flag, default=False, help="run hri_node")
    parser.add_argument("--source", action=flag, default=False, help="run image_source_node")
    return parser.parse_args(list(arguments))


def main() -> None:
    """Console script ``face_system``."""
    try:
        arguments = own_arguments(sys.argv)[1:]
    except TddfaError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        sys.exit(EXIT_USER_ERROR)
    options = parse(arguments)
    sys.exit(run(*factories(options)))


if __name__ == "__main__":
    main()
