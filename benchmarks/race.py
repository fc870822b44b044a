"""Compare this package with MediaPipe and, where official files are imported, with 3DDFA_V2, side by side: ``make race``.

    python -m pip install --target out/mediapipe -r requirements/benchmarks/race.txt
    python benchmarks/race.py --mediapipe out/mediapipe --model face_landmarker.task

Every contestant runs in its own process; rows are measured in turns, so that all see the same load of the machine. The model of
MediaPipe's FaceLandmarker is a file of https://ai.google.dev/edge/mediapipe/solutions/vision/face_landmarker. A contestant that is not
here leaves its column empty, with the reason below the table. Prints Markdown and writes out/race.json. Ratios above 1: ours is faster.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent))

from scenes import scene

from tddfa_ros.model_store.store import default_store

HERE = Path(__file__).resolve().parent

ROWS = {
    "tracked landmarks 1": "tracked frame, 1 face, landmarks",
    "tracked dense 1": "tracked frame, 1 face, dense metric mesh",
    "tracked landmarks 5": "tracked frame, 5 faces, landmarks",
    "tracked dense 5": "tracked frame, 5 faces, dense metric mesh",
    "image 1": "single image, 1 face",
    "image 5": "single image, 5 faces",
}
CONTESTANTS = ("ours", "mediapipe", "original")


@dataclass
class Cell:
    """Figures of one contestant in one row: ``values`` by unit, medians over the rounds."""

    rounds: list[dict[str, float]] = field(default_factory=list)
    error: str = ""

    @property
    def values(self) -> dict[str, float]:
        """Median of each figure."""
        keys = self.rounds[0] if self.rounds else {}
        return {key: float(np.median([r[key] for r in self.rounds])) for key in keys}


@dataclass
class Race:
    """All rows: name -> contestant -> cell, in the order of the table."""

    cells: dict[str, dict[str, Cell]] = field(default_factory=dict)

    def add(self, row: str, contestant: str, answer: Mapping[str, Any]) -> None:
        """Add the answer of one round."""
        cell = self.cells.setdefault(row, {}).setdefault(contestant, Cell())
        if "error" in answer:
            cell.error = str(answer["error"])
        else:
            cell.rounds.append({key: float(value) for key, value in answer.items()})


class Worker:
    """A contestant of `race_worker` in its own process."""

    def __init__(self, name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        command = [sys.executable, str(HERE / "race_worker.py"), name, *arguments]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(environment),
            text=True,
        )

    def ask(self, row: str, seconds: float) -> dict[str, Any]:
        """Measure a row; the answer has an ``error`` if it cannot be measured."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"row": row, "seconds": seconds}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            return {"error": f"the process ended with exit code {self._process.wait()}"}
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def absences(options: argparse.Namespace) -> dict[str, str]:
    """Return why contestants cannot run, by name."""
    reasons = {}
    if options.mediapipe is None or not (options.mediapipe / "mediapipe").is_dir():
        reasons["mediapipe"] = (
            "MediaPipe was not measured: --mediapipe DIR names the folder that "
            "'pip install --target DIR -r requirements/benchmarks/race.txt' filled"
        )
    elif options.model is None or not options.model.is_file():
        reasons["mediapipe"] = "MediaPipe was not measured: --model names its face_landmarker.task"
    missing = [n for n in ("official-mb05", "faceboxes") if n not in default_store().entries]
    if missing:
        reasons["original"] = (
            f"3DDFA_V2 was not measured: {' and '.join(missing)} must be imported with 'tddfa models import'"
        )
    return reasons


def run_core(race: Race, names: Sequence[str], options: argparse.Namespace) -> None:
    """Measure the rows of single frames, the contestants in turns."""
    arguments = ["--threads", "1", "--detector", options.detector]
    if options.model is not None:
        arguments += ["--model", str(options.model)]
    workers = {name: Worker(name, arguments, environment(options)) for name in names}
    try:
        turns = [(row, name) for _ in range(options.rounds) for row in ROWS for name in names]
        for row, name in tqdm(turns, unit="turn", desc="frames", disable=None):
            race.add(ROWS[row], name, workers[name].ask(row, options.seconds))
    finally:
        for worker in workers.values():
            worker.close()


