"""``face.launch.py``: its arguments everywhere; what it starts where ROS's ``launch`` is installed."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tddfa_ros.config import DEVICES, SMOOTHING_METHODS
from tddfa_ros.nodes.options import IMAGE_TRANSPORTS

ROOT = Path(__file__).resolve().parents[2]
LAUNCH_FILE = ROOT / "launch" / "face.launch.py"
RVIZ_FILE = ROOT / "config" / "face.rviz"

CONTRACT = {
    "image_topic", "camera_info_topic", "image_transport", "device", "detector", "smoothing", "rviz", "composed",
    "source", "source_path", "params_file", "namespace",
}  # fmt: skip
EXTRA = {
    "avatar",
    "depth_topic",
    "fixed_frame",
    "height",
    "hri",
    "lifecycle",
    "model",
    "rate",
    "respawn",
    "width",
}


# --- what needs no launch ---


def declared_names() -> list[str]:
    return re.findall(r'DeclareLaunchArgument\(\s*"(\w+)"', LAUNCH_FILE.read_text())


def test_launch_arguments() -> None:
    names = declared_names()
    assert len(names) == len(set(names))
    assert set(names) == CONTRACT | EXTRA


def test_launch_choices_match_options() -> None:
    declared = {
        "image_transport": IMAGE_TRANSPORTS,
        "device": DEVICES,
        "smoothing": SMOOTHING_METHODS,
    }
    text = LAUNCH_FILE.read_text(encoding="utf-8")
    for name, choices in declared.items():
        found = re.search(rf'"{name}",\s*default_value="",\s*choices=(\[.*?\])', text, re.S)
        assert found is not None, name
        assert ast.literal_eval(found[1]) == ["", *choices]


def test_launch_page_lists_every_argument() -> None:
    text = (ROOT / "docs/ros/README.md").read_text(encoding="utf-8")
    assert [name for name in declared_names() if f"`{name}`" not in text] == []


def test_all_executables_are_installed() -> None:
    started = set(re.findall(r'"((?:avatar|face|hri|smoothing|visualization|image_source)_\w+)"', LAUNCH_FILE.read_text()))  # fmt: skip
    installed = set(re.findall(r'f"(\w+) = ', (ROOT / "setup.py").read_text()))
    executables = {name for name in started if name.endswith(("_node", "_system"))}
    assert len(executables) == 7
    assert executables <= installed


def test_rviz_layout() -> None:
    layout = yaml.safe_load(RVIZ_FILE.read_text())
    assert [panel["Class"] for panel in layout["Panels"]] == ["rviz_common/Displays"]
    manager = layout["Visualization Manager"]
    displays = {d["Class"].split("/")[1]: d for d in manager["Displays"]}
    topics = {kind: d["Topic"]["Value"] for kind, d in displays.items() if "Topic" in d}
    assert topics == {
        "Image": "/face_overlay",
        "MarkerArray": "/face_markers",
        "PointCloud2": "/face_points",
    }
    assert {kind for kind, d in displays.items() if not d["Enabled"]} == {"PointCloud2"}
    assert displays["TF"]["Show Names"] is False, "the name would cover the nose"
    defaults = yaml.safe_load((ROOT / "config" / "face.yaml").read_text())
    frame = defaults["/**/visualization_node"]["ros__parameters"]["view_frame"]
    assert manager["Global Options"]["Fixed Frame"] == frame
    view = manager["Views"]["Current"]
    assert view["Target Frame"] == "<Fixed Frame>", "Orbit turns about its z, which points up"
    assert view["Focal Point"]["X"] > 0, "in front of the camera"


@pytest.mark.parametrize(
    ("arguments", "frame"),
    [
        ({}, "face_view"),
        ({"namespace": "/robot1/left"}, "robot1_left_face_view"),
        ({"namespace": "robot1", "fixed_frame": "map"}, "map"),
    ],
)
def test_rviz_fixed_frame(
    describe: Any, monkeypatch: pytest.MonkeyPatch, arguments: Mapping[str, str], frame: str
) -> None:
    module = describe.module
    monkeypatch.setattr(module, "need", lambda *_: None)
    started = []
    monkeypatch.setattr(module, "Node", lambda **given: started.append(given))
    chosen = {"namespace": "", "fixed_frame": ""} | dict(arguments)
    module.rviz(chosen)
    options = started[0]["arguments"]
    assert options[options.index("-f") + 1] == frame


# --- what the launch file builds ---

NO_LAUNCH = "ROS's launch is not installed: it has no wheel"


@pytest.fixture
def describe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Arguments -> the actions that launch would run, each node with its command line."""
    pytest.importorskip("launch_ros", reason=NO_LAUNCH)
    from launch import LaunchContext
    from launch.actions import OpaqueFunction, SetEnvironmentVariable
    from launch.utilities import perform_substitutions
    from launch_ros.actions import Node

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    spec = importlib.util.spec_from_file_location("face_launch", LAUNCH_FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def described(**arguments: str) -> dict[str, dict[str, Any]]:
        context = LaunchContext()
        context.launch_configurations.update(arguments)
        actions: list[Any] = []
        for action in module.generate_launch_description().entities:
            found = action.execute(context)
            if isinstance(action, OpaqueFunction):
                actions += found or []
        nodes = {}
        for action in actions:
            if isinstance(action, SetEnvironmentVariable):
                action.execute(context)
            if isinstance(action, Node):
                action._perform_substitutions(context)
                # What Node.execute() adds before it starts the process.
                own = {"ns": f"__ns:={action.expanded_node_namespace}"}
                context.extend_locals({"ros_specific_arguments": own})
                program, *command = [perform_substitutions(context, part) for part in action.cmd]
                nodes[Path(program).name] = Command(command)
        return nodes

    described.module = module  # type: ignore[attr-defined]
    return described


class Command(dict):  # type: ignore[type-arg]
    """A node's command line, taken apart."""

    def __init__(self, line: list[str]) -> None:
        flags, _, ros = " ".join(line).partition("--ros-args")
        self["flags"] = flags.split()
        self["remap"] = dict(pair.split(":=", 1) for pair in re.findall(r"-r (\S+)", ros))
        self["files"] = re.findall(r"--params-file (\S+)", ros)
        given = re.findall(r"-p (\S+?):=(\S+)", ros.partition("--params-file")[2])
        self["parameters"] = {name: yaml.safe_load(value) for name, value in given}


SEPARATE = {"face_node", "smoothing_node", "visualization_node"}
COMPOSED = {"face_system", "visualization_node"}
NONE = ["--no-visualization", "--no-source", "--no-avatar", "--no-hri"]


@pytest.mark.parametrize(("composed", "names"), [("true", COMPOSED), ("false", SEPARATE)])
def test_launch_with_external_camera(describe: Any, composed: str, names: set[str]) -> None:
    nodes = describe(image_topic="/camera/color/image_raw", composed=composed)
    assert set(nodes) == names
    for node in nodes.values():
        assert node["remap"]["image_raw"] == "/camera/color/image_raw"
        assert node["remap"]["camera_info"] == "/camera/color/camera_info"
        assert Path(node["files"][0]).samefile(ROOT / "config/face.yaml")
    # What is not chosen is left to the parameter file.
    assert nodes[min(names)]["parameters"] == {"publish_face_mesh": False}


def test_topics_and_namespace(describe: Any) -> None:
    nodes = describe(
        image_topic="eye", camera_info_topic="calibration", namespace="robot1", composed="false"
    )
    nodes |= describe(image_topic="eye", camera_info_topic="calibration", namespace="robot1")
    assert set(nodes) == SEPARATE | COMPOSED
    for node in nodes.values():
        assert node["remap"]["image_raw"] == "eye"
        assert node["remap"]["camera_info"] == "calibration"
        assert node["remap"]["__ns"].strip("/") == "robot1"
    assert describe(image_topic="eye")["face_system"]["remap"]["camera_info"] == "camera_info"


def test_depth_topic_turns_use_depth_on(describe: Any) -> None:
    node = describe(depth_topic="/camera/aligned_depth_to_color/image_raw")["face_system"]
    assert node["remap"]["depth/image_raw"] == "/camera/aligned_depth_to_color/image_raw"
    assert node["parameters"]["use_depth"] is True
    assert "depth/image_raw" not in describe()["face_system"]["remap"]


def test_choices_become_parameters(describe: Any) -> None:
    nodes = describe(
        composed="false",
        device="cuda",
        detector="centerface",
        smoothing="kalman",
        image_transport="compressed",
        source="demo",
        width="1280",
        rate="15",
    )
    assert set(nodes) == SEPARATE | {"image_source_node"}
    assert nodes["face_node"]["parameters"] == {
        "publish_face_mesh": False,
        "regression.device": "cuda",
        "detection.detector": "centerface",
        "image_transport": "compressed",
    }
    assert nodes["smoothing_node"]["parameters"] == {"smoothing.method": "kalman"}
    shown = nodes["visualization_node"]["parameters"]
    assert shown == {"image_transport": "compressed"}
    assert nodes["image_source_node"]["parameters"] == {
        "source": "demo",
        "image_transport": "compressed",
        "width": 1280,
        "rate": 15.0,
    }


@pytest.mark.parametrize("composed", ["true", "false", "all"])
def test_no_temporary_parameter_files(describe: Any, tmp_path: Path, composed: str) -> None:
    """SIGTERM ends launch without any handler of the launch file: what it has written would stay."""
    nodes = describe(composed=composed, device="cpu", source="file", source_path="Bär.mp4")
    source = nodes["face_system" if composed == "all" else "image_source_node"]
    assert source["parameters"]["source"] == "Bär.mp4"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("composed", "names"), [("true", COMPOSED), ("false", SEPARATE), ("all", {"face_system"})]
)
def test_one_model_argument_configures_all_nodes(
    describe: Any, composed: str, names: set[str]
) -> None:
    nodes = describe(model="official-mb05", composed=composed)
    assert set(nodes) == names
    for node in nodes.values():
        assert node["parameters"]["model"] == "official-mb05"
    assert "model" not in describe()["face_system"]["parameters"]


