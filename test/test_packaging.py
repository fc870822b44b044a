"""Packaging for pip, colcon and rosdep: version, requirement lists, lock files, declared dependencies."""

from __future__ import annotations

import ast
import re
import runpy
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import tddfa_ros

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = ROOT / "requirements"
LOCKS = sorted((REQUIREMENTS / "lock").glob("*-*.txt"))
PYTHON_OF = {"kilted": ("3.10", "3.11", "3.12", "3.13"), "jazzy": ("3.12",)}
"""The Pythons for which there are wheels of ``rclpy``, by ROS distribution."""

EXTRAS_OF = {
    "base": ["cpu"],
    "toolbox": ["avatar", "eval", "export", "fast", "video"],
    "dev": ["dev", "bags"],
    "cluster": ["cluster"],
    "docs": ["docs"],
    "hri": [],
    "model": ["model"],
    "training": ["training"],
}
"""The extras of setup.py that each requirement file installs; ``base`` has ``install_requires`` as well."""

BESIDE_SETUP = {"base": {"scikit-image"}}
"""Packages that only a clone needs: for the demo and the tests."""


@pytest.fixture(scope="module")
def arguments() -> dict[str, Any]:
    """What ``setup.py`` passes to ``setuptools.setup``."""
    with patch("setuptools.setup") as setup, pytest.MonkeyPatch.context() as context:
        context.chdir(ROOT)
        runpy.run_path(str(ROOT / "setup.py"))
    return dict(setup.call_args.kwargs)


def requirements(path: Path) -> dict[str, Requirement]:
    lines = (line.split("#")[0].strip() for line in path.read_text().splitlines())
    found = [Requirement(line) for line in lines if line]
    by_name = {canonicalize_name(requirement.name): requirement for requirement in found}
    assert len(by_name) == len(found), f"{path.name} names a package twice"
    return by_name


def test_one_version(arguments: dict[str, Any]) -> None:
    versions = {
        tddfa_ros.__version__,
        arguments["version"],
        *(ET.parse(path).getroot().findtext("version") for path in (ROOT / "package.xml", ROOT / "tddfa_msgs/package.xml")),
    }  # fmt: skip
    assert versions == {tddfa_ros.__version__}
    changelog = (ROOT / "CHANGELOG.md").read_text()
    newest = re.search(r"^## \[(\d[\w.]*)\]", changelog, re.MULTILINE)
    assert newest is not None and newest[1] == tddfa_ros.__version__


def test_only_extras_require_onnx_runtime(arguments: dict[str, Any]) -> None:
    """Extras only add packages, so a base requirement of onnxruntime would conflict with onnxruntime-gpu."""
    builds = {
        extra: [Requirement(line).name for line in lines if "onnxruntime" in line]
        for extra, lines in {"": arguments["install_requires"], **arguments["extras_require"]}.items()
    }  # fmt: skip
    assert {extra: names for extra, names in builds.items() if names} == {
        "cpu": ["onnxruntime"],
        "gpu": ["onnxruntime-gpu"],
    }


@pytest.mark.parametrize("name", EXTRAS_OF)
def test_requirement_files_agree_with_setup(arguments: dict[str, Any], name: str) -> None:
    published = list(arguments["install_requires"]) if name == "base" else []
    for extra in EXTRAS_OF[name]:
        published += arguments["extras_require"][extra]
    mine = requirements(REQUIREMENTS / f"{name}.txt")
    for extra in BESIDE_SETUP.get(name, ()):
        del mine[canonicalize_name(extra)]
    assert sorted(str(r) for r in mine.values()) == sorted(
        {str(Requirement(line)) for line in published}
    )


def test_every_extra_and_every_requirement_file_is_compared(arguments: dict[str, Any]) -> None:
    compared = {extra for extras in EXTRAS_OF.values() for extra in extras}
    assert set(arguments["extras_require"]) == compared | {
        "gpu"
    }  # of which a clone installs nothing
    files = {path.stem for path in REQUIREMENTS.glob("*.txt")}
    assert files == {*EXTRAS_OF, "build"}


def test_published_requirements_are_ranges(arguments: dict[str, Any]) -> None:
    """Exact pins in a library keep users from bug fixes of dependencies."""
    lists = [arguments["install_requires"], *arguments["extras_require"].values()]
    for line in (line for lines in lists for line in lines):
        operators = {specifier.operator for specifier in Requirement(line).specifier}
        assert operators & {">=", ">"}, f"{line} has no lower bound"
        assert not operators & {"==", "==="}, f"{line} is pinned"


def test_long_description_links_to_the_repository(arguments: dict[str, Any]) -> None:
    home = arguments["url"]
    targets = re.findall(r'\]\(([^)\s]+)|(?:src|href)="([^"]+)', arguments["long_description"])
    relative = [a or b for a, b in targets if not (a or b).startswith(("http", "#", "mailto:"))]
    assert targets and relative == []
    assert arguments["project_urls"]["Source"] == home


# --- locks ----------------------------------------------------------------------------------------------------------


def lock_packages(lock: Path) -> dict[str, Any]:
    return dict(runpy.run_path(str(ROOT / "scripts/locked.py"))["read_lock"](lock))


