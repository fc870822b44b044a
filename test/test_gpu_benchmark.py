"""``benchmarks/gpu.py`` on the CPU, small; no timing is asserted."""

from __future__ import annotations

import importlib
import math
import sys
from pathlib import Path
from typing import Any

import pytest
from support.faces import model_parameters

pytest.importorskip("skimage", reason="scikit-image provides the portrait")
pytest.importorskip("torch", reason="torch is an optional dependency")

from tddfa_ros.errors import DeviceError

BENCHMARKS = str(Path(__file__).resolve().parents[1] / "benchmarks")
SMALL = ["--device", "cpu", "--batches", "1,8", "--seconds", "0"]

pytestmark = pytest.mark.skipif(
    bool(model_parameters()), reason="it runs with the models of the package"
)


@pytest.fixture(scope="module")
def gpu() -> Any:
    sys.path.insert(0, BENCHMARKS)
    yield importlib.import_module("gpu")
    sys.path.remove(BENCHMARKS)


def test_measures_every_output_on_the_cpu(
    gpu: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "new" / "gpu.md"
    monkeypatch.setattr(sys, "argv", ["gpu.py", *SMALL, "--output", str(output)])
    results: list[Any] = []
    run = gpu.Bench.run
    monkeypatch.setattr(gpu.Bench, "run", lambda self: results.append(run(self)) or results[0])
    assert gpu.main() == 0
    (result,) = results
    wanted = {("CPU float32", o, n) for o in gpu.OUTPUTS for n in (1, 8)}
    assert set(result.throughput) == wanted
    assert set(result.latency) == {("CPU float32", o) for o in gpu.OUTPUTS}
    values = [*result.throughput.values(), *result.stages.values()]
    values += [v for pair in result.latency.values() for v in pair]
    assert all(math.isfinite(value) and value > 0 for value in values)
    assert len(result.stages) == 7 and result.notes == []
    text = output.read_text()
    assert text == capsys.readouterr().out[:-1]
    assert gpu.machine("cpu") in text and "torch" in gpu.machine("cpu")
    assert "| network | output | 1 | 8 |" in text
    assert text.count("| CPU float32 | ") == 2 * len(gpu.OUTPUTS) + 7


def test_batches_have_as_many_faces_as_asked_for(gpu: Any) -> None:
    bench = gpu.Bench(gpu.parse(SMALL))
    for faces in (1, 2, 8, 11):
        frames, rois = bench.batch(faces)
        assert len(frames) == len(rois) and sum(map(len, rois)) == faces


def test_stops_when_time_is_over_and_names_failures(gpu: Any) -> None:
    def fail() -> None:
        raise DeviceError("out of memory")

    late = gpu.Bench(gpu.parse([*SMALL, "--minutes", "0"]))
    result = late.run()
    assert result.throughput == {} and len(result.notes) == 4
    assert "CPU float32, 1 faces: not measured, because the time was over." in result.notes
    late.end = math.inf
    late.guarded("dense", fail)
    assert result.notes[-1] == "dense: out of memory."
    text = gpu.markdown(result, "a GPU", [1, 8])
    assert "because the time was over" in text and "on a GPU." in text


def test_missing_gpu_is_one_sentence(
    gpu: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tddfa_ros.runtime.torch_device.cuda_absence", lambda: "no CUDA here")
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--device", "cuda"])
    assert gpu.main() == 2
    assert capsys.readouterr().err == "error: CUDA cannot be used: no CUDA here\n"
