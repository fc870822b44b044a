from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import sys, time
from rclpy.node import Node
from std_srvs.srv import Trigger
from tddfa_ros.errors import ModelError
from tddfa_ros.nodes.runner import run

class Probe(Node):
    def __init__(self):
        print("building", flush=True)
        super().__init__("probe")
        BUILD
        self.create_timer(0.05, self.tick)
        self.ticks = 0
    def tick(self):
        self.ticks += 1
        if self.ticks == 2:
            print("ticking", flush=True)
    def close(self):
        CLOSE
        print("closed", flush=True)

sys.exit(run(Probe))
"""


class Program:
    def __init__(self, build: str = "pass", close: str = "pass") -> None:
        source = textwrap.dedent(PROGRAM).replace("BUILD", build).replace("CLOSE", close)
        # The source tree first, whether the package is installed or not.
        tree = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        self.process = subprocess.Popen(
            [sys.executable, "-c", source],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": tree},
        )

    def until(self, line: str) -> None:
        assert self.process.stdout is not None
        for printed in self.process.stdout:
            if printed.strip() == line:
                return
        pytest.fail(f"never printed {line!r}; stderr: {self.process.communicate()[1]}")

    def end(self, *signals: int, pause: float = 0.1) -> tuple[int, str, str]:
        for number in signals:
            self.process.send_signal(number)
            time.sleep(pause)
        out, err = self.process.communicate(timeout=10)
        return self.process.returncode, out, err


@pytest.mark.ros
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_spinning_node_without_a_word(number: int) -> None:
    program = Program()
    program.until("ticking")
    code, out, err = program.end(number)
    assert code == 0, err
    assert "closed" in out
    assert "Traceback" not in err


@pytest.mark.ros
def test_a_second_sigint_while_closing_is_ignored() -> None:
    program = Program(close="time.sleep(0.5)")
    program.until("ticking")
    code, out, err = program.end(signal.SIGINT, signal.SIGINT)
    assert code == 0, err
    assert "closed" in out
    assert "Traceback" not in err


@pytest.mark.ros
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_a_node_is_being_built_is_a_clean_end_too(number: int) -> None:
    program = Program(build="print('inside', flush=True); time.sleep(1.0)")
    program.until("inside")
    code, _, err = program.end(number)
    assert code == 0, err
    assert "Traceback" not in err


@pytest.mark.ros
def test_a_node_that_cannot_start_says_why_in_one_line() -> None:
    program = Program(build="raise ModelError('the model x is not here')")
    code, _, err = program.end()
    assert code == 2
    assert err.strip().splitlines() == ["error: the model x is not here"]


@pytest.mark.ros
def test_a_bug_is_not_hidden() -> None:
    program = Program(build="raise KeyError('bug')")
    code, _, err = program.end()
    assert code == 1
    assert "KeyError: 'bug'" in err
