"""Plots of a report as PNG files, drawn with matplotlib: cumulative error, error against yaw, confidence, calibration.

matplotlib (extra ``eval``) is imported only when a plot is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tddfa_ros.evaluation.result import Calibration, Curve, SuiteResult
from tddfa_ros.files import atomic_path
from tddfa_ros.types import DoubleArray, RealArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LARGEST_ERROR = 10.0
"""Right end of the cumulative error, %; faces beyond count as failures in the literature."""

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#f0e442", "#6e6e6e", "#000000")  # fmt: skip
"""Palette of Okabe and Ito (2008), which remains distinguishable with color vision deficiency."""

_BAND = 15.0
_FEWEST = 3
_CALIBRATION_BINS = 10
_SIZE = (9.6, 6.0)  # inches
_DPI = 100


def write_plots(result: SuiteResult, folder: Path) -> list[Path]:
    """Write the plots of a suite, ``SUITE_errors.png``, ``_yaw``, ``_scores`` and ``_calibration``, as far as it has data.

    Args:
        result: the suite.
        folder: existing folder; files of these names are replaced.

    Returns:
        The files written.

    Raises:
        ImportError: matplotlib is not installed.
        OSError: a file cannot be written.
    """
    written = []
    for kind, figure in figures(result).items():
        path = folder / f"{result.suite}_{kind}.png"
        with atomic_path(path) as temporary:
            figure.savefig(temporary, dpi=_DPI)
        written.append(path)
    return written


def figures(result: SuiteResult) -> dict[str, Figure]:
    """Draw the plots of a suite, by kind (``errors``, ``yaw``, ``scores``, ``calibration``); empty where there is nothing to plot."""
    drawn = {}
    if result.errors:
        drawn["errors"] = cumulative_error(result.title, result.errors)
    turned = {name: c for name, c in result.errors.items() if c.yaw is not None and len(c.values)}
    if turned:
        drawn["yaw"] = error_against_yaw(result.title, turned)
    known = {name: values for name, values in result.scores.items() if len(values)}
    if known:
        drawn["scores"] = scores_above(result.title, known)
    if result.calibrations:
        drawn["calibration"] = predicted_deviation(result.title, result.calibrations)
    return drawn


def cumulative_error(title: str, curves: Mapping[str, Curve]) -> Figure:
    """Plot the percentage of faces with at most an error, over the error."""
    figure, axes = _figure(
        title, "error of a face, % of its size", "faces with at most this error, %"
    )
    x = np.linspace(0, LARGEST_ERROR, 401)
    for name, curve in curves.items():
        if len(curve.values):
            label = f"{name} (mean {np.mean(curve.values):.2f})"
            axes.plot(x, 100 * share_up_to(curve.values, x), label=label)
    _finish(axes, (0, LARGEST_ERROR, 1), (0, 100, 10))
    return figure


def error_against_yaw(title: str, curves: Mapping[str, Curve]) -> Figure:
    """Plot the mean error in bands of 15 degrees of yaw over the errors of single faces."""
    figure, axes = _figure(title, "yaw, degrees (sign of the labels)", "error, % of the face size")
    for number, (name, curve) in enumerate(curves.items()):
        assert curve.yaw is not None
        color = COLORS[number % len(COLORS)]
        clipped = np.minimum(curve.values, LARGEST_ERROR)
        axes.scatter(curve.yaw, clipped, s=4, color=color, alpha=0.35, linewidths=0)
        axes.plot(*band_means(curve.values, curve.yaw), color=color, label=name)
    _finish(axes, (-90, 90, _BAND), (0, LARGEST_ERROR, 1))
    return figure


def scores_above(title: str, groups: Mapping[str, RealArray]) -> Figure:
    """Plot the percentage of each group with at least a confidence, over the confidence."""
    figure, axes = _figure(title, "confidence", "share with at least this confidence, %")
    x = np.linspace(0, 1, 401)
    for name, values in groups.items():
        share = 100 * share_up_to(-np.asarray(values), -x)
        axes.plot(x, share, label=f"{name} ({len(values)})")
    _finish(axes, (0, 1, 0.1), (0, 100, 10))
    return figure


def predicted_deviation(title: str, calibrations: Mapping[str, Calibration]) -> Figure:
    """Plot the RMS error of coordinates over their predicted standard deviation; the diagonal is a calibrated network."""
    figure, axes = _figure(
        title, "predicted standard deviation, % of the face size", "RMS error, % of the face size"
    )
    most = 0.0
    for name, calibration in calibrations.items():
        predicted, true = calibration_bins(calibration)
        axes.plot(predicted, true, marker="o", label=name)
        most = max(most, float(predicted.max()), float(true.max()))
    most = max(1.0, float(np.ceil(most)))
    axes.plot([0, most], [0, most], color="0.4", linestyle="--", label="calibrated")
    _finish(axes, (0, most, most / 5), (0, most, most / 5))
    return figure


def calibration_bins(calibration: Calibration) -> tuple[DoubleArray, DoubleArray]:
    """Return RMS of prediction and of error in ten equal groups of landmarks, sorted by predicted deviation."""
    sigma = calibration.sigma.reshape(-1)
    square = (calibration.error.reshape(-1, 2) ** 2).mean(axis=1)
    groups = np.array_split(np.argsort(sigma, kind="stable"), _CALIBRATION_BINS)
    groups = [group for group in groups if len(group)]
    predicted = np.array([np.sqrt(np.mean(sigma[group] ** 2)) for group in groups])
    return predicted, np.array([np.sqrt(square[group].mean()) for group in groups])


def share_up_to(values: RealArray, limits: RealArray) -> DoubleArray:
    """Return the share (m,) of values (n,) that are at most each limit (m,)."""
    below = np.searchsorted(np.sort(values), limits, side="right")
    return np.asarray(below / len(values), dtype=np.float64)


def band_means(values: RealArray, yaw_deg: RealArray) -> tuple[DoubleArray, DoubleArray]:
    """Return centers of bands of 15 degrees of yaw, and the mean value in each; NaN for fewer than 3 values."""
    middles = np.arange(-90 + _BAND / 2, 90, _BAND)
    means = np.full(len(middles), np.nan)
    for i, middle in enumerate(middles):
        group = np.abs(yaw_deg - middle) <= _BAND / 2
        if group.sum() >= _FEWEST:
            means[i] = values[group].mean()
    return middles, means


def _figure(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    """Create an empty chart for the Agg backend, independent of pyplot's global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(title=title, xlabel=x, ylabel=y)
    axes.set_prop_cycle(color=COLORS)
    axes.grid(color="0.88")
    axes.set_axisbelow(True)
    return figure, axes


def _finish(axes: Axes, x: tuple[float, float, float], y: tuple[float, float, float]) -> None:
    """Set limits and ticks (low, high, step) of both axes and add the legend."""
    low, high, step = x
    axes.set(xlim=(low, high), xticks=np.arange(low, high + step / 2, step))
    low, high, step = y
    axes.set(ylim=(low, high), yticks=np.arange(low, high + step / 2, step))
    if axes.lines:
        axes.legend(fontsize="small")
