"""Distributed training with two processes of torchrun on the CPU (gloo)."""

from __future__ import annotations

import csv
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.tiny_training import write_cache

from tddfa_ros.errors import ConfigError
from tddfa_ros.morphable import MorphableModel

torch = pytest.importorskip("torch", reason="the extra [training] (torch) is not installed")

from tddfa_ros.cli import main  # noqa: E402
from tddfa_ros.training import checkpoint as checkpoints  # noqa: E402
from tddfa_ros.training.processes import Workers, keep_freed_memory, workers  # noqa: E402
from tddfa_ros.training.trainer import Trainer  # noqa: E402

PATIENCE = 200.0  # seconds, on a busy machine


# -- alone -----------------------------------------------------------------------------------------------------------


def test_single_process_needs_no_group() -> None:
    with workers("cpu") as alone:
        assert (alone.rank, alone.count, alone.first) == (0, 1, True)
        assert alone.mean(2.5) == 2.5
        assert alone.any(True) and not alone.any(False)
        network = torch.nn.Linear(2, 2)
        assert alone.wrap(network) is network
        with alone.first_alone():
            pass
    assert not torch.distributed.is_initialized()


def test_rejects_unavailable_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="finds no usable GPU"), workers("cuda"):
        pass
    with pytest.raises(ConfigError, match="auto, cpu or cuda, not 'tpu'"), workers("tpu"):
        pass
    with workers("auto") as alone:
        assert alone.device == torch.device("cpu")


def test_first_process_writes() -> None:
    assert Workers(0, 3, torch.device("cpu")).first
    assert not Workers(2, 3, torch.device("cpu")).first


# -- two processes ---------------------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def arguments(tiny_model: MorphableModel, tmp_path: Path) -> list[str]:
    """``tddfa train`` with six steps an epoch for each of two processes."""
    tiny_model.save(tmp_path / "model.npz")
    write_cache(tmp_path / "cache", tiny_model, 48, negatives=12)
    arguments = [
        "train",
        "--cache",
        str(tmp_path / "cache"),
        "--morphable-model",
        str(tmp_path / "model.npz"),
    ]
    arguments += ["--checkpoint-dir", str(tmp_path / "run"), "--device", "cpu", "--threads", "1"]
    arguments += ["--width", "0.125", "--input-size", "96", "--batch", "4", "--samples", "48"]
    return [*arguments, "--workers", "0", "--ema-half-life", "4"]


def interrupted_under_torchrun(arguments: list[str], until: Path) -> str:
    """Start torchrun, send SIGINT when the file ``until`` exists, and return the output."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    launcher += ["--master-addr", "127.0.0.1", "--master-port", str(free_port())]
    process = subprocess.Popen(
        [*launcher, "-m", "tddfa_ros", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        end = time.monotonic() + PATIENCE
        while not until.is_file() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does; torchrun passes it on to both
        out, _ = process.communicate(timeout=PATIENCE)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    return out


def one_of_two(rank: int, port: int, arguments: list[str], folder: Path) -> None:
    """Run the command with the environment of torchrun, and save its weights to ``folder``."""
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    run = Trainer.run

    def run_and_tell(trainer: Trainer) -> None:
        run(trainer)
        weights = {name: p.detach() for name, p in trainer.network.named_parameters()}
        state = trainer.averaged().state_dict()
        averaged = {name: state[name] for name in weights}
        torch.save({"weights": weights, "averaged": averaged}, folder / f"rank_{rank}.pt")

    Trainer.run = run_and_tell  # type: ignore[method-assign]
    sys.exit(main(arguments))


def test_interrupted_processes_resume_to_equal_weights(
    arguments: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    checkpoint = tmp_path / "run" / "checkpoint.pt"
    out = interrupted_under_torchrun([*arguments, "--epochs", "5000"], until=checkpoint)
    assert out.count(f"stopped: rerun the same command to resume from {checkpoint}") == 1, out
    state = checkpoints.load(checkpoint)["train_state"]
    assert state["epoch"] >= 1
    assert 1 <= state["step"] <= 6, "in the middle of an epoch of 48 / (2 x 4) steps"

    epochs, port = state["epoch"] + 2, free_port()
    again = [*arguments, "--epochs", str(epochs), "--resume"]
    capfd.readouterr()
    codes = exit_codes_of_two(one_of_two, port, again, tmp_path)
    told = capfd.readouterr()
    assert codes == [0, 0], told.err
    assert told.out.count(f"trained for {epochs} epochs") == 1, "printed by the first process only"
    one, two = (torch.load(tmp_path / f"rank_{rank}.pt", weights_only=True) for rank in (0, 1))
    for kind in ("weights", "averaged"):
        assert one[kind].keys() == two[kind].keys()
        for name, value in one[kind].items():
            assert torch.equal(value, two[kind][name]), name
    state = checkpoints.load(checkpoint)
    assert (state["train_state"]["epoch"], state["steps_per_epoch"]) == (epochs, 6)
    assert all(torch.equal(state["network"][n], v) for n, v in one["weights"].items())
    with (tmp_path / "run" / "log.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["epoch"] for line in lines] == [str(epoch + 1) for epoch in range(epochs)]
    assert len(list((tmp_path / "run" / "overlays").iterdir())) == epochs


def exit_codes_of_two(target: Callable[..., None], *arguments: object) -> list[int | None]:
    """Run ``target(rank, *arguments)`` in two processes; forked, because torch is imported already."""
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=target, args=(rank, *arguments), daemon=True) for rank in (0, 1)]
    for process in both:
        process.start()
    end = time.monotonic() + PATIENCE
    for process in both:
        process.join(max(0.0, end - time.monotonic()))
        process.kill()
        process.join()
    return [process.exitcode for process in both]


def averages(rank: int, port: int, answers: multiprocessing.Queue[object]) -> None:
    """Write the results of collective operations; one process requests a stop, the first one writes files slowly."""
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    with workers("cpu") as mine:
        with mine.first_alone():
            time.sleep(0.3 if mine.first else 0)
            entered = time.monotonic()
        answers.put((rank, mine.mean(float(rank)), mine.any(rank == 1), mine.any(False), entered))


def test_processes_synchronize() -> None:
    answers: multiprocessing.Queue[Any] = multiprocessing.get_context("fork").Queue()
    assert exit_codes_of_two(averages, free_port(), answers) == [0, 0]
    first, second = sorted(answers.get(timeout=10) for _ in range(2))
    assert first[1:4] == second[1:4] == (0.5, True, False)
    assert second[4] >= first[4], "the second waits until the first has left"


# -- memory ----------------------------------------------------------------------------------------------------------

_FAULTS = """
import resource, sys
import numpy as np
from tddfa_ros.training.processes import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
np.ones(20_000_000, np.uint8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.ones(20_000_000, np.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(mode: str) -> int:
    command = [sys.executable, "-c", _FAULTS, mode]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mallopt is of Linux")
def test_freed_memory_is_reused() -> None:
    """A newly mapped block causes page faults, a reused block none."""
    assert _faults("keep") < _faults("leave") / 10


def test_allocator_is_unchanged_on_other_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not keep_freed_memory()
