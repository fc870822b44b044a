"""The plots of a report: cumulative error, error against yaw, confidence."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tddfa_ros.evaluation.chart import Axis, Line, chart
from tddfa_ros.evaluation.result import Curve, SuiteResult
from tddfa_ros.types import DoubleArray, ImageBGR, RealArray

LARGEST_ERROR = 10.0
"""Right end of the cumulative error, %; faces beyond count as failures in the literature."""

_BAND = 15.0
_FEWEST = 3


def plots(result: SuiteResult) -> dict[str, ImageBGR]:
    """All plots of a suite, by the last part of their file names; none where there is nothing to plot."""
    drawn = {}
    if result.errors:
        drawn["errors"] = cumulative_error(result.title, result.errors)
    turned = {name: c for name, c in result.errors.items() if c.yaw is not None and len(c.values)}
    if turned:
        drawn["yaw"] = error_against_yaw(result.title, turned)
    known = {name: values for name, values in result.scores.items() if len(values)}
    if known:
        drawn["scores"] = scores_above(result.title, known)
    return drawn


def cumulative_error(title: str, curves: Mapping[str, Curve]) -> ImageBGR:
    """Share of faces with at most an error, over the error."""
    x = np.linspace(0, LARGEST_ERROR, 401)
    lines = [
        Line(f"{name} (mean {np.mean(curve.values):.2f})", x, 100 * share_up_to(curve.values, x))
        for name, curve in curves.items()
        if len(curve.values)
    ]
    errors = Axis("error of a face, % of its size", 0, LARGEST_ERROR, 1)
    return chart(title, lines, errors, Axis("faces with at most this error, %", 0, 100, 10))


def error_against_yaw(title: str, curves: Mapping[str, Curve]) -> ImageBGR:
    """Mean error in bands of 15 degrees of yaw, and the single faces behind it."""
    lines = []
    for name, curve in curves.items():
        assert curve.yaw is not None
        middles, means = band_means(curve.values, curve.yaw)
        lines.append(Line(name, middles, means, (curve.yaw, curve.values)))
    yaw = Axis("yaw, degrees (labels' sign)", -90, 90, _BAND)
    return chart(title, lines, yaw, Axis("error, % of the face size", 0, LARGEST_ERROR, 1))


def scores_above(title: str, groups: Mapping[str, RealArray]) -> ImageBGR:
    """Share of each group with at least a confidence, over the confidence."""
    x = np.linspace(0, 1, 401)
    lines = [
        Line(f"{name} ({len(values)})", x, 100 * share_up_to(-np.asarray(values), -x))
        for name, values in groups.items()
    ]
    confidence = Axis("confidence", 0, 1, 0.1)
    return chart(
        title, lines, confidence, Axis("share with at least this confidence, %", 0, 100, 10)
    )


def share_up_to(values: RealArray, limits: RealArray) -> DoubleArray:
    """Share (m,) of values (n,) that are at most each limit (m,)."""
    below = np.searchsorted(np.sort(values), limits, side="right")
    return np.asarray(below / len(values), dtype=np.float64)


def band_means(values: RealArray, yaw_deg: RealArray) -> tuple[DoubleArray, DoubleArray]:
    """Middles of bands of 15 degrees of yaw, and mean values in them; NaN where there are fewer than 3."""
    middles = np.arange(-90 + _BAND / 2, 90, _BAND)
    means = np.full(len(middles), np.nan)
    for i, middle in enumerate(middles):
        group = np.abs(yaw_deg - middle) <= _BAND / 2
        if group.sum() >= _FEWEST:
            means[i] = values[group].mean()
    return middles, means
