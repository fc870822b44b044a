"""Console scripts of the nodes on a machine without ROS."""

from __future__ import annotations

import pytest

from tddfa_ros.nodes import main


@pytest.mark.parametrize(
    "script", ["face_node", "smoothing_node", "image_source_node", "face_system"]
)
def test_node_without_ros_ends_in_one_sentence(
    script: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(main, "find_spec", lambda name: None)
    with pytest.raises(SystemExit) as ended:
        getattr(main, script)()
    error = capsys.readouterr().err
    assert ended.value.code == 2 and error.count("\n") == 1
    assert error.startswith(f"error: {script} needs ROS 2, and this Python has no rclpy")
