"""The linters of ROS's own continuous integration, where a ROS installation brings them (``test_depend``)."""

from __future__ import annotations

from pathlib import Path

import pytest


def test_flake8(repo_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ROS runs, by our own selection of checks: ament's default asks for single quotes and another order of imports."""
    linter = pytest.importorskip("ament_flake8.main", reason="ament_flake8 comes with ROS")
    monkeypatch.chdir(repo_root)
    status, errors = linter.main_with_errors(
        argv=["--config", "setup.cfg", "tddfa_ros/nodes", "tddfa_ros/demo", "launch", "setup.py"]
    )
    assert status == 0, "\n".join(errors)
