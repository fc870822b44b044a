"""Timing helpers: medians of repeated calls, a reference for machine speed, Markdown tables."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Row:
    """One row of the result: median and 90th percentile in ms, number of calls; ``note`` is the reason if not measured."""

    name: str
    threads: int
    median_ms: float | None
    p90_ms: float | None = None
    calls: int = 0
    baseline: str = ""
    ratio: float | None = None
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the row as a dictionary for JSON."""
        return asdict(self)


def measure(
    call: Callable[[], object],
    *,
    seconds: float = 1.0,
    least: int = 7,
    most: int = 400,
    clock: Callable[[], float] = time.perf_counter,
) -> np.ndarray:
    """Return the durations of repeated calls in ms, after two warm-up calls: at least ``least`` calls, then for ``seconds``.

    With ``time.thread_time`` as clock, they are the CPU time of calls that run in this thread, whatever else the machine does.
    """
    for _ in range(2):
        call()
    samples: list[float] = []
    end = time.perf_counter() + seconds
    while len(samples) < least or (time.perf_counter() < end and len(samples) < most):
        start = clock()
        call()
        samples.append(1e3 * (clock() - start))
    return np.array(samples)


def row(
    name: str,
    threads: int,
    call: Callable[[], object],
    seconds: float,
    baseline: Row | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Row:
    """Time a call and compare it with a baseline of the same run; see :func:`measure`."""
    samples = measure(call, seconds=seconds, clock=clock)
    median = float(np.median(samples))
    ratio = median / baseline.median_ms if baseline and baseline.median_ms else None
    return Row(
        name,
        threads,
        median,
        float(np.percentile(samples, 90)),
        len(samples),
        baseline.name if baseline else "",
        ratio,
    )


def machine_unit() -> Callable[[], object]:
    """Return a reference call for the current speed of the machine: a 512x512 float32 matrix product."""
    a = np.random.default_rng(0).standard_normal((512, 512)).astype(np.float32)
    return lambda: a @ a


def markdown(rows: Sequence[Row]) -> str:
    """Format the rows as a Markdown table."""
    lines = [
        "| stage | threads | median ms | p90 ms | ratio | to |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for r in rows:
        if r.median_ms is None:
            lines.append(f"| {r.name} | {r.threads} | not measured: {r.note} | | | |")
            continue
        ratio = "" if r.ratio is None else f"{r.ratio:.2f}"
        p90 = "" if r.p90_ms is None else f"{r.p90_ms:.2f}"
        lines.append(
            f"| {r.name} | {r.threads} | {r.median_ms:.2f} | {p90} | {ratio} | {r.baseline} |"
        )
    return "\n".join(lines)
