"""Results of a suite: rows of figures and the errors of single faces."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tddfa_ros.geometry.metrics import INNER, YAW_BINS, nme, yaw_bins, yaw_groups
from tddfa_ros.types import DoubleArray, RealArray

_FEWEST = 5  # minimum number of faces in a range of yaw


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        name: what was measured.
        count: number of faces, crops or frames over which the figures are averaged.
        figures: by column; absent, None or NaN if the method does not provide them.
    """

    name: str
    count: int
    figures: Mapping[str, float | None]


@dataclass(frozen=True, eq=False)
class Curve:
    """Values (n,) of single faces: errors in %, or scores in 0..1; ``yaw`` (n,), degrees, if known."""

    values: RealArray
    yaw: RealArray | None = None


@dataclass(frozen=True, eq=False)
class Calibration:
    """Errors and their predicted standard deviations, % of the face size.

    Attributes:
        error: (n, 68, 2) of x and y.
        sigma: (n, 68) of each of them.
    """

    error: DoubleArray
    sigma: DoubleArray


@dataclass(frozen=True, eq=False)
class SuiteResult:
    """The figures of one suite.

    Attributes:
        suite: name of the suite. title: heading. note: description of the columns.
        rows: rows of the table. digits: decimals by column; 2 by default.
        errors: NME68 by row, for the plots of cumulative error and of error over yaw.
        scores: scores by group, for the plot of confidences.
        calibrations: by set, for the plot of predicted against true deviations.
    """

    suite: str
    title: str
    rows: Sequence[Row]
    note: str = ""
    digits: Mapping[str, int] = field(default_factory=dict)
    errors: Mapping[str, Curve] = field(default_factory=dict)
    scores: Mapping[str, RealArray] = field(default_factory=dict)
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)

    @property
    def columns(self) -> list[str]:
        """Columns in the order of their first appearance."""
        return list(dict.fromkeys(column for row in self.rows for column in row.figures))

    def figure(self, row: str, column: str) -> float | None:
        """Return one figure; None if there is none. Raise KeyError for an unknown row."""
        for candidate in self.rows:
            if candidate.name == row:
                value = candidate.figures.get(column)
                return None if value is None or not math.isfinite(value) else float(value)
        raise KeyError(row)


def landmark_figures(
    found: RealArray, truth: RealArray, yaw_deg: RealArray
) -> dict[str, float | None]:
    """Compute NME68 and NME51 in %: mean over all faces, by range of |yaw|, and the mean of the three ranges.

    A range with fewer than 5 faces has no figure; then the mean of the ranges has none, either.

    Args:
        found, truth: (n, 68, 2) px; n may be 0. yaw_deg: (n,).
    """
    figures: dict[str, float | None] = {}
    for name, first in (("NME68", 0), ("NME51", INNER)):
        errors = nme(found, truth, first) if len(found) else np.zeros(0)
        figures |= binned(name, errors, yaw_deg)
    return figures


def binned(name: str, errors: RealArray, yaw_deg: RealArray) -> dict[str, float | None]:
    """Return means of errors (n,): ``name``, ``name 0-30`` ..., ``name bins`` (mean of the three ranges of |yaw|)."""
    means = [
        mean if group.sum() >= _FEWEST else math.nan
        for mean, group in zip(yaw_bins(errors, yaw_deg), yaw_groups(yaw_deg), strict=True)
    ]
    whole = float(errors.mean()) if len(errors) else math.nan
    named = {f"{name} {bin_}": mean for bin_, mean in zip(YAW_BINS, means, strict=True)}
    return {name: whole, **named, f"{name} bins": sum(means) / len(means)}
