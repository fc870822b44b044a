"""Words that a reader would have to translate stay out of source, messages and documentation."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

REPLACEMENTS = {
    r"newcomers?": "new faces",
    r"trembl\w+": "jitter",
    r"timid": "underestimates",
    r"calm\w*": "weakly augmented, p_weak",
    r"obituary": "exit_reason",
    r"unsee\w*": "revoke_hit",
    r"oftener": "more often",
    r"to be had|at hand": "available",
    r"gone on with": "resumed",
    r"second try": "fallback",
    r"honestly": "calibrated, reported",
    r"asks_network|tell_notes": "needs_device, log_device_warnings",
    r"made-up network": "synthetic network",
}
"""Banned expression -> what to write."""

PLACES = ("tddfa_ros", "tddfa_msgs", "launch", "config", "benchmarks", "docs", "models")


@pytest.mark.parametrize(("banned", "instead"), REPLACEMENTS.items())
def test_vocabulary(banned: str, instead: str) -> None:
    run = subprocess.run(
        ["git", "ls-files", "-z", *PLACES, "README.md", "CONTRIBUTING.md"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    if run.returncode:
        pytest.skip("not a git checkout")
    expression = re.compile(rf"(?i)(?<![\w-])(?:{banned})(?![\w-])")
    texts = [
        p for p in run.stdout.split("\0") if p.endswith((".py", ".md", ".msg", ".yaml", ".js"))
    ]
    assert len(texts) > 300
    found = [
        f"{name}:{number}: write {instead}"
        for name in texts
        for number, line in enumerate((ROOT / name).read_text(encoding="utf-8").splitlines(), 1)
        if expression.search(line)
    ]
    assert found == []
