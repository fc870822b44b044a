"""The report of an evaluation: markdown and JSON of all figures, PNG plots."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2

from tddfa_ros.errors import ConfigError
from tddfa_ros.evaluation.plots import plots
from tddfa_ros.evaluation.result import SuiteResult

ABSENT = "-"
"""What a table shows where a method has no answer."""


def markdown(name: str, results: Sequence[SuiteResult]) -> str:
    """A table for each suite, below one heading."""
    return "\n".join([f"# {name}", *(_section(result) for result in results)])


def to_json(name: str, results: Sequence[SuiteResult]) -> str:
    """All figures, unrounded; null where a method has no answer."""
    suites = [
        {
            "suite": result.suite,
            "title": result.title,
            "note": result.note,
            "rows": [
                {"name": row.name, "count": row.count, "figures": _finite(row.figures)}
                for row in result.rows
            ],
        }
        for result in results
    ]
    return json.dumps({"name": name, "suites": suites}, indent=2)


FORMATS = {"markdown": markdown, "json": to_json}
"""Ways to write the figures."""


def write(name: str, results: Sequence[SuiteResult], folder: Path) -> list[Path]:
    """Write ``report.md``, ``report.json`` and the plots ``SUITE_errors.png``, ``SUITE_yaw.png``, ``SUITE_scores.png``.

    Raises:
        ConfigError: the folder cannot be written to.
    """
    written = [folder / "report.md", folder / "report.json"]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written[0].write_text(markdown(name, results) + "\n", encoding="utf-8")
        written[1].write_text(to_json(name, results) + "\n", encoding="utf-8")
        for result in results:
            for kind, image in plots(result).items():
                written.append(folder / f"{result.suite}_{kind}.png")
                _, encoded = cv2.imencode(".png", image)
                written[-1].write_bytes(encoded.tobytes())
    except OSError as error:
        raise ConfigError(f"the report cannot be written to {folder}: {error.strerror}") from error
    return written


def _section(result: SuiteResult) -> str:
    columns = result.columns
    lines = [
        "",
        f"## {result.title}",
        "",
        f"| | n | {' | '.join(columns)} |",
        f"|---|{'---:|' * (len(columns) + 1)}",
    ]
    for row in result.rows:
        cells = [_cell(row.figures.get(c), result.digits.get(c, 2)) for c in columns]
        lines.append(f"| {row.name} | {row.count} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", result.note] if result.note else lines)


def _cell(value: float | None, digits: int) -> str:
    return ABSENT if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def _finite(figures: Mapping[str, float | None]) -> dict[str, float | None]:
    return {c: v if v is not None and math.isfinite(v) else None for c, v in figures.items()}