def test_every_distribution_and_python_has_a_lock_file() -> None:
    expected = {f"{distro}-{python}" for distro, pythons in PYTHON_OF.items() for python in pythons}
    assert {path.stem for path in LOCKS} == expected
    assert {path.stem for path in (REQUIREMENTS / "wheels").glob("*.txt")} == set(PYTHON_OF)
    targets = re.search(r"^for target in (.*); do$", (ROOT / "scripts/lock.sh").read_text(), re.M)
    assert targets is not None and set(targets[1].split()) == expected


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_lock_files_match_requirement_files(lock: Path) -> None:
    """Fails if a requirement file changed and scripts/lock.sh was not run."""
    packages = lock_packages(lock)
    files = [
        *REQUIREMENTS.glob("*.txt"),
        REQUIREMENTS / "wheels" / f"{lock.stem.split('-')[0]}.txt",
    ]
    for path in files:
        for name, requirement in requirements(path).items():
            if name == "torch":
                continue
            assert name in packages, f"{path.name} requires {name}: run scripts/lock.sh"
            assert requirement.specifier.contains(packages[name].version, prereleases=True), (
                path.name
            )


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_lock_files_have_hashes_and_no_index_urls(lock: Path) -> None:
    text = lock.read_text()
    assert not re.search(r"https?:|file:|--index-url|--find-links|@ /", text)
    for name, package in lock_packages(lock).items():
        assert any("--hash=sha256:" in line for line in package.lines), f"{name} has no hash"
        assert package.via, f"{name} has no dependents"


def test_torch_is_pinned_without_a_hash() -> None:
    """The build of torch (CPU or CUDA) depends on the package index."""
    pin = requirements(REQUIREMENTS / "lock/torch.txt")["torch"]
    version = next(iter(pin.specifier)).version
    for name in ("model", "training"):
        asked = requirements(REQUIREMENTS / f"{name}.txt")["torch"]
        assert asked.specifier.contains(version)


def locked(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "scripts/locked.py", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


LOCK = """\
alpha==1.0 \\
    --hash=sha256:aa
    # via -r requirements/base.txt
beta-2==2.0 ; python_version < '4' \\
    --hash=sha256:bb \\
    --hash=sha256:cc
    # via
    #   Alpha
    #   gamma
gamma==3.0 \\
    --hash=sha256:dd
    # via -r requirements/docs.txt
"""


def test_setup_installs_the_closure_of_its_requirements(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text(LOCK)
    packages = runpy.run_path(str(ROOT / "scripts/locked.py"))
    chosen = packages["needed"](packages["read_lock"](lock), ["requirements/base.txt"])
    assert chosen == ["alpha", "beta-2"]
    chosen = packages["needed"](packages["read_lock"](lock), ["requirements/docs.txt"])
    assert chosen == ["beta-2", "gamma"]
    assert locked("--versions", lock).stdout.split() == ["alpha==1.0", "beta-2==2.0", "gamma==3.0"]


def test_selection_keeps_markers_and_hashes(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text(LOCK)
    beta = runpy.run_path(str(ROOT / "scripts/locked.py"))["read_lock"](lock)["beta-2"]
    assert beta.lines == LOCK.splitlines()[3:6]


def test_rejects_incomplete_lock(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text(LOCK)
    refused = locked(lock, "requirements/cluster.txt")
    assert refused.returncode == 2 and refused.stdout == ""
    assert refused.stderr == (
        f"error: requirements/cluster.txt requires ray, which {lock} does not contain; run scripts/lock.sh.\n"
    )


# --- package.xml ----------------------------------------------------------------------------------------------------

PROVIDED_BY = {"cv2": "python3-opencv", "yaml": "python3-yaml"}
"""rosdep keys whose name is not that of the module, or of the module after ``python3-``."""

NOT_IN_ROS = {"tddfa_ros", "rosbags", "skimage"}
"""Modules that code for ROS imports only where they are installed: bags without ROS, and the demo's portrait."""


def imported_modules(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield str(node.module).split(".")[0]


def test_package_xml_declares_imports() -> None:
    tree = ET.parse(ROOT / "package.xml").getroot()
    named = {str(element.text) for tag in ("depend", "exec_depend") for element in tree.iter(tag)}
    missing = {}
    for folder in ("tddfa_ros/nodes", "tddfa_ros/demo", "launch"):
        for path in (ROOT / folder).rglob("*.py"):
            for module in imported_modules(path):
                if module in sys.stdlib_module_names or module in NOT_IN_ROS:
                    continue
                if not named & {module, f"python3-{module}", PROVIDED_BY.get(module, module)}:
                    missing[module] = str(path.relative_to(ROOT))
    assert missing == {}


def test_package_xml_declares_message_dependencies() -> None:
    tree = ET.parse(ROOT / "tddfa_msgs/package.xml").getroot()
    named = {str(element.text) for element in tree.iter("depend")}
    definitions = [
        *(ROOT / "tddfa_msgs").glob("msg/*.msg"),
        *(ROOT / "tddfa_msgs").glob("srv/*.srv"),
    ]
    used = {
        package
        for path in definitions
        for package in re.findall(r"^(\w+)/\w+(?:\[\d*\])? \w+", path.read_text(), re.MULTILINE)
    }
    assert used and used == named


def test_package_xml_declares_python_requirements(arguments: dict[str, Any]) -> None:
    """Each requirement of the package has a rosdep key, but for ``onnx``, which is in no distribution."""
    keys = {"opencv-python-headless": "python3-opencv", "pyyaml": "python3-yaml"}
    tree = ET.parse(ROOT / "package.xml").getroot()
    named = {str(element.text) for element in tree.iter("exec_depend")}
    names = {canonicalize_name(Requirement(line).name) for line in arguments["install_requires"]}
    assert {keys.get(name, f"python3-{name}") for name in names - {"onnx"}} <= named
