"""Measure latency and CPU load of the ROS graph, also under overload.

    python benchmarks/latency.py            # prints Markdown, writes out/latency.json

Each case runs the nodes as processes on the demo source. Latency is the time from the image's stamp to the arrival of its
/face_mesh in another process.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tddfa_ros.demo.__main__ import DemoOptions, record
from tddfa_ros.demo.recording import Recording
from tddfa_ros.demo.report import measure
from tddfa_ros.errors import TddfaError

CASES = {
    "640x480 at 30 Hz": DemoOptions(width=640, height=480, rate=30),
    "640x480 at 30 Hz, one process per node": DemoOptions(
        width=640, height=480, rate=30, composed=False
    ),
    "1280x720 at 30 Hz": DemoOptions(width=1280, height=720, rate=30),
    "640x480 at 30 Hz, not smoothed": DemoOptions(width=640, height=480, rate=30, smoothing=False),
    "overload: 640x480 at 240 Hz": DemoOptions(width=640, height=480, rate=240),
}


def backlog_growth(recording: Recording) -> float | None:
    """Return the slope of latency over time, ms per second: near 0 if old frames are dropped, large if they queue up."""
    stamps = np.array(recording.meshes.stamps, np.int64)
    if len(stamps) < 10:
        return None
    latency = (np.array(recording.meshes.arrivals, np.int64) - stamps) / 1e6
    return float(np.polyfit((stamps - stamps[0]) / 1e9, latency, 1)[0])


def run_case(options: DemoOptions) -> dict[str, Any]:
    """Record one case and return its figures."""
    with tempfile.TemporaryDirectory() as folder:
        recording, cpu = record(options, Path(folder))
        numbers = measure(recording, cpu)
        numbers["backlog_ms_per_s"] = backlog_growth(recording)
    return numbers


def table(results: dict[str, dict[str, Any]]) -> str:
    """Format the results as a Markdown table."""
    lines = [
        "| case | frames seen | meshes | Hz | p50 ms | p99 ms | max ms | backlog ms/s | CPU % of one core |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    for name, r in results.items():
        if "error" in r:
            lines.append(f"| {name} | not measured: {r['error']} | | | | | | | |")
            continue
        latency = r["latency_ms"]
        cpu = ", ".join(f"{k.removesuffix('_node')} {v:.0f}" for k, v in r["cpu_percent"].items())
        growth = r["backlog_ms_per_s"]
        lines.append(
            f"| {name} | {r['frames_in']} | {r['meshes_out']} | {r['mesh_rate']} | {latency['p50']:.1f} | "
            f"{latency['p99']:.1f} | {latency['max']:.1f} | {'?' if growth is None else f'{growth:+.2f}'} | {cpu} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--duration", type=float, default=10.0, help="seconds per case")
    parser.add_argument("--out", type=Path, default=Path("out/latency.json"))
    options = parser.parse_args()
    results: dict[str, dict[str, Any]] = {}
    for name, case in CASES.items():
        print(name, flush=True)
        try:
            results[name] = run_case(
                replace(case, duration=options.duration, launch=False, raw=False)
            )
        except TddfaError as error:
            results[name] = {"error": str(error)}
    print("\n" + table(results))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