def test_lifecycle(describe: Any) -> None:
    for name in ("face_node", "smoothing_node"):
        nodes = describe(lifecycle="false", composed="false")
        assert nodes[name]["parameters"]["lifecycle"] is False
        assert "lifecycle" not in describe(composed="false")[name]["parameters"]
    for composed in ("true", "all"):
        system = describe(lifecycle="true", composed=composed)["face_system"]
        assert system["parameters"]["lifecycle"] is True


def ending(describe: Any, executable: str, required: bool, **chosen: str) -> Any:
    """Exit code -> the actions of launch when a process ends with it."""
    from types import SimpleNamespace

    defaults = {
        "respawn": "true",
        "namespace": "",
        "image_topic": "eye",
        "camera_info_topic": "",
        "depth_topic": "",
    }
    process = describe.module.Process(executable, required, defaults | chosen)
    running = SimpleNamespace(is_shutdown=False)

    def ended(code: int) -> list[str]:
        process.start()
        actions = process.on_exit(SimpleNamespace(returncode=code), running) or []
        return [type(action).__name__ for action in actions] + [
            str(action.period) for action in actions if hasattr(action, "period")
        ]

    return ended


@pytest.mark.parametrize("crash", [1, -9, -11])
def test_crashed_node_is_started_again_with_growing_waits(describe: Any, crash: int) -> None:
    ended = ending(describe, "smoothing_node", False)
    waits = [ended(crash)[-1] for _ in range(7)]
    assert waits == ["1.0", "2.0", "4.0", "8.0", "16.0", "30.0", "30.0"]
    for name in ("face_node", "face_system"):
        assert "TimerAction" in ending(describe, name, True)(crash)


