"""Report of an evaluation: figures as Markdown and JSON, plots as PNG."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from tddfa_ros.evaluation.plots import write_plots
from tddfa_ros.evaluation.result import SuiteResult
from tddfa_ros.files import write_atomically

ABSENT = "-"
"""Table cell of a figure that the method does not provide."""


def markdown(name: str, results: Sequence[SuiteResult]) -> str:
    """Format one table per suite below one heading."""
    return "\n".join([f"# {name}", *(_section(result) for result in results)])


def to_json(name: str, results: Sequence[SuiteResult]) -> str:
    """Format all figures, unrounded; null for those that the method does not provide."""
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
"""Formatters of figures by the name of their format."""


def write(
    name: str,
    results: Sequence[SuiteResult],
    folder: Path,
    on_message: Callable[[str], None] = print,
) -> list[Path]:
    """Write ``report.md`` and ``report.json``, and plots (`write_plots`) if matplotlib is installed.

    Args:
        name: heading of the report.
        results: of the suites.
        folder: created if missing; files of an earlier report are replaced.
        on_message: receives one sentence if plots are left out.

    Returns:
        The files written.

    Raises:
        TddfaError: a file cannot be written.
    """
    written = [folder / "report.md", folder / "report.json"]
    write_atomically(written[0], f"{markdown(name, results)}\n".encode())
    write_atomically(written[1], f"{to_json(name, results)}\n".encode())
    if find_spec("matplotlib") is None:
        on_message("plots are left out because matplotlib is not installed: pip install matplotlib")
        return written
    for result in results:
        written += write_plots(result, folder)
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
