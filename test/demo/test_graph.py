"""Processes of the demo: command lines, isolated environment, error messages, clean shutdown."""

import subprocess
import sys
import time

import pytest

from tddfa_ros.demo.graph import Graph, NodeProcess, last_error_line, private_environment
from tddfa_ros.errors import TddfaError

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]


def wait_for(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "timeout"
        time.sleep(0.02)


def test_parameters_become_ros_arguments(tmp_path):
    node = NodeProcess(
        "face_node", {"rate": 30.0, "on": True, "source": 'a "b"'}, tmp_path / "p.yaml"
    )
    command = node.command()
    assert command[:4] == [sys.executable, "-m", "tddfa_ros.nodes.face_node", "--ros-args"]
    assert command[4:6] == ["--params-file", str(tmp_path / "p.yaml")]
    assert command[6:] == ["-p", "rate:=30.0", "-p", "on:=true", "-p", 'source:="a \\"b\\""']


def test_environment_is_limited_to_localhost():
    environment = private_environment()
    assert 1 <= int(environment["ROS_DOMAIN_ID"]) <= 101
    assert environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    assert private_environment(7)["ROS_DOMAIN_ID"] == "7"


def test_graph_exit_stops_all_processes():
    with Graph(private_environment()) as graph:
        processes = [graph.start(f"n{i}", SLEEPER) for i in range(2)]
        graph.check()
        assert all(p.poll() is None for p in processes)
    assert all(p.poll() is not None for p in processes)


def test_failed_process_is_reported_with_reason():
    code = "import sys; print('error: there is no camera 9', file=sys.stderr); sys.exit(2)"
    with Graph(private_environment()) as graph:
        process = graph.start("image_source_node", [sys.executable, "-c", code])
        process.wait(10)
        with pytest.raises(TddfaError, match="image_source_node stopped: there is no camera 9"):
            graph.check()


def test_exit_code_zero_is_not_a_failure():
    with Graph(private_environment()) as graph:
        graph.start("recorder", [sys.executable, "-c", "print('done')"]).wait(10)
        graph.check()
        assert graph.log("recorder").strip() == "done"


def test_cpu_time_counts_children_too():
    burn = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass\ntime.sleep(60)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])"
    with Graph(private_environment()) as graph:
        graph.start("busy", [sys.executable, "-c", parent])
        graph.start("idle", SLEEPER)
        wait_for(lambda: graph.cpu_seconds()["busy"] >= 0.3)
        assert graph.cpu_seconds()["idle"] < 0.25


def test_output_can_be_piped():
    with Graph(private_environment()) as graph:
        process = graph.start(
            "talker", [sys.executable, "-c", "print('hello')"], stdout=subprocess.PIPE
        )
        assert process.stdout.read().strip() == b"hello"


def test_missing_program():
    with Graph(private_environment()) as graph, pytest.raises(TddfaError, match="cannot start x"):
        graph.start("x", ["/no/such/program"])


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("", ""),
        ("a\nb\n", "b"),
        ("error: the model is missing\n[INFO] bye\n", "the model is missing"),
    ],
)
def test_last_error_line(log, words):
    assert last_error_line(log) == words
