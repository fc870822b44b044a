"""Measure the speed of every stage with one thread and with two: ``make bench``, or ``python benchmarks/bench.py``.

Prints Markdown and writes out/bench.json. Times on a shared machine vary, so every row is a median, and ratios refer to a
baseline measured in the same run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from scenes import scene
from timing import Row, machine_unit, markdown, row

from tddfa_ros.config import PipelineConfig
from tddfa_ros.errors import TddfaError
from tddfa_ros.rendering import OverlayOptions, draw_overlay

CROWDS = (1, 2, 5)


class Bench:
    """All rows for one number of threads."""

    def __init__(self, threads: int, seconds: float, unit: Row, baseline: Path | None) -> None:
        self.threads, self.seconds, self.unit, self.baseline = threads, seconds, unit, baseline
        defaults = PipelineConfig()
        self.config = replace(
            defaults, regression=replace(defaults.regression, device="cpu", threads=threads)
        )

    def rows(self) -> Iterator[Row]:
        """Yield the rows of every stage; a stage that cannot be measured gives a row with the reason."""
        cv2.setNumThreads(self.threads)
        for name, stage in (
            ("detector", self.detector),
            ("regressor", self.regressor),
            ("mesh", self.mesh),
            ("tracked frame", self.frame),
        ):
            try:
                yield from stage()
            except (TddfaError, ImportError) as error:
                yield Row(name, self.threads, None, note=str(error))

    def row(self, name: str, call: Callable[[], object], baseline: Row | None = None) -> Row:
        """Time one call."""
        return row(name, self.threads, call, self.seconds, baseline or self.unit)

    def detector(self) -> Iterator[Row]:
        """Time the detector on 640x480."""
        from tddfa_ros.detection import create_detector
        from tddfa_ros.model_store.store import default_store

        detector = create_detector(self.config.detection, default_store(), "cpu", self.threads)
        image = scene(2)
        size = self.config.detection.input_size
        yield self.row(f"detector, 640x480 to {size}", lambda: detector(image))

    def regressor(self) -> Iterator[Row]:
        """Time the network alone, against that of 3DDFA_V2."""
        from tddfa_ros.pipeline import FacePipeline

        base = {n: self._baseline_row(n) for n in CROWDS}
        yield from (r for r in base.values() if r is not None)
        regressor = FacePipeline(self.config)._regressor
        size = regressor.input_size
        for n in CROWDS:
            crops = np.random.default_rng(n).integers(0, 256, (n, size, size, 3)).astype(np.uint8)
            yield self.row(f"regressor, {n} faces", lambda c=crops: regressor(c), base[n])

    def _baseline_row(self, faces: int) -> Row | None:
        from tddfa_ros.runtime.session import OnnxSession

        if self.baseline is None:
            return None
        session = OnnxSession(self.baseline, "cpu", self.threads)
        image = np.zeros((faces, 3, 120, 120), np.float32)
        feeds = {session.input_names[0]: image}
        return self.row(f"baseline network, {faces} faces", lambda: session.run(feeds))

    def mesh(self) -> Iterator[Row]:
        """Time reconstruction, smoothing, drawing and publishing of one face."""
        from tddfa_ros.pipeline import FacePipeline
        from tddfa_ros.smoothing.smoother import FaceSmoother

        image = scene(1)
        face = _tracked(FacePipeline(self.config), image)[0]
        model, count = face.model, len(face.model.mean)
        dense = np.concatenate([model.shape_basis, model.expression_basis], axis=2).reshape(
            3 * count, -1
        )
        coefficients = np.ascontiguousarray(face.params[12:])
        flat = model.mean.ravel()
        product = self.row("baseline: one dense NumPy product", lambda: dense @ coefficients + flat)
        yield product
        yield self.row("dense mesh, px", lambda: face.replace(params=face.params).vertices, product)
        yield self.row(
            "dense mesh, m (fit and mesh)",
            lambda: face.replace(params=face.params).vertices_metric,
            product,
        )
        clock = iter(range(1, 10**9))
        smoother = FaceSmoother(self.config.smoothing)
        yield self.row("smoothing", lambda: smoother([face.replace(stamp=next(clock) / 30)]))
        options = OverlayOptions(fps=30.0)
        yield self.row("overlay, coarse mesh", lambda: draw_overlay(image, [face], model, options))
        dense_options = replace(options, mesh="dense")
        yield self.row(
            "overlay, dense mesh", lambda: draw_overlay(image, [face], model, dense_options)
        )
        yield from self._publish(face)

    def _publish(self, face: Any) -> Iterator[Row]:
        try:
            from rclpy.serialization import serialize_message
            from sensor_msgs.msg import CameraInfo
            from std_msgs.msg import Header

            from tddfa_ros.nodes.face_publisher import face_mesh_array
        except ImportError as error:
            yield Row("publish", self.threads, None, note=f"no ROS here ({error})")
            return
        header, info = Header(), CameraInfo()
        yield self.row("fill message", lambda: face_mesh_array([face], header, info))
        message = face_mesh_array([face], header, info)
        yield self.row("serialize message", lambda: serialize_message(message))

    def frame(self) -> Iterator[Row]:
        """Time a whole frame as in face_node and smoothing_node: tracking, smoothing, dense mesh in px and m."""
        from tddfa_ros.pipeline import FacePipeline
        from tddfa_ros.smoothing.smoother import FaceSmoother
        from tddfa_ros.tracking.tracker import FaceTracker

        for n in CROWDS:
            image = scene(n)
            tracker, smoother = (
                FaceTracker(FacePipeline(self.config)),
                FaceSmoother(self.config.smoothing),
            )
            clock = iter(range(1, 10**9))
            found = 0

            def once(dense: bool = True) -> None:
                nonlocal found
                faces = smoother(tracker.update(image, next(clock) / 30))  # noqa: B023
                found = len(faces)
                for face in faces:
                    if dense:
                        face.vertices, face.vertices_metric  # noqa: B018 - computed on access
                    else:
                        face.landmarks68, face.landmarks_metric  # noqa: B018

            for _ in range(5):
                once()
            yield self._named(self.row(f"tracked frame, {n} faces, dense", once), found, n)
            yield self._named(
                self.row(f"tracked frame, {n} faces, landmarks", lambda: once(False)), found, n
            )

    @staticmethod
    def _named(result: Row, found: int, expected: int) -> Row:
        return (
            result if found == expected else replace(result, name=f"{result.name} (found {found})")
        )


def _tracked(pipeline: Any, image: np.ndarray) -> Any:
    from tddfa_ros.tracking.tracker import FaceTracker

    tracker = FaceTracker(pipeline)
    for frame in range(6):
        faces = tracker.update(image, frame / 30)
    if not faces:
        raise TddfaError("no face was found in the test image")
    return faces


def _baseline_file(given: Path | None, folder: Path) -> tuple[str, Path | None]:
    if given is not None:
        return str(given.name), given
    try:
        from baseline import baseline_onnx

        name, content = baseline_onnx()
    except ImportError as error:
        return f"none ({error})", None
    path = folder / "baseline.onnx"
    path.write_bytes(content)
    return name, path


def _measure(threads: int, seconds: float, baseline: Path | None) -> list[Row]:
    unit = row("512x512 matrix product", threads, machine_unit(), seconds)
    return [unit, *Bench(threads, seconds, unit, baseline).rows()]


def _in_own_process(threads: int, seconds: float, baseline: Path | None) -> list[Row]:
    """Measure in a new process, because BLAS reads its number of threads only when it is loaded."""
    command = [sys.executable, __file__, "--worker", "--threads", str(threads)]
    command += ["--seconds", str(seconds)]
    command += ["--baseline", str(baseline)] if baseline is not None else []
    limits = {f"{library}_NUM_THREADS": str(threads) for library in ("OPENBLAS", "MKL", "OMP")}
    done = subprocess.run(
        command, env={**os.environ, **limits}, stdout=subprocess.PIPE, check=True, text=True
    )
    return [Row(**values) for values in json.loads(done.stdout.splitlines()[-1])]


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=1.0, help="per row")
    parser.add_argument("--baseline", type=Path, help="ONNX file to compare the regressor with")
    parser.add_argument("--out", type=Path, default=Path("out/bench.json"))
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        measured = _measure(options.threads[0], options.seconds, options.baseline)
        print(json.dumps([r.as_dict() for r in measured]))
        return 0
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        name, path = _baseline_file(options.baseline, Path(folder))
        for threads in options.threads:
            rows += _in_own_process(threads, options.seconds, path)
    machine = (
        f"{platform.machine()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, "
        f"Python {platform.python_version()}"
    )
    print(f"# Benchmark\n\n{machine}; baseline network: {name}\n\n{markdown(rows)}")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": machine, "baseline": name, "rows": [r.as_dict() for r in rows]}
    options.out.write_text(json.dumps(content, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
