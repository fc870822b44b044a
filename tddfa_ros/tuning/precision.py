"""Timing of the default networks in float32 and int8 on this machine, stored for ``precision: auto``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tddfa_ros.config import FLOAT32, INT8, PipelineConfig
from tddfa_ros.errors import TddfaError
from tddfa_ros.model_store.store import ModelStore
from tddfa_ros.precision.choice import (
    PrecisionTiming,
    reason_against_accuracy,
    reason_against_int8,
    store_timing,
)
from tddfa_ros.precision.networks import int8_detector, int8_regressor
from tddfa_ros.runtime.session import OnnxSession
from tddfa_ros.tuning.measure import detector_size, feeds_of

_WARM_UP = 3


@dataclass(frozen=True)
class PrecisionFinding:
    """What ``precision: auto`` does for a network on the CPU of this machine.

    Attributes:
        network: its name in the model list.
        auto: ``float32`` or ``int8``.
        timing: median ms of one face or image; None if it was not measured.
        reason: why ``auto`` is float32, one sentence; None for int8.
    """

    network: str
    auto: str
    timing: PrecisionTiming | None = None
    reason: str | None = None


def measure_precisions(
    store: ModelStore, config: PipelineConfig | None = None, repeats: int = 40
) -> Iterator[PrecisionFinding]:
    """Time the configured networks in float32 and int8 and store the result; int8 files are made where they do not exist.

    A network whose int8 accuracy is unknown or too low for ``auto`` is not measured, and nothing is downloaded.

    Args:
        store: where the networks come from, and whose cache keeps int8 files and timings.
        config: None for the defaults.
        repeats: pairs of runs of which the medians are taken.
    """
    config = config or PipelineConfig()
    detection = config.detection
    cases = (
        (config.regression.model, None, int8_regressor),
        (
            detection.detector,
            detector_size(detection.input_size),
            lambda _, where: int8_detector(detection, where),
        ),
    )
    for name, size, int8 in cases:
        entry = store.entries.get(name)
        timing = None
        if entry is not None and reason_against_accuracy(entry) is None:
            try:
                timing = compare_speed(
                    store.path(name, fetch=False), int8(name, store), size, repeats
                )
                store_timing(store, entry.sha256, timing)
            except TddfaError as error:
                yield PrecisionFinding(name, FLOAT32, timing, str(error))
                continue
        reason = reason_against_int8(name, store)
        yield PrecisionFinding(name, FLOAT32 if reason else INT8, timing, reason)


def compare_speed(
    float32: Path, int8: Path, size: tuple[int, int] | None, repeats: int = 40
) -> PrecisionTiming:
    """Time two network files on one CPU thread in turns, in processor time, so that other programs change neither.

    Args:
        float32, int8: the files.
        size: height and width of the input, px; None for a network of fixed size.
        repeats: pairs of runs of which the medians are taken.
    """
    sessions = [OnnxSession(path, "cpu", 1) for path in (float32, int8)]
    feeds = feeds_of(sessions[0], 1, size)
    times = []
    for _ in range(_WARM_UP + repeats):
        row = []
        for session in sessions:
            start = time.thread_time()
            session.run(feeds)
            row.append((time.thread_time() - start) * 1e3)
        times.append(row)
    before, after = np.median(times[_WARM_UP:], axis=0)
    return PrecisionTiming(float(before), float(after))
