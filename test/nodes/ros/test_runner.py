from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

ROOT = Path(__file__).resolve().parents[3]

PROGRAM = """
import sys, time
from rclpy.node import Node
from std_srvs.srv import Trigger
from tddfa_ros.errors import ModelError
from tddfa_ros.nodes.ros.runner import run

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
    def __init__(
        self, build: str = "pass", close: str = "pass", arguments: Sequence[str] = ()
    ) -> None:
        source = textwrap.dedent(PROGRAM).replace("BUILD", build).replace("CLOSE", close)
        # The source tree first, whether the package is installed or not.
        tree = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        self.process = subprocess.Popen(
            [sys.executable, "-c", source, *arguments],
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
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err


@pytest.mark.ros
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_spinning_node_silently(number: int) -> None:
    program = Program()
    program.until("ticking")
    code, out, err = program.end(number)
    assert code == 0, err
    assert "closed" in out
    assert "Traceback" not in err


IDLE = """
import sys, threading
from rclpy.node import Node
from tddfa_ros.nodes.ros.runner import run

class Idle(Node):
    def __init__(self):
        super().__init__("idle")
        # What rclpy's signal thread does last: nothing wakes an executor that waits already.
        threading.Timer(1.0, self.context.handle.shutdown).start()

sys.exit(run(Idle))
"""


@pytest.mark.ros
def test_idle_node_exits_with_its_context() -> None:
    tree = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    ended = subprocess.run(
        [sys.executable, "-c", IDLE],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": tree},
    )
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.ros
def test_second_sigint_during_shutdown_is_ignored() -> None:
    program = Program(close="time.sleep(0.5)")
    program.until("ticking")
    code, out, err = program.end(signal.SIGINT, signal.SIGINT)
    assert code == 0, err
    assert "closed" in out
    assert "Traceback" not in err


@pytest.mark.ros
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_during_construction_exits_cleanly(number: int) -> None:
    program = Program(build="print('inside', flush=True); time.sleep(1.0)")
    program.until("inside")
    code, _, err = program.end(number)
    assert code == 0, err
    assert "Traceback" not in err


@pytest.mark.ros
def test_failing_node_prints_one_line() -> None:
    program = Program(build="raise ModelError('the model x is not here')")
    code, _, err = program.end()
    assert code == 2
    assert err.strip().splitlines() == ["error: the model x is not here"]


@pytest.mark.ros
def test_unexpected_exception_propagates() -> None:
    program = Program(build="raise KeyError('bug')")
    code, _, err = program.end()
    assert code == 1
    assert "KeyError: 'bug'" in err


@pytest.mark.ros
@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--ros-args", "-p", "bad::"], "-p bad::"),
        (["--ros-args", "--params-file", "/not/here.yaml"], "/not/here.yaml"),
        (["--ros-args", "--wrong-option"], "--wrong-option"),
    ],
)
def test_invalid_ros_arguments_raise_one_line(arguments: list[str], named: str) -> None:
    program = Program(arguments=arguments)
    code, out, err = program.end()
    assert code == 2, err
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, err
    assert named in errors[0]
    assert ".c:" not in errors[0]
    assert "Traceback" not in err
    assert "building" not in out


EARLY = """
import os, signal, sys

class Finder:
    # Sends the signal while the first heavy module is being looked for.
    def find_spec(self, name, path=None, target=None):
        if name == "HEAVY":
            os.kill(os.getpid(), NUMBER)
        return None

assert not {"numpy", "rclpy", "cv2"} & set(sys.modules)
from tddfa_ros.nodes.main import NODE
assert not {"numpy", "rclpy", "cv2"} & set(sys.modules), "heavy before the handlers are in place"
sys.meta_path.insert(0, Finder())
NODE()
"""


@pytest.mark.ros
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("node", "heavy"), [("face_node", "numpy"), ("face_system", "rclpy")])
def test_signal_during_imports_exits_cleanly(node: str, heavy: str, number: int) -> None:
    source = EARLY.replace("NODE", node).replace("HEAVY", heavy).replace("NUMBER", str(int(number)))
    tree = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", source],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": tree},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
