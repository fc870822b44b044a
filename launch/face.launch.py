"""Launch the face pipeline.

With a camera driver:     ros2 launch tddfa_ros face.launch.py image_topic:=/camera/image_raw
Without a camera driver:  ros2 launch tddfa_ros face.launch.py source:=demo rviz:=true
List the arguments:       ros2 launch tddfa_ros face.launch.py --show-args
"""

import json
import os
import time

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    LogInfo,
    OpaqueFunction,
    SetEnvironmentVariable,
    Shutdown,
    TimerAction,
)
from launch_ros.actions import Node

PACKAGE = "tddfa_ros"
SHARE = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
BOOLEAN = ["true", "false"]
LONGEST_WAIT = 30.0  # s before a crashed node is started again
STABLE = 60.0  # s without a crash after which the next wait is 1 s again
FROM_FILE = "empty = value of params_file"


def arguments():
    return [
        DeclareLaunchArgument(
            "image_topic",
            default_value="image_raw",
            description="image topic, without /compressed",
        ),
        DeclareLaunchArgument(
            "camera_info_topic",
            default_value="",
            description="CameraInfo topic; empty = camera_info in the namespace of image_topic",
        ),
        DeclareLaunchArgument(
            "depth_topic",
            default_value="",
            description="depth image aligned to the color image, for exact distances (use_depth); empty = none",
        ),
        DeclareLaunchArgument(
            "image_transport",
            default_value="",
            choices=["", "raw", "compressed"],
            description=f"image transport; {FROM_FILE}",
        ),
        DeclareLaunchArgument(
            "device",
            default_value="",
            choices=["", "auto", "cpu", "cuda"],
            description=f"compute device; auto = GPU if usable; {FROM_FILE}",
        ),
        DeclareLaunchArgument(
            "model",
            default_value="",
            description=f"regression network of all nodes, a name in `tddfa models list`; {FROM_FILE}",
        ),
        DeclareLaunchArgument(
            "detector",
            default_value="",
            description=f"face detector, a name in `tddfa models list`; {FROM_FILE}",
        ),
        DeclareLaunchArgument(
            "smoothing",
            default_value="",
            choices=["", "imm", "one_euro", "kalman", "window", "none"],
            description="filter; none = no smoothing_node, face_node publishes face_mesh; "
            + FROM_FILE,
        ),
        DeclareLaunchArgument(
            "avatar",
            default_value="false",
            choices=["false", "true", "web"],
            description="true = start avatar_node as configured in params_file; web = with its web page",
        ),
        DeclareLaunchArgument(
            "hri",
            default_value="false",
            choices=BOOLEAN,
            description="start hri_node, which publishes humans/faces/... (ROS4HRI); requires hri_msgs",
        ),
        DeclareLaunchArgument(
            "rviz", default_value="false", choices=BOOLEAN, description="start RViz"
        ),
        DeclareLaunchArgument(
            "fixed_frame",
            default_value="",
            description="fixed frame of RViz; empty = face_view, at the camera, x forward and z up, with the namespace in front",
        ),
        DeclareLaunchArgument(
            "composed",
            default_value="true",
            choices=[*BOOLEAN, "all"],
            description="true = smoothing_node in the process of face_node, which saves a serialization; "
            "false = one process per node; all = all nodes in one process",
        ),
        DeclareLaunchArgument(
            "lifecycle",
            default_value="",
            choices=["", *BOOLEAN],
            description=f"run face_node and smoothing_node as managed nodes; {FROM_FILE}",
        ),
        DeclareLaunchArgument(
            "respawn",
            default_value="true",
            choices=BOOLEAN,
            description="start a crashed node again, after 1 s, then 2, 4, ... at most 30 s",
        ),
        DeclareLaunchArgument(
            "source",
            default_value="none",
            choices=["none", "webcam", "file", "demo"],
            description="image source to start: none = an external camera driver; demo = a virtual camera over a still image",
        ),
        DeclareLaunchArgument(
            "source_path",
            default_value="",
            description="webcam: 0 or /dev/video0; file: a video, an image or a folder of images",
        ),
        DeclareLaunchArgument(
            "width", default_value="", description=f"width of the source, px; {FROM_FILE}"
        ),
        DeclareLaunchArgument(
            "height", default_value="", description=f"height of the source, px; {FROM_FILE}"
        ),
        DeclareLaunchArgument(
            "rate", default_value="", description=f"frames per second of the source; {FROM_FILE}"
        ),
        DeclareLaunchArgument(
            "params_file",
            default_value=os.path.join(SHARE, "config", "face.yaml"),
            description="ROS parameter file of all nodes",
        ),
        DeclareLaunchArgument(
            "namespace",
            default_value="",
            description="namespace of nodes and topics, such as robot1",
        ),
    ]