@pytest.mark.parametrize("code", [0, 2])
def test_ended_node_is_not_started_again(describe: Any, code: int) -> None:
    """0: the end of a video; 2: a user error."""
    assert ending(describe, "image_source_node", False)(code) == []
    for name in ("face_node", "face_system"):
        assert ending(describe, name, True)(code) == ["Shutdown"]
        assert ending(describe, name, True, respawn="false")(-11) == ["Shutdown"]
    assert ending(describe, "smoothing_node", False, respawn="false")(-11) == []


def test_avatars(describe: Any) -> None:
    assert set(describe(avatar="true")) == COMPOSED | {"avatar_node"}
    assert set(describe(avatar="true", composed="false")) == SEPARATE | {"avatar_node"}
    node = describe(avatar="web", model="mine")["avatar_node"]
    assert node["parameters"] == {"model": "mine", "web": True}
    assert describe(avatar="true")["avatar_node"]["parameters"] == {}


def test_ros4hri(describe: Any) -> None:
    pytest.importorskip("hri_msgs", reason="hri_msgs is not installed")
    nodes = describe(hri="true", model="mine", device="cpu", image_transport="compressed")
    assert set(nodes) == COMPOSED | {"hri_node"}
    assert nodes["hri_node"]["parameters"] == {
        "model": "mine",
        "device": "cpu",
        "image_transport": "compressed",
    }
    assert describe(hri="true", composed="all")["face_system"]["flags"][-1] == "--hri"


