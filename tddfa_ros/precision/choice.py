"""Choice of ``precision: auto`` from timings that ``tddfa doctor`` stored and from the accuracy in the model list."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tddfa_ros.config import AUTO, FLOAT32, INT8
from tddfa_ros.files import write_atomically
from tddfa_ros.model_store.manifest import ModelEntry
from tddfa_ros.model_store.store import ModelStore
from tddfa_ros.runtime.devices import cuda_absence

LARGEST_COST = 0.03
"""Largest increase of the NME68, percentage points, at which ``auto`` uses int8; see `ModelEntry.int8_cost`."""

SMALLEST_GAIN = 1.05
"""Smallest speed-up at which ``auto`` uses int8: smaller ones are lost in the noise of the measurement."""

_CPU_INFO = Path("/proc/cpuinfo")
_CPU_KEYS = ("model name", "vendor_id", "cpu family", "model", "flags", "Features", "CPU part")


@dataclass(frozen=True)
class PrecisionTiming:
    """Median ms of one run of a network on one thread of this machine, in float32 and in int8."""

    float32_ms: float
    int8_ms: float

    @property
    def gain(self) -> float:
        """How many times as fast int8 is."""
        return self.float32_ms / self.int8_ms


def choose(precision: str, name: str, store: ModelStore, device: str = "cpu") -> str:
    """Return ``float32`` or ``int8`` for a configured precision.

    ``auto`` is int8 only if the network runs on the CPU, `reason_against_int8` gives none, that is, if a stored measurement of
    this machine and of this model says that int8 is faster, and the model list says that it costs little accuracy.
    """
    if precision != AUTO:
        return precision
    if device != "cpu" and cuda_absence() is None:
        return FLOAT32
    return FLOAT32 if reason_against_int8(name, store) else INT8


def reason_against_int8(name: str, store: ModelStore) -> str | None:
    """Return why ``auto`` uses float32 for a network on the CPU, one sentence; None if it uses int8."""
    entry = store.entries.get(name)
    inaccurate = reason_against_accuracy(entry)
    if entry is None or inaccurate:
        return inaccurate
    timing = stored_timing(store, entry.sha256)
    if timing is None:
        return "not measured on this machine: run 'tddfa doctor'"
    if timing.gain < SMALLEST_GAIN:
        return f"int8 is only {timing.gain:.2f} times as fast on this machine"
    return None


def reason_against_accuracy(entry: ModelEntry | None) -> str | None:
    """Return why the int8 network of an entry of the model list is not accurate enough for ``auto``, one sentence; None if it is."""
    if entry is None or entry.int8_cost is None:
        return "the model list has no accuracy of its int8 network"
    if entry.int8_cost > LARGEST_COST:
        return f"int8 increases the NME68 by {entry.int8_cost}, more than {LARGEST_COST}"
    return None


def stored_timing(store: ModelStore, sha256: str) -> PrecisionTiming | None:
    """Return the stored measurement of this machine for a float32 model with this SHA-256; None without one."""
    try:
        return PrecisionTiming(**_read(store)[machine_key()][sha256])
    except (KeyError, TypeError):
        return None


def store_timing(store: ModelStore, sha256: str, timing: PrecisionTiming) -> None:
    """Store a measurement of this machine for a model; raise TddfaError if the cache cannot be written."""
    stored = _read(store)
    measured = dict(stored.get(machine_key(), {}))
    measured[sha256] = asdict(timing)
    content = json.dumps({**stored, machine_key(): measured}, indent=2) + "\n"
    write_atomically(_timings_file(store), content.encode())


def machine_key() -> str:
    """Return a key of processor and ONNX Runtime version, so that machines may share a cache."""
    import onnxruntime as ort

    try:
        lines = _CPU_INFO.read_text(encoding="utf-8", errors="replace").split("\n\n")[0].split("\n")
        kept = [line for line in lines if line.partition(":")[0].strip() in _CPU_KEYS]
    except OSError:
        kept = [platform.processor()]
    digest = hashlib.sha256("\n".join(kept).encode()).hexdigest()[:12]
    return f"{platform.machine()}-{digest}-ort{ort.__version__}"


def _timings_file(store: ModelStore) -> Path:
    return store.cache / "int8" / "timings.json"


def _read(store: ModelStore) -> Mapping[str, Any]:
    """Return the stored measurements by machine and model; none from a file that is missing or damaged."""
    try:
        values = json.loads(_timings_file(store).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}
