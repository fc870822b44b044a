"""Registry and runner of the evaluation suites."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tddfa_ros.errors import ConfigError
from tddfa_ros.evaluation import (
    aflw21,
    aflw2000,
    bias,
    cfp,
    confidence,
    detection,
    expression,
    framing,
    head_pose,
    lp,
    maps,
    photos,
    stability,
    uncertainty,
    whole_photos,
)
from tddfa_ros.evaluation.prediction import Predictor
from tddfa_ros.evaluation.result import SuiteResult
from tddfa_ros.evaluation.sets import Sets


@dataclass(frozen=True)
class Suite:
    """An evaluation and the folders of `Sets` that it needs."""

    evaluate: Callable[[Predictor, Sets], SuiteResult]
    needs: tuple[str, ...] = ()


_FIRST_PIXEL = 1
"""iBUG's and YTF's annotations number the pixels of an image from 1."""


def _photos(name: str) -> Suite:
    return Suite(partial(_evaluate_photos, name=name), (name,))


def _evaluate_photos(predictor: Predictor, sets: Sets, name: str) -> SuiteResult:
    return photos.evaluate(predictor, sets.folder(name), sets, name, first_pixel=_FIRST_PIXEL)


SUITES: dict[str, Suite] = {
    "aflw2000": Suite(aflw2000.evaluate, ("aflw2000",)),
    "whole": Suite(whole_photos.evaluate, ("aflw2000",)),
    "framing": Suite(framing.evaluate, ("aflw2000",)),
    "bias": Suite(bias.evaluate, ("aflw2000",)),
    "pose": Suite(head_pose.evaluate, ("aflw2000",)),
    "helen": _photos("helen"),
    "ytf": _photos("ytf"),
    "lp": Suite(lp.evaluate, ("faces",)),
    "cfp": Suite(cfp.evaluate, ("faces",)),
    "aflw21": Suite(aflw21.evaluate, ("faces",)),
    "uncertainty": Suite(uncertainty.evaluate, ("aflw2000", "faces")),
    "maps": Suite(maps.evaluate, ("aflw2000", "faces")),
    "expression": Suite(expression.evaluate, ("faces",)),
    "confidence": Suite(confidence.evaluate, ("aflw2000", "helen", "detection", "faces")),
    "stability": Suite(stability.evaluate, ("helen", "video")),
    "detection": Suite(detection.evaluate, ("detection",)),
}
"""Suites by name, in the order of the report."""


def find(name: str) -> Suite:
    """Return the suite of that name, or one for a folder of images; see `photos.evaluate`.

    Raises:
        ConfigError: the name is neither.
    """
    if name in SUITES:
        return SUITES[name]
    folder = Path(name)
    if not folder.is_dir():
        raise ConfigError(
            f"there is no suite {name!r}: it is neither a folder of images nor one of {', '.join(SUITES)}"
        )
    name = folder.resolve().name
    return Suite(lambda predictor, sets: photos.evaluate(predictor, folder, sets, name))


def available(sets: Sets) -> list[str]:
    """Return the names of the suites whose data exist."""
    return [name for name, suite in SUITES.items() if all(map(sets.has, suite.needs))]


def run(predictor: Predictor, names: Sequence[str], sets: Sets) -> list[SuiteResult]:
    """Run suites by name or folder.

    Raises:
        ConfigError: a suite is unknown (raised before the first one runs), or its data are missing.
    """
    return [suite.evaluate(predictor, sets) for suite in [find(name) for name in names]]