def test_hri_requires_hri_msgs(
    describe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="hri:=true requires the package hri_msgs"):
        describe(hri="true")


@pytest.mark.parametrize("composed", ["true", "false"])
def test_without_smoothing_face_node_publishes_the_meshes(describe: Any, composed: str) -> None:
    nodes = describe(smoothing="none", composed=composed)
    assert set(nodes) == SEPARATE - {"smoothing_node"}
    assert nodes["face_node"]["parameters"] == {"publish_face_mesh": True}


@pytest.mark.parametrize(
    ("source", "path", "expected"),
    [
        ("webcam", "", "0"),
        ("webcam", "2", "2"),
        ("webcam", "/dev/video4", "/dev/video4"),
        ("file", "/data/clip.mp4", "/data/clip.mp4"),
        ("demo", "", "demo"),
    ],
)
def test_sources(describe: Any, source: str, path: str, expected: str) -> None:
    node = describe(source=source, source_path=path)["image_source_node"]
    assert node["parameters"] == {"source": expected}


@pytest.mark.parametrize(
    ("arguments", "flags"),
    [
        ({}, ["--smoothing", "--visualization", "--no-source", "--no-avatar", "--no-hri"]),
        (
            {"smoothing": "none", "source": "demo", "avatar": "web"},
            ["--no-smoothing", "--visualization", "--source", "--avatar", "--no-hri"],
        ),
    ],
)
def test_all_nodes_in_one_process(
    describe: Any, arguments: Mapping[str, str], flags: list[str]
) -> None:
    nodes = describe(composed="all", device="cpu", **arguments)
    assert set(nodes) == {"face_system"}
    system = nodes["face_system"]
    assert system["flags"] == flags
    assert system["parameters"]["regression.device"] == "cpu"
    assert "__node" not in system["remap"], "it would rename every node"


def test_smoothing_node_runs_in_the_process_of_face_node(describe: Any) -> None:
    nodes = describe(source="demo", device="cpu", smoothing="kalman", width="320", avatar="web")
    assert set(nodes) == COMPOSED | {"image_source_node", "avatar_node"}
    system = nodes["face_system"]
    assert system["flags"] == ["--smoothing", *NONE]
    assert "__node" not in system["remap"], "it would rename every node"
    assert system["parameters"] == {
        "publish_face_mesh": False,
        "regression.device": "cpu",
        "smoothing.method": "kalman",
    }


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"source": "file"}, "source_path"),
        ({"params_file": "/nowhere.yaml"}, "/nowhere.yaml"),
        ({"source": "demo", "width": "wide"}, "width must be a number, not 'wide'"),
        ({"device": "tpu"}, "tpu"),
        ({"smoothing": "magic"}, "magic"),
        ({"source": "camera"}, "camera"),
        ({"image_transport": "theora"}, "theora"),
    ],
)
def test_rejects_invalid_launch_arguments(
    describe: Any, arguments: Mapping[str, str], sentence: str
) -> None:
    with pytest.raises(RuntimeError, match=re.escape(sentence)):
        describe(**arguments)


