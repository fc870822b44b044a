from __future__ import annotations

import pytest

from tddfa_ros.errors import ConfigError
from tddfa_ros.nodes.options import FaceNodeOptions
from tddfa_ros.tracking.ids import check_prefix, resolve_prefix


@pytest.mark.parametrize(
    ("prefix", "namespace", "expected"),
    [
        ("auto", "/", ""),
        ("auto", "/left", "left_"),
        ("auto", "/robot1/head_camera", "robot1_head_camera_"),
        ("auto", "/_private", "private_"),
        ("door_", "/left", "door_"),
        ("", "/left", ""),
    ],
)
def test_prefix_of_namespace(prefix: str, namespace: str, expected: str):
    assert resolve_prefix(prefix, namespace) == expected
    check_prefix(expected)


@pytest.mark.parametrize("prefix", ["1st_", "_", "a/b", "left-", "é"])
def test_invalid_prefix_is_refused(prefix: str):
    with pytest.raises(ConfigError, match="id_prefix must start with a letter"):
        FaceNodeOptions(id_prefix=prefix)
