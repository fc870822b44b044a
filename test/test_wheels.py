"""Environments of ROS wheels: interface packages, selection of distribution and Python, shell environment."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ROOT / "scripts" / "wheels"

HRI_MSGS = {
    "Expression": "8d1980040cfe3e11468b4978d6e3bd77a01bc37e",
    "FacialActionUnits": "784b5ab76775172f823528220dae87424ce56243",
    "FacialLandmarks": "b144162f2ad202e512a8cbd7e2020ce944dcdccd",
    "IdsList": "cb80145624c949c1f1ffb52fa07b5aff12167674",
    "NormalizedPointOfInterest2D": "99911f946759ab9601e20b9e6deac58a162f45d9",
    "NormalizedRegionOfInterest2D": "5ba2cce36bf7eb816402b9c0d56cca1284d61422",
    "SoftBiometrics": "5dd324392bc7a4d8c8271624a93ab3e6a3c2d0ea",
}
"""Files of https://github.com/ros4hri/hri_msgs at its tag 2.0.0, as ``git ls-tree 2.0.0 msg/`` names them."""


def test_ros4hri_messages_are_unchanged() -> None:
    """DDS compares type hashes: a renamed field would be incompatible with other packages."""
    found = {}
    for path in (PACKAGES / "hri_msgs" / "msg").glob("*.msg"):
        text = path.read_bytes()
        found[path.stem] = hashlib.sha1(b"blob %d\0" % len(text) + text).hexdigest()
    assert found == HRI_MSGS


@pytest.mark.parametrize("package", ["hri_msgs", "tf2_msgs"])
def test_every_message_is_built(package: str) -> None:
    listed = re.findall(r"msg/(\w+)\.msg", (PACKAGES / package / "CMakeLists.txt").read_text())
    assert sorted(listed) == sorted(p.stem for p in (PACKAGES / package / "msg").glob("*.msg"))


# --- the choice of scripts/setup.sh ---

