from __future__ import annotations

from pathlib import Path

import onnxruntime as ort
import pytest

from tddfa_ros.model_store.store import ModelStore, default_store
from tddfa_ros.tuning.measure import measure


def test_times_usable_providers_without_download(tmp_path: Path) -> None:
    store = ModelStore(default_store().manifest, tmp_path / "cache")
    rows = list(measure(store, repeats=1))
    one = next(row for row in rows if row.provider == "CPU, 1 thread")
    assert (one.network, one.batch, one.problem) == ("tddfa-mb05", 1, None)
    assert one.milliseconds is not None and one.milliseconds > 0
    assert {row.batch for row in rows if row.network == "tddfa-mb05"} == {1, 8}
    (detector,) = (row for row in rows if row.network == "centerface")
    assert detector.milliseconds is None and "tddfa models fetch" in str(detector.problem)


@pytest.mark.skipif(
    "CUDAExecutionProvider" in ort.get_available_providers(), reason="CUDA may work here"
)
@pytest.mark.filterwarnings("ignore:Specified provider")
def test_broken_provider_gives_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offered = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(ort, "get_available_providers", lambda: offered)
    store = ModelStore(default_store().manifest, tmp_path / "cache")
    cuda = [row for row in measure(store, repeats=1) if row.provider == "CUDA"]
    assert len(cuda) == 2
    for row in cuda:
        assert row.milliseconds is None and "could not be loaded" in str(row.problem)
