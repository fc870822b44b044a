"""The soak of ``benchmarks/soak.py``, short: faces that come and go, then faults, each with a recovery."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.faces import model_parameters

pytest.importorskip("rclpy", reason="no ROS 2 here: run through `make test`")
pytest.importorskip("tddfa_msgs", reason="tddfa_msgs is not built: run through `make test`")
pytest.importorskip("skimage", reason="scikit-image provides the portrait")

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.ros


def test_graph_recovers_from_faults() -> None:
    if model_parameters():
        pytest.skip("the soak runs with the models of the package")
    command = [sys.executable, str(ROOT / "benchmarks/soak.py"), "--minutes", "0.1", "--fuzz", "30"]
    tree = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=400, env={**os.environ, "PYTHONPATH": tree}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    table = done.stdout.partition("| fault |")[2]
    assert "no node publishes /face_mesh: smoothing_node is not running" in table
    assert "ends with code 2: error: " in table
    assert "never" not in table
