"""Interface packages for environments of ROS wheels: the same types as those of a ROS installation."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

PACKAGES = Path(__file__).resolve().parents[1] / "scripts" / "wheels"

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


def test_the_messages_of_ros4hri_are_unchanged() -> None:
    """DDS compares hashes of types: a field renamed here would be deaf to every robot."""
    found = {}
    for path in (PACKAGES / "hri_msgs" / "msg").glob("*.msg"):
        text = path.read_bytes()
        found[path.stem] = hashlib.sha1(b"blob %d\0" % len(text) + text).hexdigest()
    assert found == HRI_MSGS


@pytest.mark.parametrize("package", ["hri_msgs", "tf2_msgs"])
def test_every_message_of_a_package_is_built(package: str) -> None:
    listed = re.findall(r"msg/(\w+)\.msg", (PACKAGES / package / "CMakeLists.txt").read_text())
    assert sorted(listed) == sorted(p.stem for p in (PACKAGES / package / "msg").glob("*.msg"))
