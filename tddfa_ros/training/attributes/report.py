"""Calibrate the attribute network, measure it overall and per group, export it to ONNX."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tddfa_ros.attributes.estimate import TASK
from tddfa_ros.files import atomic_path
from tddfa_ros.training.attributes.labeled import (
    AGE_BANDS,
    UTK_ETHNICITIES,
    LabeledFaces,
    age_band,
)
from tddfa_ros.training.attributes.network import YEARS, AttributeConfig, AttributeNet
from tddfa_ros.training.export import write_graph

Logits = Mapping[str, NDArray[np.float32]]

_ECE_BINS = 15
_TEMPERATURES = np.geomspace(0.5, 3.0, 60)


class CalibratedNet(nn.Module):
    """The network with calibrated probabilities: softmax and sigmoid with temperatures (Guo et al., 2017, eq. 9)."""

    def __init__(self, network: AttributeNet, temperatures: Mapping[str, float]) -> None:
        super().__init__()
        self.network, self.temperatures = network, dict(temperatures)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        found = self.network(image)._asdict()
        out = [(found["age"] / self.temperatures["age"]).softmax(dim=1)]
        for name in ("feminine", "smiling"):
            if name in self.temperatures:
                out.append(torch.sigmoid(found[name] / self.temperatures[name]))
        return tuple(out)


def find_temperatures(logits: Logits, faces: LabeledFaces) -> dict[str, float]:
    """Find the temperatures of highest likelihood of held-out labels; outputs without labels get none."""
    found: dict[str, float] = {}
    for name in ("age", "feminine", "smiling"):
        labels = getattr(faces, name)
        known = np.isfinite(labels)
        if known.any():
            losses = [_nll(logits[name][known] / t, labels[known]) for t in _TEMPERATURES]
            found[name] = float(_TEMPERATURES[int(np.argmin(losses))])
    return found


def _nll(logits: NDArray[np.float32], labels: NDArray[np.float32]) -> float:
    """Return the mean negative log-likelihood of labels: years with logits (n, 101), or 0 and 1 with logits (n,)."""
    if logits.ndim == 1:
        return float(np.logaddexp(0, np.where(labels > 0.5, -logits, logits)).mean())
    log_p = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    years = np.clip(labels, 0, YEARS - 1).astype(int)
    return float(-log_p[np.arange(len(labels)), years].mean())


def calibration_error(probability: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """Return the expected calibration error (Guo et al., 2017, eq. 3) of the more probable of two classes, in 15 bins of equal width."""
    chosen = probability >= 0.5
    confidence = np.where(chosen, probability, 1 - probability)
    right = chosen == truth
    place = np.minimum((confidence * _ECE_BINS).astype(int), _ECE_BINS - 1)
    counts = np.bincount(place, minlength=_ECE_BINS)
    gap = np.bincount(place, confidence - right, minlength=_ECE_BINS)
    return float(np.abs(gap).sum() / counts.sum())


def measure(
    age: NDArray[np.float64], feminine: NDArray[np.float64], faces: LabeledFaces
) -> dict[str, float]:
    """Measure age and gender presentation on faces with both labels.

    Args:
        age: (n, 101) probabilities of years.
        feminine: (n,) probability.
        faces: with their labels.

    Returns:
        ``faces``; ``age_mae`` and ``age_bias`` (estimate minus label), years; ``age_in_80``, the share of labels within the central 80 % of the
        distribution; ``gender_accuracy``; ``gender_ece``.
    """
    error = age @ np.arange(YEARS) - faces.age
    cumulated = np.cumsum(age, axis=1)
    low, high = (cumulated < 0.1).sum(axis=1), (cumulated < 0.9).sum(axis=1)
    label = np.clip(faces.age, 0, YEARS - 1)
    truth = faces.feminine > 0.5
    return {
        "faces": float(len(error)),
        "age_mae": float(np.abs(error).mean()),
        "age_bias": float(error.mean()),
        "age_in_80": float(((label >= low) & (label <= high)).mean()),
        "gender_accuracy": float(((feminine >= 0.5) == truth).mean()),
        "gender_ece": calibration_error(feminine, truth),
    }


def report(age: NDArray[np.float64], feminine: NDArray[np.float64], faces: LabeledFaces) -> str:
    """:func:`measure` for all faces and for each group, as a Markdown table."""
    lines = [
        "| group | faces | age: mean error, years | bias | label in the 80 % interval | gender right | ECE |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, rows in _groups(faces):
        if rows.any():
            index = np.flatnonzero(rows)
            m = measure(age[index], feminine[index], faces.take(index))
            lines.append(
                f"| {name} | {len(index)} | {m['age_mae']:.2f} | {m['age_bias']:+.1f} | {m['age_in_80']:.0%} "
                f"| {m['gender_accuracy']:.1%} | {m['gender_ece']:.3f} |"
            )
    return "\n".join(lines)


def _groups(faces: LabeledFaces) -> list[tuple[str, NDArray[np.bool_]]]:
    groups = [("all", np.ones(len(faces), dtype=np.bool_))]
    bands = age_band(faces.age)
    for n, (low, high) in enumerate(pairwise(AGE_BANDS)):
        name = f"{low} to {high - 1} years" if high < YEARS else f"{low} years and more"
        groups.append((name, bands == n))
    adults = faces.age >= 20
    for name, value in (("female", 1), ("male", 0)):
        groups.append((f"labeled {name}", faces.feminine == value))
    groups += [(f"labeled {name}", faces.ethnicity == n) for n, name in enumerate(UTK_ETHNICITIES)]
    groups.append(("20 years and more", adults))
    for n, ethnicity in enumerate(UTK_ETHNICITIES):
        for name, value in (("female", 1), ("male", 0)):
            both = (faces.ethnicity == n) & (faces.feminine == value)
            groups.append((f"{ethnicity}, {name}, 20 years and more", both & adults))
    return groups


def export_attributes(
    network: AttributeNet,
    temperatures: Mapping[str, float],
    config: AttributeConfig,
    path: Path,
) -> None:
    """Export to the ONNX file that :class:`tddfa_ros.attributes.AttributeEstimator` loads; weights are stored as float16.

    Outputs: ``age`` (n, 101), ``feminine`` (n,) and, if it has a temperature, ``smiling`` (n,); all are probabilities.
    """
    exported = CalibratedNet(network, temperatures).eval()
    names = [name for name in ("age", "feminine", "smiling") if name in temperatures]
    metadata = {"tddfa.task": TASK, "tddfa.input_size": str(config.size)}
    with atomic_path(path) as temporary:
        write_graph(exported, names, config.size, metadata, temporary, half=True)
