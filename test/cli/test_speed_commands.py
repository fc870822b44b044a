"""``tddfa quantize``, ``trt``, ``doctor`` and ``batch``."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
import pytest

from tddfa_ros import FacePipeline
from tddfa_ros.cli import main
from tddfa_ros.cli.doctor import as_text
from tddfa_ros.precision.choice import PrecisionTiming
from tddfa_ros.tuning.doctor import ABSENT, OK, Finding
from tddfa_ros.tuning.measure import Timing
from tddfa_ros.tuning.precision import PrecisionFinding


@pytest.fixture
def images(tmp_path: Path, astronaut: np.ndarray) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    cv2.imwrite(str(folder / "astronaut.png"), astronaut)
    return folder


def test_quantized_network_runs_in_the_pipeline(
    images: Path, tmp_path: Path, astronaut: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "small.onnx"
    assert main(["quantize", "tddfa-mb05", "-o", str(output), "--calibration", str(images)]) == 0
    table = capsys.readouterr().out
    assert "| landmarks differ by, px: mean |" in table
    assert output.with_suffix(".md").read_text() == table
    small = FacePipeline.from_config({"regression": {"model": str(output)}})
    (mine,), (true,) = small(astronaut), FacePipeline()(astronaut)
    moved = np.linalg.norm(mine.landmarks68 - true.landmarks68, axis=1)
    # Measured on 56 faces: 0.13 px of a 120-px crop on average, 0.30 at worst; this ROI is 135 px wide.
    assert 0 < moved.mean() < 1.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tddfa-mb05", "-o", "x.onnx"], "needs --calibration"),
        (["tddfa-mb05", "-o", "x.bin", "--mode", "dynamic"], "must end in .onnx"),
        (["nonsense", "-o", "x.onnx", "--mode", "dynamic"], "no model 'nonsense'"),
    ],
)
def test_quantize_rejects_invalid_input(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["quantize", *arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count("\n") == 1


@pytest.mark.skipif(
    "TensorrtExecutionProvider" in ort.get_available_providers(), reason="TensorRT may work here"
)
def test_trt_reports_missing_tensorrt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["trt", "tddfa-mb05", "-o", str(tmp_path / "engine"), "--fp16"]
    assert main(arguments) == 2
    assert capsys.readouterr().err == (
        "error: TensorRT cannot be used on this machine: the installed ONNX Runtime has no TensorRT support "
        "(onnxruntime-gpu has it)\n"
    )


def test_doctor_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", "--no-measure", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert {f["group"] for f in report["findings"]} >= {"machine", "ONNX Runtime", "models"}
    assert report["timings"] == []


def test_doctor_as_text() -> None:
    findings = [
        Finding("machine", "Python", OK, "3.12.1"),
        Finding("software", "PyAV", ABSENT, "not installed"),
    ]
    timings = [Timing("net", "CPU, 1 thread", 8, 1.234), Timing("net", "CUDA", 1, problem="no")]
    measured = PrecisionFinding("net", "int8", PrecisionTiming(2.0, 1.5))
    precisions = [measured, PrecisionFinding("other", "float32", reason="no accuracy")]
    assert as_text(findings, timings, precisions).split("\n") == [
        "machine",
        "  ok      Python: 3.12.1",
        "",
        "software",
        "  absent  PyAV: not installed",
        "",
        "median ms of one face or image",
        f"  {'net, 8 at once':<26} {'CPU, 1 thread':<16} 1.23",
        f"  {'net, 1 at once':<26} {'CUDA':<16} no",
        "",
        "precision: auto on the CPU (median processor ms of one face or image)",
        f"  {'net':<26} {'int8':<16} float32 2.00, int8 1.50",
        f"  {'other':<26} {'float32':<16} no accuracy",
    ]


def test_batch_keeps_order_of_images_and_bags(
    images: Path, tmp_path: Path, astronaut: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rosbags.highlevel", reason="the extra [bags] (rosbags) is not installed")
    from support.bags import COMPRESSED, RAW, stamp_ns, write_bag

    wall = np.full((64, 64), 90, np.uint8)
    ride = write_bag(tmp_path / "ride", [astronaut, wall], [RAW, COMPRESSED], mcap=True)
    output = tmp_path / "faces.jsonl"
    arguments = ["batch", str(ride), str(images), "-o", str(output), "--workers", "1"]
    assert main(arguments) == 2
    assert "choose one of these topics" in capsys.readouterr().err
    assert main([*arguments, "--topic", RAW]) == 0
    first, second, last = (json.loads(line) for line in output.read_text().splitlines())
    assert (first["image"], first["topic"], first["stamp_ns"]) == (str(ride), RAW, stamp_ns(0))
    assert (second["stamp_ns"], second["faces"]) == (stamp_ns(1), [])
    assert set(last) == {"image", "faces"}
    assert first["faces"] == last["faces"], "the same pixels"
    assert len(first["faces"]) == 1
    assert capsys.readouterr().out == f"{output}: 2 faces in 3 images\n"


def test_batch_writes_one_line_per_image_and_reports_failures(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (images / "broken.png").write_bytes(b"broken")
    output = tmp_path / "faces.jsonl"
    assert main(["batch", str(images), "-o", str(output), "--workers", "1"]) == 1
    records = [json.loads(line) for line in output.read_text().splitlines()]
    assert [Path(record["image"]).name for record in records] == ["astronaut.png", "broken.png"]
    assert [len(record["faces"]) for record in records] == [1, 0]
    captured = capsys.readouterr()
    assert captured.out == f"{output}: 1 face in 1 image\n"
    assert f"{images / 'broken.png'} cannot be read as an image\n" in captured.err
