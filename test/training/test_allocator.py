from __future__ import annotations

import subprocess
import sys

import pytest

_FAULTS = """
import resource, sys
import numpy as np
from tddfa_ros.training.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
np.ones(20_000_000, np.uint8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.ones(20_000_000, np.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(mode: str) -> int:
    command = [sys.executable, "-c", _FAULTS, mode]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mallopt is of Linux")
def test_freed_memory_is_used_again() -> None:
    """Pages of a fresh block are faults of the process; blocks used again cause none."""
    assert _faults("keep") < _faults("leave") / 10


def test_elsewhere_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    from tddfa_ros.training.allocator import keep_freed_memory

    monkeypatch.setattr(sys, "platform", "darwin")
    assert not keep_freed_memory()
