"""Measure batches of faces on a GPU in one run of less than ten minutes: ``python benchmarks/gpu.py``.

Measures `DevicePipeline` with CUDA and, where it is installed, with TensorRT in float16: faces per second for batches of 1, 8, 64 and
256 faces (landmarks, dense vertices in px, dense metric vertices), the time of every stage, and the latency of a single frame. Writes
out/gpu.md with the device, the versions and the date. ``--device cpu --batches 1,8`` runs the same code without a GPU.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import math
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from scenes import scene

from tddfa_ros.config import PipelineConfig, RegressionConfig
from tddfa_ros.device.pipeline import DeviceFaces, DevicePipeline
from tddfa_ros.errors import TddfaError
from tddfa_ros.files import write_atomically
from tddfa_ros.model_store.store import default_store
from tddfa_ros.pipeline import FacePipeline
from tddfa_ros.runtime.devices import SHORT_NAMES
from tddfa_ros.tuning.build_engine import build_engine

FACES_PER_FRAME = 4  # of a batch with more than one face
OUTPUTS: dict[str, Callable[[DeviceFaces], Sequence[Any]]] = {
    "landmarks": lambda faces: [faces.landmarks, faces.confidence],
    "dense px": lambda faces: [faces.landmarks, *faces.vertices()],
    "dense px, float16": lambda faces: [faces.landmarks, *faces.vertices(half=True)],
    "dense metric": lambda faces: [faces.landmarks, *faces.vertices_metric()],
    "dense metric, float16": lambda faces: [faces.landmarks, *faces.vertices_metric(half=True)],
}
"""What is computed and copied to the host."""


@dataclass
class Result:
    """What was measured.

    Attributes:
        throughput: faces per second by backend, output and batch; None where it could not be measured.
        latency: 50th and 99th percentile, ms, by backend and output, for one frame with one face.
        stages: median ms by backend and stage, for the largest batch.
        notes: what was not measured, and why.
    """

    throughput: dict[tuple[str, str, int], float | None] = field(default_factory=dict)
    latency: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict)
    stages: dict[tuple[str, str], float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class Bench:
    """One run; stops measuring when its time is over."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.seconds, self.batches = arguments.seconds, sorted(arguments.batches)
        self.end = time.monotonic() + arguments.minutes * 60
        self.device = arguments.device
        self.result = Result()
        one = FacePipeline(PipelineConfig(regression=RegressionConfig(device="cpu")))
        self.frames = {n: scene(n) for n in (1, FACES_PER_FRAME)}
        self.rois = {}
        for count, frame in self.frames.items():
            rois = np.array([face.roi for face in one(frame)])
            if len(rois) != count:
                raise SystemExit(f"error: the detector found {len(rois)} faces of {count}")
            self.rois[count] = rois

    def batch(self, faces: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Return frames of 640x480 and the ROIs of ``faces`` faces in them."""
        if faces == 1:
            return [self.frames[1]], [self.rois[1]]
        count = math.ceil(faces / FACES_PER_FRAME)
        frame, rois = self.frames[FACES_PER_FRAME], self.rois[FACES_PER_FRAME]
        last = faces - (count - 1) * FACES_PER_FRAME
        return [frame] * count, [*[rois] * (count - 1), rois[:last]]

    def run(self) -> Result:
        """Measure all backends."""
        for backend, pipeline in self.backends():
            for faces in self.batches:
                self.guarded(f"{backend}, {faces} faces", self.throughput, backend, pipeline, faces)
            self.guarded(f"{backend}, latency", self.latency, backend, pipeline)
            self.guarded(f"{backend}, stages", self.stages, backend, pipeline)
        return self.result

    def guarded(self, what: str, measure: Callable[..., None], *arguments: Any) -> None:
        """Measure unless time is over; note the reason of a failure."""
        if time.monotonic() > self.end:
            self.result.notes.append(f"{what}: not measured, because the time was over.")
            return
        print(f"{what} ...", file=sys.stderr, flush=True)
        try:
            measure(*arguments)
        except TddfaError as error:
            self.result.notes.append(f"{what}: {error}.")

    def backends(self) -> Iterator[tuple[str, DevicePipeline]]:
        """Yield pipelines of all backends; a network with TensorRT is compiled first, which takes up to minutes."""
        largest = max(self.batches)
        first = DevicePipeline(device=self.device, max_batch=largest)
        name = SHORT_NAMES.get(first.provider, first.provider)
        yield f"{name} float32", first
        if first.device.type == "cpu":
            return
        config = PipelineConfig()
        with tempfile.TemporaryDirectory() as folder:
            try:
                path = default_store().path(config.regression.model)
                print("compiling with TensorRT ...", file=sys.stderr, flush=True)
                engine = Path(folder) / "engine"
                opt = min(8, largest)
                seconds = build_engine(path, engine, half=True, max_batch=largest, opt_batch=opt)
                self.result.notes.append(f"TensorRT compiled the network in {seconds:.0f} s.")
                regression = replace(config.regression, model=str(engine / "model.onnx"))
                pipeline = DevicePipeline(
                    replace(config, regression=regression), device=self.device, max_batch=largest
                )
            except TddfaError as error:
                self.result.notes.append(f"TensorRT float16 was not measured: {error}.")
                return
            yield f"{SHORT_NAMES[pipeline.provider]} float16", pipeline

    def throughput(self, backend: str, pipeline: DevicePipeline, faces: int) -> None:
        """Measure faces per second of a stream of batches: frames in host memory in, arrays in host memory out."""
        frames, rois = self.batch(faces)
        for output, compute in OUTPUTS.items():
            pending: list[Any] = []

            def step(compute: Any = compute, pending: list[Any] = pending) -> None:
                found = pipeline.regress(frames, rois)
                pending.append(pipeline.download(*compute(found)))
                if len(pending) > 1:  # the copy of the previous batch ran meanwhile
                    pending.pop(0).arrays()

            samples = self.samples(step)
            self.result.throughput[backend, output, faces] = faces / float(np.mean(samples)) * 1e3
        if pipeline.device.type == "cpu":
            return
        import torch

        resident = torch.from_numpy(np.stack(frames)).to(pipeline.device)
        samples = self.samples(
            lambda: pipeline.download(pipeline.regress(resident, rois).landmarks).arrays()
        )
        key = backend, "landmarks, frames on the device", faces
        self.result.throughput[key] = faces / float(np.mean(samples)) * 1e3

    def latency(self, backend: str, pipeline: DevicePipeline) -> None:
        """Measure the time from one frame in host memory to arrays in host memory."""
        frames, rois = self.batch(1)
        for output, compute in OUTPUTS.items():
            samples = self.samples(
                lambda compute=compute: pipeline.download(
                    *compute(pipeline.regress(frames, rois))
                ).arrays(),
                most=2000,
            )
            p50, p99 = np.percentile(samples, [50, 99])
            self.result.latency[backend, output] = float(p50), float(p99)

    def stages(self, backend: str, pipeline: DevicePipeline) -> None:
        """Measure the stages of the largest batch one by one, waiting for the device after each."""
        from tddfa_ros.device.crops import sample_crops, upload_frames
        from tddfa_ros.runtime.torch_device import StagingBuffers

        faces = max(self.batches)
        frames, rois = self.batch(faces)
        index = np.repeat(np.arange(len(frames)), [len(part) for part in rois])
        buffers = StagingBuffers(pipeline.device)
        on_device = upload_frames(frames, buffers)
        found = pipeline.regress(frames, rois)
        stages: dict[str, Callable[[], object]] = {
            "upload of the frames": lambda: upload_frames(frames, buffers),
            "crops": lambda: sample_crops(on_device, index, np.concatenate(rois), 120),
            "upload, crops, network, landmarks": lambda: pipeline.regress(frames, rois),
            "metric poses": found.metric_pose,
            "heads and vertices, px": lambda: replace(found, _kept={}).vertices(),
            "heads, metric poses and vertices, m": lambda: replace(
                found, _kept={}
            ).vertices_metric(),
            "download of float32 vertices": lambda: pipeline.download(
                found.vertices().values
            ).arrays(),
        }
        for name, call in stages.items():
            samples = self.samples(lambda call=call: (call(), _wait(pipeline)))
            self.result.stages[backend, name] = float(np.median(samples))

    def samples(self, call: Callable[[], object], most: int = 400) -> list[float]:
        """Return durations in ms of repeated calls, after three warm-up calls; at least three."""
        for _ in range(3):
            call()
        found: list[float] = []
        end = time.perf_counter() + self.seconds
        while len(found) < 3 or (time.perf_counter() < end and len(found) < most):
            start = time.perf_counter()
            call()
            found.append((time.perf_counter() - start) * 1e3)
        return found


def _wait(pipeline: DevicePipeline) -> None:
    if pipeline.device.type == "cuda":
        import torch

        torch.cuda.synchronize(pipeline.device)


def machine(device: str) -> str:
    """Name the device and the versions of the libraries that compute on it."""
    import torch

    from tddfa_ros.runtime.torch_device import torch_device

    chosen = torch_device(device)
    versions = [f"torch {torch.__version__}", f"Python {platform.python_version()}"]
    for package in ("onnxruntime-gpu", "onnxruntime", "tensorrt", "tensorrt-cu12-libs"):
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    if chosen.type == "cpu":
        return f"{_processor()} ({os.cpu_count()} cores); {', '.join(versions)}"
    properties = torch.cuda.get_device_properties(chosen)
    versions.append(f"CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}")
    memory = properties.total_memory / 2**30
    return f"{properties.name}, {memory:.0f} GiB; {', '.join(versions)}; host: {_processor()}"


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else []:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def markdown(result: Result, where: str, batches: Sequence[int]) -> str:
    """Format the tables."""
    lines = [
        f"Measured on {date.today():%d %B %Y} with `python benchmarks/gpu.py` on {where}.",
        "Frames of 640x480 with up to four faces, in host memory; results are copied to the host.",
        "",
        "Faces per second, by the number of faces in a batch:",
        "",
        f"| network | output | {' | '.join(map(str, batches))} |",
        f"|---|---|{'---:|' * len(batches)}",
    ]
    rows = list(dict.fromkeys((backend, output) for backend, output, _ in result.throughput))
    for backend, output in rows:
        found = [result.throughput.get((backend, output, n)) for n in batches]
        cells = ["" if value is None else f"{value:.0f}" for value in found]
        lines.append(f"| {backend} | {output} | {' | '.join(cells)} |")
    lines += ["", "One frame with one face, ms from the frame to the arrays:", ""]
    lines += ["| network | output | p50 | p99 |", "|---|---|---:|---:|"]
    for (backend, output), (p50, p99) in result.latency.items():
        lines.append(f"| {backend} | {output} | {p50:.2f} | {p99:.2f} |")
    lines += ["", f"Stages of a batch of {max(batches)} faces, median ms:", ""]
    lines += ["| network | stage | ms |", "|---|---|---:|"]
    for (backend, stage), value in result.stages.items():
        lines.append(f"| {backend} | {stage} | {value:.2f} |")
    return "\n".join([*lines, "", *result.notes]).rstrip() + "\n"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--device", choices=["auto", "cuda", "cpu"], default="cuda")
    parser.add_argument("--batches", type=_counts, default=[1, 8, 64, 256], metavar="N,N...")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--minutes", type=float, default=9.0, help="stop measuring after this time")
    parser.add_argument("--output", type=Path, default=Path("out/gpu.md"))
    return parser.parse_args(arguments)


def _counts(text: str) -> list[int]:
    counts = [int(part) for part in text.split(",")]
    if min(counts) < 1:
        raise argparse.ArgumentTypeError("a batch has at least one face")
    return counts


def main() -> int:
    """Measure, print and write the tables; the exit status is 2 where the device cannot be used."""
    arguments = parse()
    try:
        where = machine(arguments.device)
        result = Bench(arguments).run()
    except TddfaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    text = markdown(result, where, sorted(arguments.batches))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(arguments.output, text.encode())
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
