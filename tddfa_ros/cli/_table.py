"""Format the faces of a message as lines of text for ``tddfa watch``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tddfa_ros.names import printable

FACE_HEAD = f"{'ID':<8} {'distance':>9} {'yaw':>7} {'pitch':>7} {'roll':>7}  expressions"
LINE_HEAD = f"{'stamp':>17} {'rate':>8} {'latency':>9}  {FACE_HEAD}"
_LEAST_EXPRESSION = 0.1


def rows(report: Mapping[str, Any], expressions: int = 3) -> list[str]:
    """Format one line per face, aligned with :data:`FACE_HEAD`; a single line if there is none.

    Args:
        report: result of ``tddfa_ros.nodes.watch.report``.
        expressions: maximum number of expressions, the largest first; those below 0.1 are omitted.
    """
    if not report["faces"]:
        return ["no face"]
    return [
        f"{printable(face['id'], 40):<8} {_number(face['distance'], 7, 2)} m "
        + " ".join(_number(face[angle], 7, 1) for angle in ("yaw", "pitch", "roll"))
        + f"  {strongest(face['expression'], expressions)}".rstrip()
        for face in report["faces"]
    ]


def plain(report: Mapping[str, Any]) -> list[str]:
    """Format lines for a file or a pipe, aligned with :data:`LINE_HEAD`: stamp (s), rate and latency, then a row."""
    start = f"{report['stamp']:17.6f} {_timing(report)}"
    return [f"{start}  {row}" for row in rows(report)]


def strongest(expression: Mapping[str, float | None], count: int) -> str:
    """Format the largest coefficients, such as ``jawOpen 0.52, browInnerUp 0.31``."""
    known = [(value, name) for name, value in expression.items() if value is not None]
    chosen = sorted(known, key=lambda item: (-item[0], item[1]))[:count]
    return ", ".join(
        f"{printable(name, 40)} {value:.2f}" for value, name in chosen if value >= _LEAST_EXPRESSION
    )


def screen(report: Mapping[str, Any], lines_before: int, width: int) -> tuple[str, int]:
    """Format the table so that it replaces the previous one; return it and the number of its lines.

    Args:
        report: as in :func:`rows`.
        lines_before: lines of the previous table, 0 for the first.
        width: columns of the terminal; a longer line would wrap and leave remains.
    """
    title = (
        f"{printable(report['topic'])} in {printable(report['frame_id'], 80)}: {_timing(report)}"
    )
    lines = [" ".join(title.split()), FACE_HEAD, *rows(report)]
    start = f"\x1b[{lines_before}A\x1b[J" if lines_before else ""
    return start + "".join(f"{line[: width - 1]}\n" for line in lines), len(lines)


def _timing(report: Mapping[str, Any]) -> str:
    return f"{_number(report['rate'], 5, 1)} Hz {_number(report['latency_ms'], 6, 0)} ms"


def _number(value: float | None, width: int, digits: int) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:>{width}.{digits}f}"
