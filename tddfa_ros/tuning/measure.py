"""Timing of the default networks on every execution provider of this machine."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.config import PipelineConfig
from tddfa_ros.errors import TddfaError
from tddfa_ros.model_store.store import ModelStore
from tddfa_ros.runtime import devices
from tddfa_ros.runtime.session import OnnxSession
from tddfa_ros.runtime.tensorrt import MODEL
from tddfa_ros.tuning.build_engine import build_engine

_WARM_UP = 3


@dataclass(frozen=True)
class Timing:
    """A network on a provider.

    Attributes:
        network: its name in the model list.
        provider: where it ran, or should have run: ``CPU, 1 thread``, ``CUDA`` ...
        batch: images or faces per run.
        milliseconds: median wall-clock time of one of them; None where it could not be measured.
        problem: one sentence that says why; else None.
    """

    network: str
    provider: str
    batch: int
    milliseconds: float | None = None
    problem: str | None = None


def measure(
    store: ModelStore, config: PipelineConfig | None = None, repeats: int = 30
) -> Iterator[Timing]:
    """Time the configured regression network (one face and eight) and detector (one 4:3 image) on all usable providers.

    Args:
        store: where the networks come from; what is not there is not fetched.
        config: None for the defaults.
        repeats: runs of which the median is taken.
    """
    config = config or PipelineConfig()
    cases = (
        (config.regression.model, 1, None),
        (config.regression.model, 8, None),
        (config.detection.detector, 1, detector_size(config.detection.input_size)),
    )
    for name, batch, size in cases:
        try:
            path = store.path(name, fetch=False)
        except TddfaError as error:
            yield Timing(name, "", batch, problem=str(error))
            continue
        for label, make in _ways(path, size is None):
            yield _timed(name, label, batch, size, make, repeats)


def _ways(path: Path, fixed_size: bool) -> Iterator[tuple[str, Callable[[], OnnxSession]]]:
    """Return names and factories of the sessions to time."""
    cores = devices.usable_cores()
    for threads in dict.fromkeys((1, cores)):
        label = f"CPU, {threads} thread{'s'[: threads > 1]}"
        yield label, lambda threads=threads: OnnxSession(path, "cpu", threads)  # type: ignore[misc]
    if devices.cuda_absence() is None:
        yield "CUDA", lambda: OnnxSession(path, "cuda")
    if fixed_size and devices.tensorrt_absence() is None:
        yield "TensorRT", lambda: _engine(path)


def _engine(path: Path) -> OnnxSession:
    with tempfile.TemporaryDirectory() as folder:
        build_engine(path, Path(folder) / "engine", half=True)
        return OnnxSession(Path(folder) / "engine" / MODEL, "cuda")


def _timed(
    name: str,
    label: str,
    batch: int,
    size: tuple[int, int] | None,
    make: Callable[[], OnnxSession],
    repeats: int,
) -> Timing:
    try:
        session = make()
        if devices.SHORT_NAMES.get(session.provider) != label.partition(",")[0]:
            return Timing(name, label, batch, problem=session.fallback_reason)
        feeds = feeds_of(session, batch, size)
        times = []
        for _ in range(_WARM_UP + repeats):
            start = time.perf_counter()
            session.run(feeds)
            times.append(time.perf_counter() - start)
    except TddfaError as error:
        return Timing(name, label, batch, problem=str(error))
    return Timing(name, label, batch, float(np.median(times[_WARM_UP:])) * 1e3 / batch)


def detector_size(side: int) -> tuple[int, int]:
    """Return height and width of the detector input for a 4:3 image with the configured long side, px."""
    return _multiple(side * 3 / 4), _multiple(side)


def feeds_of(
    session: OnnxSession, batch: int, size: tuple[int, int] | None
) -> dict[str, NDArray[Any]]:
    """Return random input of the right shape: the time of a network does not depend on its values."""
    rng = np.random.default_rng(0)
    (name, (_, channels, *sides)), *_ = session.input_shapes.items()
    shape = [batch, channels, *(size or sides)]
    return {name: rng.uniform(-1, 1, [int(side) for side in shape if side]).astype(np.float32)}


def _multiple(side: float) -> int:
    """Return the next multiple of 32, as detectors require."""
    return -int(-side // 32) * 32