def run_files(race: Race, names: Sequence[str], options: argparse.Namespace) -> None:
    """Measure whole commands over files, from their start to their end, the contestants in turns."""
    detector = ["--detector", options.detector]
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        images, video = folder / "images", folder / "video.mp4"
        write_images(images, options.images)
        write_video(video, options.frames)
        one, two = (
            f"folder of {options.images} images, {n}, images/s"
            for n in ("1 process", "2 processes")
        )
        jobs: dict[str, dict[str, list[str]]] = {
            one: {name: batch(name, images, 1, options) for name in names if name != "original"},
            two: {name: batch(name, images, 2, options) for name in names if name != "original"},
            f"video of {options.frames} frames to JSON, frames/s": {
                "ours": tddfa("video", str(video), "--jsonl", "OUT.jsonl", *detector),
                "mediapipe": worker_job(options, "--video", str(video), "OUT.jsonl"),
            },
            f"video of {options.frames} frames with the mesh drawn, frames/s": {
                "ours": tddfa("video", str(video), "--overlay", "mesh", "-o", "OUT.mp4", *detector),
            },
        }
        turns = [
            (row, name)
            for _ in range(options.file_rounds)
            for row, commands in jobs.items()
            for name in commands
            if name in names
        ]
        for number, (row, name) in enumerate(tqdm(turns, unit="run", desc="files", disable=None)):
            count = options.images if row in (one, two) else options.frames
            command = [
                text.replace("OUT", str(folder / f"out{number}")) for text in jobs[row][name]
            ]
            race.add(row, name, timed(command, count, options))


def batch(name: str, images: Path, processes: int, options: argparse.Namespace) -> list[str]:
    """Return the command of a contestant over a folder."""
    if name == "ours":
        workers = ["--workers", str(processes), "--detector", options.detector]
        return tddfa("batch", str(images), "-o", "OUT.jsonl", *workers)
    return worker_job(options, "--batch", str(images), "OUT.jsonl", "--processes", str(processes))


def tddfa(*arguments: str) -> list[str]:
    """Return a command of this package."""
    return [sys.executable, "-m", "tddfa_ros", *arguments]


def worker_job(options: argparse.Namespace, *arguments: str) -> list[str]:
    """Return a job of MediaPipe over files."""
    script = str(HERE / "race_worker.py")
    return [sys.executable, script, "mediapipe", "--model", str(options.model), *arguments]


def timed(command: Sequence[str], count: int, options: argparse.Namespace) -> dict[str, Any]:
    """Run a command; return items per second, and CPU time per item, ms."""
    before, at = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        command, env=environment(options), capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - at
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return {"error": lines[-1]}
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"per_s": count / seconds, "cpu_ms": 1e3 * used / count}


def environment(options: argparse.Namespace) -> dict[str, str]:
    """Return the environment of all contestants: one BLAS thread, and MediaPipe's folder at the end of the path."""
    path = [os.environ.get("PYTHONPATH", ""), str(HERE.parent)]
    path += [str(options.mediapipe)] if options.mediapipe is not None else []
    limits = {f"{library}_NUM_THREADS": "1" for library in ("OPENBLAS", "MKL", "OMP")}
    return {**os.environ, **limits, "PYTHONPATH": os.pathsep.join(filter(None, path))}


def write_images(folder: Path, count: int) -> None:
    """Write images with one face each, 640x480 JPEG."""
    folder.mkdir()
    for number in range(count):
        cv2.imwrite(str(folder / f"{number:04d}.jpg"), np.roll(scene(1), 2 * number, axis=1))