on_linux_x86 = pytest.mark.skipif(
    (sys.platform, os.uname().machine) != ("linux", "x86_64"), reason="there are no wheels here"
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Copy the files that the scripts read, without the results of a setup."""
    for folder in ("scripts", "requirements"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    (tmp_path / "config").mkdir()
    shutil.copy(ROOT / "config/fastdds.xml", tmp_path / "config")
    (tmp_path / ".setup").mkdir()
    return tmp_path


def choose(tree: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run ``scripts/setup.sh --which`` with only these variables of ROS and Python."""
    own = ("PYTHON", "ROS_", "AMENT_", "CMAKE_", "COLCON_", "TDDFA_", "VIRTUAL_ENV", "LD_LIBRARY_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    return subprocess.run(
        ["bash", "scripts/setup.sh", "--which"],
        cwd=tree,
        env={**kept, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@on_linux_x86
def test_rejects_unsourced_distribution_without_wheels(tree: Path) -> None:
    refused = choose(tree, ROS_DISTRO="humble")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == (
        "error: ROS_DISTRO is humble, but no ROS is sourced and there are wheels for jazzy kilted only: "
        "source /opt/ros/humble/setup.bash, or unset ROS_DISTRO.\n"
    )


@on_linux_x86
@pytest.mark.skipif(sys.version_info[:2] == (3, 12), reason="this Python suits Jazzy")
def test_jazzy_rejects_other_python_versions(tree: Path) -> None:
    refused = choose(tree, ROS_DISTRO="jazzy", PYTHON=sys.executable)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == (
        f"error: PYTHON={sys.executable} is no Python that ROS 2 jazzy can have here; it needs 3.12.\n"
    )


@on_linux_x86
@pytest.mark.parametrize("distro", ["jazzy", "kilted"])
def test_missing_python_is_named(tree: Path, distro: str, tmp_path: Path) -> None:
    """A machine whose only Python is older than all wheels."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in (
        "bash",
        "awk",
        "basename",
        "dirname",
        "flock",
        "mkdir",
        "paste",
        "sed",
        "tr",
        "uname",
    ):
        (programs / name).symlink_to(shutil.which(name) or name)
    nothing = {"PATH": str(programs), "HOME": str(tmp_path), "PYENV_ROOT": str(tmp_path)}
    # The last candidate is the system interpreter.
    script = tree / "scripts/setup.sh"
    script.write_text(script.read_text().replace("/usr/bin/python3", str(programs / "python3")))
    refused = choose(tree, ROS_DISTRO=distro, **nothing)
    assert refused.returncode == 1
    wanted = "3.12" if distro == "jazzy" else "one of 3.10 3.11 3.12 3.13"
    assert refused.stderr.startswith(
        f"error: ROS 2 {distro}'s wheels need Python {wanted} and none was found; install one, for example: sudo apt install"
    )


@on_linux_x86
def test_finds_inactive_pyenv_interpreter(tree: Path, tmp_path: Path) -> None:
    version = ".".join(map(str, sys.version_info[:2]))
    interpreter = tmp_path / "pyenv/versions" / f"{version}.99" / "bin/python3"
    interpreter.parent.mkdir(parents=True)
    interpreter.symlink_to(sys.executable)
    script = tree / "scripts/setup.sh"
    text = re.sub(
        r"for candidate in python3 .*; do", "for candidate in nothing; do", script.read_text()
    )
    script.write_text(text)
    found = choose(tree, PYENV_ROOT=str(tmp_path / "pyenv"))
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith(f"{version} ")


# --- the environment of a shell ---


def environment(tree: Path, *kinds: str, **variables: str) -> dict[str, str]:
    """Return the variables of a shell that sources the environments of these setups in order."""
    sourced = []
    for number, kind in enumerate(kinds):
        script = tree / ".setup" / f"{number}.sh"
        suffix = "" if kind.endswith("kilted") else "-" + kind.partition("-")[2]
        workspace = tree if not suffix else tree / ".setup" / suffix[1:]
        (workspace / "install/tddfa_ros/share").mkdir(parents=True, exist_ok=True)
        command = [
            "bash",
            "scripts/write_env.sh",
            tree,
            kind,
            "3.12",
            f"{tree}/.venv{suffix}",
            workspace,
        ]
        script.write_text(
            subprocess.run(command, cwd=tree, capture_output=True, text=True, check=True).stdout
        )
        sourced.append(f". {script}")
    shell = " && ".join(["set -eu", *sourced, "env -0"])
    kept = {"PATH": os.environ["PATH"], **variables}
    done = subprocess.run(
        ["bash", "-c", shell], env=kept, capture_output=True, text=True, check=True
    )
    return dict(line.split("=", 1) for line in done.stdout.split("\0") if line)


PROFILES = {"jazzy": "FASTRTPS_DEFAULT_PROFILES_FILE", "kilted": "FASTDDS_DEFAULT_PROFILES_FILE"}


@pytest.mark.parametrize("distro", PROFILES)
def test_sets_the_profile_variable_of_the_distribution(tree: Path, distro: str) -> None:
    found = environment(tree, f"wheels-{distro}")
    assert found["ROS_DISTRO"] == distro
    assert {name for name in PROFILES.values() if name in found} == {PROFILES[distro]}
    assert Path(found[PROFILES[distro]]).name == "fastdds.xml"


def test_keeps_user_profile_under_the_expected_name(tree: Path) -> None:
    mine = {PROFILES["kilted"]: "mine.xml"}
    assert environment(tree, "wheels-kilted", **mine)[PROFILES["kilted"]] == "mine.xml"
    found = environment(tree, "wheels-jazzy", **mine)
    assert found[PROFILES["jazzy"]] == "mine.xml" and PROFILES["kilted"] not in found


def test_last_sourced_environment_is_the_only_one_on_the_paths(tree: Path) -> None:
    alone = environment(tree, "wheels-kilted")
    again = environment(tree, "wheels-kilted", "wheels-jazzy", "wheels-kilted")
    assert again == alone
    jazzy = environment(tree, "wheels-kilted", "wheels-jazzy")
    for name in ("PATH", "PYTHONPATH", "AMENT_PREFIX_PATH", "CMAKE_PREFIX_PATH", "LD_LIBRARY_PATH"):
        own = [entry for entry in jazzy[name].split(":") if entry.startswith(str(tree))]
        assert own and all(
            entry.startswith((f"{tree}/.venv-jazzy", f"{tree}/.setup/jazzy/")) for entry in own
        )


def test_foreign_paths_are_kept(tree: Path) -> None:
    found = environment(
        tree, "wheels-kilted", PYTHONPATH="/opt/mine", LD_LIBRARY_PATH=f"{tree}/lib"
    )
    assert found["PYTHONPATH"].split(":")[-1] == "/opt/mine"
    assert found["LD_LIBRARY_PATH"].split(":")[-1] == f"{tree}/lib"