def overrides(chosen):
    """Map launch arguments to parameters by node, omitting empty ones."""
    image_transport = {"image_transport": chosen["image_transport"]}
    model = {"model": chosen["model"]}
    lifecycle = {"lifecycle": chosen["lifecycle"] and chosen["lifecycle"] == "true"}
    source = {
        "webcam": chosen["source_path"] or "0",
        "file": chosen["source_path"],
        "demo": "demo",
        "none": "",
    }[chosen["source"]]
    nodes = {
        "face_node": {
            **image_transport,
            **model,
            **lifecycle,
            "publish_face_mesh": chosen["smoothing"] == "none",
            "regression.device": chosen["device"],
            "detection.detector": chosen["detector"],
            "use_depth": True if chosen["depth_topic"] else "",
        },
        "smoothing_node": {**model, **lifecycle, "smoothing.method": chosen["smoothing"]},
        "visualization_node": {**image_transport, **model},
        "avatar_node": {**model, "web": True if chosen["avatar"] == "web" else ""},
        "hri_node": {**image_transport, **model, "device": chosen["device"]},
        "image_source_node": {
            **image_transport,
            "source": source,
            "width": number(chosen, "width", int),
            "height": number(chosen, "height", int),
            "rate": number(chosen, "rate", float),
        },
    }
    return {
        node: {name: value for name, value in values.items() if value != ""}
        for node, values in nodes.items()
    }


def number(chosen, name, kind):
    try:
        return kind(chosen[name]) if chosen[name] else ""
    except ValueError:
        raise RuntimeError(f"{name} must be a number, not '{chosen[name]}'") from None


def start(context):
    """Build the actions for the chosen arguments."""
    chosen = {a.name: context.launch_configurations[a.name] for a in arguments()}
    check(chosen)
    parameters = overrides(chosen)
    smoothing, source = chosen["smoothing"] != "none", chosen["source"] != "none"
    avatar, hri = chosen["avatar"] != "false", chosen["hri"] == "true"
    others = ["visualization_node"] + (["image_source_node"] if source else [])
    others += (["avatar_node"] if avatar else []) + (["hri_node"] if hri else [])
    faces = ["face_node"] + (["smoothing_node"] if smoothing else [])
    if chosen["composed"] == "all":
        hosted, separate = faces + others, []
    elif chosen["composed"] == "true" and smoothing:
        hosted, separate = faces, others
    else:
        hosted, separate = [], faces + others
    nodes = [system(hosted, chosen, parameters)] if hosted else []
    nodes += [
        Process(
            name,
            name == "face_node",
            chosen,
            ros_arguments=ros_arguments(chosen, parameters[name]),
        )
        for name in separate
    ]
    nodes = [node.start() for node in nodes]
    if chosen["rviz"] == "true":
        nodes.append(rviz(chosen))
    return [*dds_profile(), *nodes]


def system(names, chosen, parameters):
    """Build the process that runs several nodes."""
    kinds = ["smoothing", "visualization", "source", "avatar", "hri"]
    nodes = {"source": "image_source_node"}
    flags = [
        f"--{kind}" if nodes.get(kind, f"{kind}_node") in names else f"--no-{kind}"
        for kind in kinds
    ]
    # Without a node name, a parameter reaches every node of the process. No two nodes get different values of one name.
    merged = {name: value for node in names for name, value in parameters[node].items()}
    given = ros_arguments(chosen, merged)
    return Process("face_system", True, chosen, arguments=flags, ros_arguments=given)


