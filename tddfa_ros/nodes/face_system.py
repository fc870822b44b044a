"""``face_system``: the nodes of the graph in one process, with the names and parameters they have on their own.

rclpy has no intra-process transport, so messages between them still travel through DDS's shared memory; what one
process saves is memory and start-up time, what it costs is that all workers share one interpreter lock. Each node
works in a thread of its own behind a mailbox, and one executor thread serves all callbacks: ONNX Runtime, OpenCV and
NumPy release the lock while they compute, so the networks of one frame overlap with the drawing of another.
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
    """The nodes to host, in the order in which they start."""
    # Imported here: what is left out need not be loaded.
    from tddfa_ros.nodes.face_node import FaceNode

    def face_node() -> Node:
        # Two publishers of face_mesh would mix smoothed and raw faces.
        chosen = Parameter("publish_face_mesh", value=not options.smoothing)
        return FaceNode(parameter_overrides=[chosen])

    nodes: list[Callable[[], Node]] = [face_node]
    if options.smoothing:
        from tddfa_ros.nodes.smoothing_node import SmoothingNode

        nodes.append(SmoothingNode)
    if options.visualization:
        from tddfa_ros.nodes.visualization_node import VisualizationNode

        nodes.append(VisualizationNode)
    if options.avatar:
        from tddfa_ros.nodes.avatar_node import AvatarNode

        nodes.append(AvatarNode)
    if options.hri:
        from tddfa_ros.nodes.hri.node import HriNode

        nodes.append(HriNode)
    if options.source:
        from tddfa_ros.nodes.image_source_node import ImageSourceNode

        nodes.append(ImageSourceNode)
    return nodes


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read what is left of the command line without its ROS arguments."""
    parser = argparse.ArgumentParser(
        prog="face_system",
        description="face_node, smoothing_node and visualization_node in one process; parameters of each go by its "
        "name, as in: --ros-args -p face_node:detection.input_size:=480",
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
