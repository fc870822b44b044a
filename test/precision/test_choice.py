from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tddfa_ros.model_store.store import ModelStore, default_store
from tddfa_ros.precision.choice import (
    PrecisionTiming,
    choose,
    machine_key,
    reason_against_int8,
    store_timing,
    stored_timing,
)
from tddfa_ros.tuning.precision import measure_precisions

NAME = "tddfa-mb05"
FASTER = PrecisionTiming(float32_ms=2.0, int8_ms=1.5)


def store_with(cache: Path, cost: float | None = 0.004) -> ModelStore:
    """Return the models of this package, with this int8 accuracy of the default network and none of others."""
    store = ModelStore(default_store().manifest, cache)
    store.entries = {
        name: replace(entry, int8_cost=cost if name == NAME else None)
        for name, entry in store.entries.items()
    }
    return store


@pytest.fixture(autouse=True)
def without_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tddfa_ros.precision.choice.cuda_absence", lambda: "no CUDA")


def test_named_precision_is_used() -> None:
    store = default_store()
    assert choose("int8", NAME, store) == "int8"
    assert choose("float32", NAME, store) == "float32"


def test_auto_follows_the_stored_measurement(tmp_path: Path) -> None:
    store = store_with(tmp_path)
    sha256 = store.entries[NAME].sha256
    assert choose("auto", NAME, store) == "float32"
    assert "tddfa doctor" in str(reason_against_int8(NAME, store))
    store_timing(store, sha256, FASTER)
    assert stored_timing(store, sha256) == FASTER
    assert choose("auto", NAME, store) == "int8" and reason_against_int8(NAME, store) is None
    assert choose("auto", "centerface", store) == "float32"
    store_timing(store, "0" * 64, FASTER)
    store_timing(store, sha256, PrecisionTiming(2.0, 1.95))
    assert choose("auto", NAME, store) == "float32"
    assert "1.03 times as fast" in str(reason_against_int8(NAME, store))
    assert stored_timing(store, "0" * 64) == FASTER, "other models keep theirs"


def test_auto_needs_a_small_accuracy_cost(tmp_path: Path) -> None:
    store = store_with(tmp_path)
    store_timing(store, store.entries[NAME].sha256, FASTER)
    assert choose("auto", NAME, store) == "int8"
    assert choose("auto", NAME, store_with(tmp_path, 0.031)) == "float32"
    assert choose("auto", NAME, store_with(tmp_path, None)) == "float32"
    assert choose("auto", "mine.onnx", store) == "float32"


def test_measurement_is_of_one_machine_and_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_with(tmp_path)
    store_timing(store, store.entries[NAME].sha256, FASTER)
    changed = store_with(tmp_path)
    changed.entries = {NAME: replace(store.entries[NAME], sha256="1" * 64)}
    assert choose("auto", NAME, changed) == "float32"
    monkeypatch.setattr("tddfa_ros.precision.choice.machine_key", lambda: f"{machine_key()}-other")
    assert choose("auto", NAME, store) == "float32"


def test_auto_is_float32_on_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_with(tmp_path)
    store_timing(store, store.entries[NAME].sha256, FASTER)
    monkeypatch.setattr("tddfa_ros.precision.choice.cuda_absence", lambda: None)
    assert choose("auto", NAME, store, device="auto") == "float32"
    assert choose("auto", NAME, store, device="cpu") == "int8"


@pytest.mark.parametrize("content", ["", "[]", "{", '{"other": {}}'])
def test_damaged_timings_count_as_not_measured(tmp_path: Path, content: str) -> None:
    store = store_with(tmp_path)
    file = tmp_path / "int8" / "timings.json"
    file.parent.mkdir()
    file.write_text(content)
    assert choose("auto", NAME, store) == "float32"
    store_timing(store, store.entries[NAME].sha256, FASTER)
    assert choose("auto", NAME, store) == "int8"


def test_doctor_stores_what_it_measures(tmp_path: Path) -> None:
    store = store_with(tmp_path)
    regressor, detector = measure_precisions(store, repeats=3)
    assert regressor.network == NAME and regressor.timing is not None
    assert stored_timing(store, store.entries[NAME].sha256) == regressor.timing
    assert regressor.auto == choose("auto", NAME, store)
    assert (detector.network, detector.auto, detector.timing) == ("centerface", "float32", None)
    assert "no accuracy" in str(detector.reason)
    assert not store.location("centerface").exists(), "nothing is downloaded"
