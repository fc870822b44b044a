"""``tddfa doctor``: report usable devices, libraries and models, and time the networks."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from tddfa_ros.cli import _files as files

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tddfa_ros.tuning.doctor import Finding
    from tddfa_ros.tuning.measure import Timing
    from tddfa_ros.tuning.precision import PrecisionFinding


@files.command("doctor", short_help="Check Python, libraries, devices, ROS and models.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--measure/--no-measure", default=True, help="Also time the networks.")
def command(as_json: bool, measure: bool) -> None:
    """Check Python, libraries, devices, ROS and models, and time the default networks on every usable provider.

    The times in float32 and int8 are stored; precision: auto chooses by them.

    The exit status is 1 if something is broken; absent items are optional.
    """
    from tddfa_ros.model_store.store import default_store
    from tddfa_ros.tuning.doctor import BROKEN, examine
    from tddfa_ros.tuning.measure import measure as measured
    from tddfa_ros.tuning.precision import measure_precisions

    store = default_store()
    findings = list(examine(store))
    timings = list(measured(store)) if measure else []
    precisions = list(measure_precisions(store)) if measure else []
    if as_json:
        report = {
            "findings": [asdict(finding) for finding in findings],
            "timings": [asdict(timing) for timing in timings],
            "precisions": [asdict(finding) for finding in precisions],
        }
        click.echo(json.dumps(report, indent=2))
    else:
        click.echo(as_text(findings, timings, precisions))
    if any(finding.state == BROKEN for finding in findings):
        click.get_current_context().exit(1)


def as_text(
    findings: Sequence[Finding],
    timings: Sequence[Timing],
    precisions: Sequence[PrecisionFinding] = (),
) -> str:
    """Format the report as text."""
    lines: list[str] = []
    for group in dict.fromkeys(finding.group for finding in findings):
        lines += ["", group]
        lines += [f"  {f.state:<7} {f.name}: {f.detail}" for f in findings if f.group == group]
    if timings:
        lines += ["", "median ms of one face or image"]
    for timing in timings:
        what = f"{timing.network}, {timing.batch} at once"
        where = timing.provider or "not measured"
        result = timing.problem or f"{timing.milliseconds:.2f}"
        lines.append(f"  {what:<26} {where:<16} {result}")
    if precisions:
        lines += ["", "precision: auto on the CPU (median processor ms of one face or image)"]
    for found in precisions:
        times = ""
        if found.timing is not None:
            times = f"float32 {found.timing.float32_ms:.2f}, int8 {found.timing.int8_ms:.2f}"
        why = "; ".join(part for part in (times, found.reason) if part)
        lines.append(f"  {found.network:<26} {found.auto:<16} {why}")
    return "\n".join(lines[1:])


__all__ = ["command"]
