from __future__ import annotations

import shutil
from pathlib import Path

import onnxruntime as ort
import pytest

from tddfa_ros.model_store.store import ModelStore, default_store
from tddfa_ros.tuning.doctor import ABSENT, BROKEN, OK, Finding, _build_value, examine


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    """Return a copy of the models of this package, without downloads."""
    models = tmp_path / "models"
    shutil.copytree(default_store().manifest.parent, models)
    return ModelStore(models / "manifest.yaml", tmp_path / "cache")


def look(store: ModelStore) -> dict[str, Finding]:
    return {finding.name: finding for finding in examine(store)}


def test_models_are_verified_without_download(store: ModelStore) -> None:
    network = store.location("tddfa-mb05")
    damaged = bytearray(network.read_bytes())
    damaged[1000] ^= 1
    network.write_bytes(damaged)
    found = look(store)
    assert found["tddfa-head"].state == OK
    assert f"sha256 {store.entry('tddfa-head').sha256[:12]}" in found["tddfa-head"].detail
    assert found["tddfa-mb05"].state == BROKEN and "damaged" in found["tddfa-mb05"].detail
    assert found["centerface"].state == ABSENT
    assert "tddfa models fetch centerface" in found["centerface"].detail
    assert not store.cache.exists()


def test_reports_library_versions(store: ModelStore) -> None:
    import numpy as np

    found = look(store)
    assert found["NumPy"].detail == np.__version__
    assert found["version"].detail == ort.__version__
    assert all(finding.detail for finding in found.values())


def test_unusable_providers_give_a_reason(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered = ["AzureExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(ort, "get_available_providers", lambda: offered)
    found = look(store)
    assert found["CPU"].state == OK
    assert (found["CUDA"].state, found["CUDA"].detail) == (
        ABSENT,
        "the installed ONNX Runtime has no CUDA support",
    )
    assert "does not use it" in found["Azure"].detail
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider", *offered])
    assert look(store)["CUDA"].state == OK


def test_reports_two_onnx_runtime_builds(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = {"onnxruntime": "1.30", "onnxruntime-gpu": "1.30"}
    monkeypatch.setattr("tddfa_ros.tuning.doctor._installed", versions.get)
    found = look(store)["version"]
    assert found.state == BROKEN
    assert "pip uninstall onnxruntime onnxruntime-gpu" in found.detail


def test_reports_missing_onnx_runtime(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tddfa_ros.runtime.devices.find_spec", lambda _: None)
    found = look(store)
    assert found["version"].state == BROKEN
    assert "pip install onnxruntime-gpu" in found["version"].detail
    assert "CUDA" not in found


def test_reports_pyav(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    versions: dict[str, str] = {}
    monkeypatch.setattr("tddfa_ros.tuning.doctor._installed", versions.get)
    assert look(store)["PyAV"].state == ABSENT
    assert "pip install av" in look(store)["PyAV"].detail
    versions["av"] = "18.1.0"
    assert (look(store)["PyAV"].state, look(store)["PyAV"].detail) == (OK, "18.1.0")


def test_reports_sourced_ros_without_rclpy(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tddfa_ros.tuning.doctor.find_spec", lambda _: None)
    monkeypatch.setenv("ROS_DISTRO", "jazzy")
    found = look(store)
    assert found["ROS 2"].state == BROKEN and "jazzy" in found["ROS 2"].detail
    monkeypatch.delenv("ROS_DISTRO")
    assert look(store)["ROS 2"].state == ABSENT


def test_reports_opencv_build() -> None:
    text = "General\n  GUI:                           QT5\n    QT:    YES\n  Media I/O:\n"
    assert _build_value(text, "GUI:") == "QT5"
    assert _build_value(text, "Video:") == ""