PROFILE_NAMES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")


@pytest.fixture
def no_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*PROFILE_NAMES, "FASTDDS_BUILTIN_TRANSPORTS"):
        monkeypatch.setenv(name, "")  # so that what a launch sets is undone
        monkeypatch.delenv(name)


@pytest.mark.parametrize("own", PROFILE_NAMES)
def test_user_dds_profile_is_kept(
    describe: Any, own: str, no_profile: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(own, "mine.xml")
    describe()
    assert [os.environ.get(name) for name in PROFILE_NAMES].count("mine.xml") == 1
    assert [os.environ.get(name) for name in PROFILE_NAMES].count(None) == 1


@pytest.mark.parametrize(
    ("distro", "own"),
    [("jazzy", PROFILE_NAMES[1]), ("kilted", PROFILE_NAMES[0]), ("rolling", PROFILE_NAMES[0])],
)
def test_dds_profile_variable_by_distribution(
    describe: Any, distro: str, own: str, no_profile: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kilted warns of the older name once per node."""
    monkeypatch.setenv("ROS_DISTRO", distro)
    describe()
    assert {name for name in PROFILE_NAMES if name in os.environ} == {own}
    assert Path(os.environ[own]).samefile(ROOT / "config/fastdds.xml")


def pid_of(executable: str, session: int) -> int:
    """The process of a node that a launch in this session has started."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if os.getsid(int(folder.name)) == session and any(
                word.endswith(f"/{executable}".encode()) for word in words
            ):
                return int(folder.name)
        except OSError:
            continue  # it has ended in between
    raise AssertionError(f"no {executable} in session {session}")


@pytest.mark.parametrize(("composed", "crashing", "processes"), [("true", "face_system", 3), ("false", "smoothing_node", 4)])  # fmt: skip
def test_ros2_launch_starts_and_stops_graph(
    graph: Any, tmp_path: Path, composed: str, crashing: str, processes: int
) -> None:
    """``ros2 launch`` itself, with the models under test; the whole graph, then SIGINT as Ctrl-C sends it."""
    import shutil

    if shutil.which("ros2") is None or importlib.util.find_spec("ros2launch") is None:
        pytest.skip("there is no `ros2 launch` here")
    pytest.importorskip("skimage", reason="scikit-image provides the demo image")
    from support.faces import model_parameters

    from tddfa_msgs.msg import FaceMeshArray

    sections = {
        f"/**/{name}": {"ros__parameters": model_parameters(perception=name == "face_node")}
        for name in SEPARATE
        if model_parameters()
    }
    params = tmp_path / "params.yaml"
    params.write_text(yaml.safe_dump(sections) if sections else (ROOT / "config/face.yaml").read_text())  # fmt: skip
    log = tmp_path / "launch.log"
    meshes = graph.collect(FaceMeshArray, "/robot/face_mesh")
    arguments = ["source:=demo", "namespace:=robot", f"params_file:={params}", "width:=320", "height:=240", f"composed:={composed}"]  # fmt: skip
    with log.open("w") as output:
        process = subprocess.Popen(
            ["ros2", "launch", str(LAUNCH_FILE), *arguments],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "TMPDIR": str(tmp_path)},
        )
    try:
        graph.wait_until(lambda: len(meshes) >= 3 or process.poll() is not None, 60)
        assert process.poll() is None, log.read_text()
        started = {f"/robot/{name}" for name in (*SEPARATE, "image_source_node")}
        graph.wait_until(lambda: started <= graph.node_names())
        # A crash: launch starts the node again, and meshes arrive again.
        os.kill(pid_of(crashing, process.pid), signal.SIGKILL)
        graph.wait_until(lambda: "starting it again in 1 s" in log.read_text())
        meshes.clear()
        graph.wait_until(lambda: len(meshes) >= 3, 60)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(30) == 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    text = log.read_text()
    assert "Traceback" not in text
    assert text.count("process has finished cleanly") == processes, text