def write_video(path: Path, count: int) -> None:
    """Write a video of a face that moves sideways, 640x480 at 25 Hz."""
    code = cv2.VideoWriter.fourcc(*"mp4v")
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, 25.0, (640, 480))
    for number in range(count):
        shift = round(60 + 60 * np.sin(number / 12))
        writer.write(np.roll(scene(1), shift, axis=1))
    writer.release()


def markdown(race: Race, names: Sequence[str], reasons: Mapping[str, str]) -> str:
    """Format the table: wall / CPU time in ms, latency p50 / p99 in ms, or items per second; and MediaPipe's over ours."""
    titles = {"ours": "tddfa_ros", "mediapipe": "MediaPipe", "original": "3DDFA_V2"}
    shown = [name for name in CONTESTANTS if name in names]
    lines = [
        f"| work | {' | '.join(titles[name] for name in shown)} | MediaPipe / tddfa_ros |",
        f"|---|{'---|' * len(shown)}---|",
    ]
    for row, cells in race.cells.items():
        texts = [_text(cells.get(name)) for name in shown]
        ratio = ratio_of(cells)
        lines.append(f"| {row} | {' | '.join(texts)} | {'' if ratio is None else f'{ratio:.2f}'} |")
    lines += [f"\n{reason}." for reason in reasons.values()]
    return "\n".join(lines)


def ratio_of(cells: Mapping[str, Cell]) -> float | None:
    """Return how many times faster ours is than MediaPipe: by CPU time, by throughput, or by median latency."""
    ours, theirs = (cells[n].values if n in cells else {} for n in ("ours", "mediapipe"))
    if not ours or not theirs:
        return None
    if "per_s" in ours:
        return ours["per_s"] / theirs["per_s"]
    key = "p50" if "p50" in ours else "cpu_ms"
    return theirs[key] / ours[key]


def _text(cell: Cell | None) -> str:
    if cell is None:
        return ""
    if not cell.rounds:
        return f"not measured: {cell.error}"
    values = cell.values
    if "per_s" in values:
        return f"{values['per_s']:.1f} ({values['cpu_ms']:.1f} ms CPU each)"
    if "p50" in values:
        return f"{values['p50']:.1f} / {values['p99']:.1f}, {values['cpu']:.0f} % CPU"
    return f"{values['ms']:.2f} / {values['cpu_ms']:.2f}"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mediapipe", type=Path, help="folder with the package mediapipe")
    parser.add_argument("--model", type=Path, help="face_landmarker.task")
    parser.add_argument(
        "--detector", default="centerface", help="of tddfa_ros, in all rows but those of the graph"
    )
    parser.add_argument("--rounds", type=int, default=5, help="turns of every frame row")
    parser.add_argument("--seconds", type=float, default=1.0, help="per turn")
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--file-rounds", type=int, default=2, help="turns of every command")
    parser.add_argument("--graph-seconds", type=float, default=10.0, help="0 = no graph rows")
    parser.add_argument("--out", type=Path, default=Path("out/race.json"))
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> tuple[Race, str]:
    """Measure everything; return the rows and the table."""
    reasons = absences(options)
    names = [name for name in CONTESTANTS if name not in reasons]
    race = Race()
    if options.rounds:
        run_core(race, names, options)
    if options.file_rounds:
        run_files(race, names, options)
    if options.graph_seconds:
        from race_graph import run_graph

        run_graph(race, names, options, environment(options))
    machine = (
        f"{datetime.date.today():%d %B %Y}, {platform.machine()}, {os.cpu_count()} CPUs, "
        f"load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}"
    )
    units = "Frames and images: wall / CPU time, ms. Graph: latency p50 / p99, ms."
    return race, f"{machine}. {units}\n\n{markdown(race, names, reasons)}"


def main() -> int:
    """Run the race."""
    options = parse()
    race, text = run(options)
    print(text)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    rows = {
        row: {name: {**cell.values, "error": cell.error} for name, cell in cells.items()}
        for row, cells in race.cells.items()
    }
    options.out.write_text(json.dumps(rows, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
