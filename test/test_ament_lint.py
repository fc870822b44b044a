"""Linters of ament, if ROS is installed (``test_depend``)."""

from __future__ import annotations

from pathlib import Path

import pytest


def test_flake8(repo_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """flake8 with the checks of this repository: ament's default requires single quotes and another import order."""
    linter = pytest.importorskip("ament_flake8.main", reason="ament_flake8 comes with ROS")
    monkeypatch.chdir(repo_root)
    status, errors = linter.main_with_errors(
        argv=["--config", "setup.cfg", "tddfa_ros/nodes", "tddfa_ros/demo", "launch", "setup.py"]
    )
    assert status == 0, "\n".join(errors)