class Process:
    """Node process that is started again after a crash.

    Exit code 0 is a wanted end and 2 a user error, such as a missing model: starting again would not help. When a required
    process ends like that, launch ends. The wait doubles with every crash, and starts anew after a minute without one.
    """

    def __init__(self, executable, required, chosen, **given):
        self.executable = executable
        self.required = required
        self.respawn = chosen["respawn"] == "true"
        self.crashes = 0
        self.started = 0.0
        self.given = {
            "package": PACKAGE,
            "executable": executable,
            "namespace": chosen["namespace"],
            "remappings": remappings(chosen),
            "output": "screen",
            "emulate_tty": True,
            **given,
        }

    def start(self):
        self.started = time.monotonic()
        return Node(on_exit=self.on_exit, **self.given)

    def on_exit(self, event, context):
        if context.is_shutdown:
            return None
        if not self.respawn or event.returncode in (0, 2):
            ended = Shutdown(reason=f"{self.executable} has exited")
            return [ended] if self.required else None
        if time.monotonic() - self.started > STABLE:
            self.crashes = 0
        wait = min(2.0**self.crashes, LONGEST_WAIT)
        self.crashes += 1
        said = LogInfo(
            msg=f"{self.executable} ended with code {event.returncode}; starting it again in {wait:.0f} s"
        )
        again = OpaqueFunction(function=lambda _: [self.start()])
        return [said, TimerAction(period=wait, actions=[again])]


def ros_arguments(chosen, parameters):
    """Pass the parameter file, then single parameters, which override it: a temporary file would outlive a killed launch."""
    given = [
        part
        for name, value in parameters.items()
        for part in ("-p", f"{name}:={json.dumps(value, ensure_ascii=False)}")
    ]
    return ["--params-file", chosen["params_file"], *given]


def check(chosen):
    if chosen["source"] == "file" and not chosen["source_path"]:
        raise RuntimeError("source:=file requires source_path:=<video, image or folder>")
    if not os.path.isfile(chosen["params_file"]):
        raise RuntimeError(f"params_file {chosen['params_file']} does not exist")
    for argument, package in (("rviz", "rviz2"), ("hri", "hri_msgs")):
        if chosen[argument] == "true":
            need(argument, package)


def need(argument, package):
    try:
        get_package_prefix(package)
    except PackageNotFoundError:
        raise RuntimeError(
            f"{argument}:=true requires the package {package}, which is not installed"
        ) from None


def remappings(chosen):
    image = chosen["image_topic"]
    info = chosen["camera_info_topic"] or image.rpartition("/")[0] + "/camera_info" * ("/" in image)
    depth = [("depth/image_raw", chosen["depth_topic"])] if chosen["depth_topic"] else []
    return [("image_raw", image), ("camera_info", info or "camera_info"), *depth]


def rviz(chosen):
    space = chosen["namespace"].strip("/")
    frame = chosen["fixed_frame"] or "_".join([*filter(None, space.split("/")), "face_view"])
    topics = ["face_overlay", "face_markers", "face_points"]
    return Node(
        package="rviz2",
        executable="rviz2",
        name="rviz2",
        namespace=chosen["namespace"],
        arguments=[
            "-d", os.path.join(SHARE, "config", "face.rviz"), "-f", frame,
        ],
        remappings=[(f"/{topic}", f"/{space}/{topic}") for topic in topics] if space else [],
        output="screen",
    )  # fmt: skip


def dds_profile():
    """Set a Fast DDS profile with shared-memory segments for raw images and dense meshes, unless the user has set one."""
    own = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
    if any(name in os.environ for name in (*own, "FASTDDS_BUILTIN_TRANSPORTS")):
        return []
    # Fast DDS 3 (since Kilted) reads the first name and warns about the second; earlier versions read only the second.
    name = own[os.environ.get("ROS_DISTRO") in ("humble", "iron", "jazzy")]
    return [SetEnvironmentVariable(name, os.path.join(SHARE, "config", "fastdds.xml"))]


def generate_launch_description():
    return LaunchDescription([*arguments(), OpaqueFunction(function=start)])
