"""Terms and spelling: banned words do not occur in source, messages, documentation and tests."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

TERMS = {
    r"pictures?|photographs?": "image; frame of a video",
    r"newcomers?": "new faces",
    r"trembl\w+": "jitter",
    r"timid\w*": "underestimates",
    r"calm\w*": "weakly augmented, p_weak",
    r"obituar(?:y|ies)": "exit_reason",
    r"unsee": "revoke_hit",
    r"oftener": "more often",
    r"to be had|at hand": "available",
    r"gone on with": "resumed",
    r"second try": "fallback",
    r"honest\w*": "calibrated, reported",
    r"asks_network|tell_notes": "needs_device, log_device_warnings",
    r"made-up": "synthetic",
    r"make-up": "makeup",
    r"set-ups?": "setup",
}
"""Banned expression -> what to write."""

ISE = (
    "categor", "color", "emphas", "general", "initial", "maxim", "minim", "normal", "optim", "organ", "parameter", "priorit",
    "quant", "raster", "real", "recogn", "serial", "standard", "summar", "synchron", "token", "util", "vector", "visual",
)  # fmt: skip
SPELLING = {
    rf"\w*?(?:{'|'.join(ISE)})is(?:e[drs]?|ers?|ing|ations?)": "-ize",
    r"colour\w*": "color",
    r"grey\w*": "gray",
    r"(?:milli|centi|kilo)?metres?": "meter",
    r"centre[ds]?": "center",
    r"neighbour\w*": "neighbor",
    r"behaviour\w*|favour\w*": "-or",
    r"labell(?:ed|ing)|modell(?:ed|ing)": "labeled, modeled",
    r"licences?": "license",
    r"artefacts?": "artifact",
}
"""British spelling -> US spelling."""

KEPT = {
    "docs/ros/migration.md": r"`visualise_headpose`",  # a parameter of rt_gene
    # keys of files from before version 0.2 or 0.3, which are still read
    "tddfa_ros/morphable/npz_file.py": r'"licence"',
    "test/morphable/test_model.py": r"licence=",
    "tddfa_ros/training/checkpoint.py": r'"optimiser"|"colour"|augment\.colour',
    "test/training/test_checkpoint.py": r'"optimiser"|"colour"',
}
"""File -> names in it that cannot change."""

PLACES = (
    "tddfa_ros", "tddfa_msgs", "launch", "config", "benchmarks", "docs", "models", "scripts", "test", "README.md", "CONTRIBUTING.md"
)  # fmt: skip
SUFFIXES = (".py", ".md", ".msg", ".yaml", ".js", ".html", ".sh")
FOREIGN = ("scripts/wheels/", "test/test_vocabulary.py")
"""Copies of messages of other projects; this file."""


@pytest.fixture(scope="module")
def lines() -> list[tuple[str, str]]:
    """Return all lines of the tracked texts with their place, without the names in :data:`KEPT`."""
    run = subprocess.run(
        ["git", "ls-files", "-z", *PLACES], cwd=ROOT, capture_output=True, text=True
    )
    if run.returncode:
        pytest.skip("not a git checkout")
    names = [n for n in run.stdout.split("\0") if n.endswith(SUFFIXES) and not n.startswith(FOREIGN)]  # fmt: skip
    assert len(names) > 600
    found = []
    for name in filter(lambda name: (ROOT / name).is_file(), names):
        text = (ROOT / name).read_text(encoding="utf-8")
        if name in KEPT:
            text = re.sub(KEPT[name], "", text)
        found += [(f"{name}:{i}", line) for i, line in enumerate(text.splitlines(), 1)]
    return found


@pytest.mark.parametrize(("banned", "instead"), (TERMS | SPELLING).items())
def test_vocabulary(lines: list[tuple[str, str]], banned: str, instead: str) -> None:
    # An underscore separates words, too: `picture` is found in `read_picture`.
    expression = re.compile(rf"(?i)(?<![a-z-])(?:{banned})(?![a-z-])")
    assert [f"{place}: write {instead}" for place, line in lines if expression.search(line)] == []


@pytest.mark.parametrize(
    ("text", "found"),
    [("read_picture(path)", True), ("Pictures", True), ("depicture", False), ("normalised", True), ("precise", False)],
)  # fmt: skip
def test_expressions_match_whole_words(text: str, found: bool) -> None:
    expressions = [re.compile(rf"(?i)(?<![a-z-])(?:{e})(?![a-z-])") for e in TERMS | SPELLING]
    assert any(e.search(text) for e in expressions) == found
