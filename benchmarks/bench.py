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
import time
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

BATCHES = (1, 2, 5)
CROWDS = (1, 5, 20)


class Bench:
    """All rows for one number of threads."""

    def __init__(
        self,
        threads: int,
        seconds: float,
        baseline: Path | None,
        clock: Callable[[], float],
    ) -> None:
        self.threads, self.seconds, self.baseline, self.clock = threads, seconds, baseline, clock
        defaults = PipelineConfig()
        self.config = replace(
            defaults, regression=replace(defaults.regression, device="cpu", threads=threads)
        )

    def rows(self) -> Iterator[Row]:
        """Yield the rows of every stage; a stage that cannot be measured gives a row with the reason."""
        cv2.setNumThreads(self.threads)
        self.unit: Row | None = None
        self.unit = self.row("512x512 matrix product", machine_unit())
        yield self.unit
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
        return row(name, self.threads, call, self.seconds, baseline or self.unit, self.clock)

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

        base = {n: self._baseline_row(n) for n in BATCHES}
        yield from (r for r in base.values() if r is not None)
        regressor = FacePipeline(self.config)._regressor
        size = regressor.input_size
        for n in BATCHES:
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
        yield self.row(
            "dense mesh, px (identity kept)",
            lambda: face.replace(params=face.params).vertices,
            product,
        )
        yield self.row(
            "dense mesh, m (fit and mesh, identity kept)",
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
        """Time a whole frame as in face_node and smoothing_node: tracking, smoothing, landmarks or dense mesh in px and m."""
        first: dict[str, Row] = {}
        for n in CROWDS:
            for kind, call in self._frames(n):
                row = self.row(f"tracked frame, {n} faces, {kind}", call)
                yield row
                first.setdefault(kind, row)
                if n > 1:
                    yield _further(row, first[kind], n, kind)

    def _frames(self, count: int) -> Iterator[tuple[str, Callable[[], object]]]:
        """Yield what is measured on a frame of ``count`` faces: with landmarks and metric poses only, and dense."""
        from tddfa_ros.face import reconstruct
        from tddfa_ros.pipeline import FacePipeline
        from tddfa_ros.smoothing.smoother import FaceSmoother
        from tddfa_ros.tracking.tracker import FaceTracker

        image = scene(count)
        tracker, smoother = (
            FaceTracker(FacePipeline(self.config)),
            FaceSmoother(self.config.smoothing),
        )
        clock = iter(range(1, 10**9))

        def once(dense: bool = True) -> int:
            faces = smoother(tracker.update(image, next(clock) / 30))
            for face in faces:
                face.landmarks68, face.landmarks_metric  # noqa: B018 - computed on access
            if dense:
                reconstruct(faces)
                for face in faces:
                    face.vertices, face.vertices_metric  # noqa: B018
            return len(faces)

        found = [once() for _ in range(10)][-1]
        if found != count:
            raise TddfaError(f"{found} of {count} faces were found in the benchmark image")
        yield "landmarks", lambda: once(False)
        yield "dense", once


def _further(row: Row, first: Row, count: int, kind: str) -> Row:
    """Return the mean cost of a face after the first, and its ratio to a frame with one face."""
    assert row.median_ms is not None and first.median_ms is not None
    each = (row.median_ms - first.median_ms) / (count - 1)
    name = f"each further of {count} faces, {kind}"
    return Row(name, row.threads, each, baseline=first.name, ratio=each / first.median_ms)


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


def _in_own_process(
    threads: int, seconds: float, baseline: Path | None, cpu_time: bool
) -> list[Row]:
    """Measure in a new process, because BLAS reads its number of threads only when it is loaded."""
    command = [sys.executable, __file__, "--worker", "--threads", str(threads)]
    command += ["--seconds", str(seconds)]
    command += ["--cpu-time"] if cpu_time else []
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
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="measure the CPU time of one thread, which a busy machine changes little",
    )
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.cpu_time:
        options.threads = [1]  # the time of other threads would not count
    if options.worker:
        clock = time.thread_time if options.cpu_time else time.perf_counter
        bench = Bench(options.threads[0], options.seconds, options.baseline, clock)
        measured = list(bench.rows())
        print(json.dumps([r.as_dict() for r in measured]))
        return 0
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        name, path = _baseline_file(options.baseline, Path(folder))
        for threads in options.threads:
            rows += _in_own_process(threads, options.seconds, path, options.cpu_time)
    machine = (
        f"{platform.machine()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, "
        f"Python {platform.python_version()}"
    )
    machine += ", CPU time" if options.cpu_time else ""
    print(f"# Benchmark\n\n{machine}; baseline network: {name}\n\n{markdown(rows)}")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": machine, "baseline": name, "rows": [r.as_dict() for r in rows]}
    options.out.write_text(json.dumps(content, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
