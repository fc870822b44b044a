"""The architecture, checked on the source itself."""

from __future__ import annotations

import ast
import graphlib
import importlib
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

import tddfa_ros

ROOT = Path(__file__).resolve().parents[1]

ROS = re.compile(
    r"^(rclpy|rcl_interfaces|launch|launch_ros|cv_bridge|tf2_\w+|ament_\w+|\w+_msgs|builtin_interfaces|std_srvs)$"
)
HEAVY = {"torch", "anny", "onnx", "onnxruntime", "cv2", "scipy", "numpy", "rclpy", "yaml", "click"}
BUILD_TIME = {"torch", "anny", "onnx", "onnxscript"}


def sources(folder: str = "tddfa_ros") -> list[Path]:
    return [p for p in sorted((ROOT / folder).rglob("*.py")) if "__pycache__" not in p.parts]


def imports(path: Path, top_level_only: bool = False) -> set[str]:
    """Top-level names of everything a module imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    nodes = tree.body if top_level_only else ast.walk(tree)
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.split(".")[0])
    return found


def subpackage(path: Path) -> str:
    return path.relative_to(ROOT / "tddfa_ros").parts[0]


def test_layout():
    for name in (
        "package.xml",
        "setup.py",
        "setup.cfg",
        "colcon_defaults.yaml",
        "LICENSE",
        "CONTRIBUTING.md",
    ):
        assert (ROOT / name).is_file(), name
    for name in ("tddfa_msgs", "tddfa_ros/nodes", "launch", "config", "models", "test", "docs"):
        assert (ROOT / name).is_dir(), name
    assert (ROOT / "resource/tddfa_ros").read_bytes() == b""


def contract() -> list[set[str]]:
    """The layers of ``pyproject.toml``, top to bottom."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    layers = re.search(r"(?ms)^layers = \[\n(.*?)^\]", text)
    return [set(row.split(" | ")) for row in re.findall(r'"(.*?)"', layers[1])]


def test_documented_layers_match_the_contract():
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    table = text.partition("<!-- layers -->")[2].partition("<!-- /layers -->")[0]
    documented: list[set[str]] = []
    for layer, module in re.findall(r"(?m)^\| ?([\w -]*?) \| `(\w+)` \|", table):
        if layer:
            documented.append(set())
        documented[-1].add(module)
    assert documented == contract()


def test_modules_have_no_import_cycle():
    grimp = pytest.importorskip("grimp", reason="import-linter is not installed")
    graph = grimp.build_graph("tddfa_ros", cache_dir=None)
    imported = {m: graph.find_modules_directly_imported_by(m) for m in graph.modules}
    graphlib.TopologicalSorter(imported).prepare()  # raises CycleError, which names the cycle


def test_contract_covers_every_module_without_exceptions():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = text.partition("[tool.importlinter]")[2]
    modules = {p.stem for p in (ROOT / "tddfa_ros").iterdir() if (p / "__init__.py").is_file()}
    modules |= {p.stem for p in (ROOT / "tddfa_ros").glob("[!_]*.py")}
    assert set().union(*contract()) == modules
    assert "ignore_imports" not in section
    assert "exclude_type_checking_imports = false" in section


def test_every_folder_of_the_package_is_a_package():
    folders = {p.parent for p in sources()}
    assert all((folder / "__init__.py").is_file() for folder in folders)


def test_only_nodes_and_demo_import_ros():
    # The demo is a user of the graph like any other.
    offenders = {
        str(p.relative_to(ROOT)): sorted(filter(ROS.match, imports(p)))
        for p in sources()
        if subpackage(p) not in ("nodes", "demo", "demo.py") and any(map(ROS.match, imports(p)))
    }
    assert offenders == {}


def test_training_libraries_are_imported_only_where_allowed():
    allowed = ("training", "model_builder", "official")
    offenders = {
        str(p.relative_to(ROOT)): sorted(imports(p, top_level_only=True) & BUILD_TIME)
        for p in sources()
        if subpackage(p) not in allowed and imports(p, top_level_only=True) & BUILD_TIME
    }
    assert offenders == {}


def test_import_of_the_package_loads_nothing_heavy():
    code = "import sys, tddfa_ros; print(*{m.split('.')[0] for m in sys.modules})"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert set(run.stdout.split()) & HEAVY == set()


@pytest.mark.parametrize("name", tddfa_ros.__all__)
def test_every_public_name_resolves(name):
    value = getattr(tddfa_ros, name)
    assert value.__name__ == name
    assert name in dir(tddfa_ros)


