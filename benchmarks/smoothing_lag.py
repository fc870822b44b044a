"""Measure residual noise and lag of the smoothing filters on a simulated landmark; prints a Markdown table.

    python benchmarks/smoothing_lag.py

The signal is a face of 200 px at 30 Hz with 1 px of white noise per coordinate: at rest, at constant velocity, oscillating, with
a step and with a sudden stop. Every figure is the mean over 200 noise sequences, which are filtered in parallel as 200 degrees
of freedom with the tuning of translation.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.config import SmoothingConfig
from tddfa_ros.smoothing.filters import (
    KalmanFilter,
    MotionFilter,
    OneEuroFilter,
    Tuning,
)
from tddfa_ros.smoothing.imm import MultipleModelFilter
from tddfa_ros.smoothing.state import EXPRESSION, FaceState
from tddfa_ros.smoothing.window import WindowFilter

FACE = 200.0
RUNS = 200
SECONDS = 8.0

Signal = NDArray[np.float64]


class Ema:
    """Exponential moving average, for comparison."""

    def __init__(self, alpha: float) -> None:
        self._alpha = alpha
        self._mean: FaceState | None = None

    def update(self, measured: FaceState, dt: float, weight: float) -> FaceState:
        old = measured if self._mean is None else self._mean
        mixed = old.linear + self._alpha * (measured.linear - old.linear)
        self._mean = FaceState(measured.rotation, mixed)
        return self._mean


def tuning(config: SmoothingConfig) -> Tuning:
    """Return a tuning in which every degree of freedom is filtered like translation, in face sizes."""
    face = replace(
        config,
        expression_min_cutoff=config.min_cutoff,
        expression_beta=config.beta,
        expression_noise=config.noise,
    )
    return Tuning.from_config(face, RUNS)


def filters() -> dict[str, Callable[[], MotionFilter]]:
    """Return factories of filters, by name in the table."""
    ours = SmoothingConfig()
    design = SmoothingConfig(min_cutoff=0.05, beta=10.0, d_cutoff=1.0, lag_cutoff=0.0)
    casiez = SmoothingConfig(min_cutoff=1.0, beta=0.0, d_cutoff=1.0, lag_cutoff=0.0)

    def one_euro(config: SmoothingConfig) -> Callable[[], MotionFilter]:
        return lambda: OneEuroFilter(tuning(config), config.d_cutoff, config.lag_cutoff)

    noise = tuning(ours).noise
    acceleration = np.full_like(noise, ours.kalman_acceleration)
    return {
        "none": lambda: Ema(1.0),
        "**imm (default)**": lambda: MultipleModelFilter(noise, ours.imm_margin),
        "one_euro": one_euro(ours),
        "One Euro, tuning of the design": one_euro(design),
        "One Euro, Casiez's defaults": one_euro(casiez),
        "EMA 0.5": lambda: Ema(0.5),
        "window, 5": lambda: WindowFilter(5, noise),
        "kalman": lambda: KalmanFilter(noise, acceleration),
    }


def errors(make: Callable[[], MotionFilter], signal: Signal, noise: Signal, hz: float) -> Signal:
    """Return output minus truth, px (frames, RUNS), for a true ``signal`` (frames,) in px and ``noise`` (frames, RUNS)."""
    filter_ = make()
    out = np.empty_like(noise)
    for i, measured in enumerate((signal[:, None] + noise) / FACE):
        linear = np.concatenate([np.zeros(EXPRESSION - 3), measured])
        state = filter_.update(FaceState((0.0, 0.0, 0.0, 1.0), linear), 1 / hz, 1.0)
        out[i] = state.linear[EXPRESSION - 3 :] * FACE
    return out - signal[:, None]


def measure(make: Callable[[], MotionFilter], hz: float, sigma: float) -> dict[str, float]:
    """Return all columns of the table for one filter."""
    t = np.arange(0, SECONDS, 1 / hz)
    half, frames = len(t) // 2, len(t)
    noise = np.random.default_rng(0).normal(scale=sigma, size=(frames, RUNS))

    def run(signal: Signal) -> Signal:
        return errors(make, signal, noise, hz)

    def rms(e: Signal) -> float:
        return float(np.sqrt(np.mean(e[half:] ** 2)))

    rest, fast = run(0 * t), run(300 * t)
    stop = run(300 * np.minimum(t, t[half])).mean(axis=1)[half + 1 :]
    jump = np.abs(run(np.where(t < t[half], 0.0, 20.0)).mean(axis=1)[half:])
    return {
        "rest: residual, px": rms(rest),
        "frame to frame, px": rms(np.diff(rest, axis=0)),
        "ramp 300 px/s: lag, ms": float(-fast[half:].mean() / 300 * 1e3),
        "noise around it, px": float(fast[half:].std()),
        "ramp 10 px/s: error, px": rms(run(10 * t)),
        "swing 50 px 0.5 Hz": rms(run(50 * np.sin(np.pi * t))),
        "50 px 1 Hz": rms(run(50 * np.sin(2 * np.pi * t))),
        "30 px 2 Hz: error, px": rms(run(30 * np.sin(4 * np.pi * t))),
        "jump: 90 % after, ms": float(np.argmax(jump < 2.0) / hz * 1e3),
        "sudden stop: overshoot, px": float(max(0.0, stop.max())),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--hz", type=float, default=30.0, help="frame rate (default 30)")
    parser.add_argument("--sigma", type=float, default=1.0, help="noise, px (default 1)")
    arguments = parser.parse_args()
    rows = {name: measure(make, arguments.hz, arguments.sigma) for name, make in filters().items()}
    columns = list(next(iter(rows.values())))
    print(
        f"| filter ({arguments.hz:g} Hz, {arguments.sigma:g} px noise) | "
        + " | ".join(columns)
        + " |"
    )
    print("|---" * (len(columns) + 1) + "|")
    for name, row in rows.items():
        cells = [f"{v:.0f}" if "ms" in c else f"{v:.2f}" for c, v in row.items()]
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    started = time.perf_counter()
    main()
    print(f"\n({time.perf_counter() - started:.0f} s)")