def test_unknown_name_raises_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = tddfa_ros.nonsense


def test_console_scripts_resolve():
    setup = (ROOT / "setup.py").read_text().replace("{NAME}", "tddfa_ros")
    scripts = re.findall(r'f"(\w+) = ([\w.]+):(\w+)"', setup)
    assert {name for name, *_ in scripts} == {
        "tddfa", "face_node", "smoothing_node", "visualization_node", "avatar_node",
        "hri_node", "image_source_node", "face_system", "process_bag",
    }  # fmt: skip
    for name, module, function in scripts:
        path = ROOT / module.replace(".", "/")
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}
        names |= {
            a.asname or a.name for n in tree.body if isinstance(n, ast.ImportFrom) for a in n.names
        }
        assert function in names, name


def test_message_packages_are_declared():
    """Every ROS package that the nodes import is declared in package.xml, so that rosdep installs it."""
    declared = {e.text for e in ET.parse(ROOT / "package.xml").getroot().iter("exec_depend")}
    optional = {"hri_msgs", "vision_msgs"}
    implied = {"rcl_interfaces", "builtin_interfaces"}  # rclpy depends on them
    used = {name for p in sources() for name in imports(p) if ROS.match(name)}
    assert used - optional - implied <= declared


@pytest.mark.parametrize(
    "message", sorted((ROOT / "tddfa_msgs/msg").glob("*.msg")), ids=lambda p: p.stem
)
def test_every_field_of_a_message_is_documented(message):
    lines = message.read_text().splitlines()
    assert lines[0].startswith("# "), "missing description"
    for number, line in enumerate(lines):
        if not line or line.startswith("#"):
            continue
        constant = re.match(r"uint8 [A-Z_]+=\d+\s+# \S", line)
        assert constant or lines[number - 1].startswith("#"), f"{message.name}: {line}"


def tracked_texts() -> list[Path]:
    run = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    if run.returncode:
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in run.stdout.split("\0") if name]
    binary = {".npz", ".onnx", ".png", ".jpg", ".gif", ".mp4", ".webp"}
    return [p for p in paths if p.is_file() and p.suffix not in binary]


def test_no_machine_specific_paths():
    pattern = re.compile(
        r"(?<![\w.])/(?:" + "|".join(["work", "root", "farm", r"home/\w+", r"Users/\w+"]) + r")/"
    )
    offenders = [
        f"{p.relative_to(ROOT)}:{n}"
        for p in tracked_texts()
        for n, line in enumerate(p.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    assert offenders == []


def test_no_oversized_files():
    assert [str(p) for p in tracked_texts() if p.stat().st_size > 10 * 2**20] == []


def calls(name: str) -> Iterator[tuple[Path, ast.Call]]:
    """Calls of a function or method of this name in the package."""
    for path in sorted((ROOT / "tddfa_ros").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == name:
                yield path, node


def test_files_are_decoded_in_one_place() -> None:
    """OpenCV's own readers crash on file names that are not UTF-8, and check neither size nor truncation."""
    allowed = {
        "imread": set(),
        "imwrite": set(),
        "imdecode": {"sources/image_data.py"},
        "VideoCapture": {"sources/capture.py"},
        "VideoWriter": {"video/encoder.py"},
    }
    for name, places in allowed.items():
        found = {path.relative_to(ROOT / "tddfa_ros").as_posix() for path, _ in calls(name)}
        assert found == places, f"cv2.{name}"


def test_progress_bars_know_whether_they_have_a_terminal() -> None:
    bars = list(calls("tqdm"))
    assert len(bars) > 20
    for path, call in bars:
        assert any(word.arg == "disable" for word in call.keywords), f"{path}:{call.lineno}"


@pytest.mark.parametrize(
    "path",
    [*sources("scripts"), *sources("benchmarks")],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_scripts_import_existing_names(path: Path):
    missing = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("tddfa_ros"):
            continue
        try:
            module = importlib.import_module(node.module or "")
        except ModuleNotFoundError as error:
            assert not (error.name or "").startswith("tddfa_ros"), error
            continue  # an optional dependency that is not installed
        for alias in node.names:
            if not hasattr(module, alias.name):
                try:
                    importlib.import_module(f"{node.module}.{alias.name}")
                except ModuleNotFoundError:
                    missing.append(f"{node.module}.{alias.name}")
    assert not missing
