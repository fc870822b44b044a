"""Models and layouts of the loss tests, and a reference implementation of posing."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from support.posed import random_faces
from support.synthetic_model import synthetic_model

from tddfa_ros.morphable import MorphableModel

DoubleArray = NDArray[np.float64]
CASES = ("tiny 40+10", "tiny 40+52", "default 40+10", "default 40+52")
"""The synthetic and the committed model, each in the official layout and in ours."""

_DEFAULT = Path(__file__).resolve().parents[2] / "models" / "tddfa_head.npz"


@functools.cache
def case_model(case: str) -> MorphableModel:
    name, layout = case.split()
    expressions = int(layout.split("+")[1])
    if name == "tiny":
        return synthetic_model(rows=12, columns=16, expressions=expressions)
    whole = MorphableModel.load(_DEFAULT)
    return replace(
        whole,
        expression_basis=np.ascontiguousarray(whole.expression_basis[:, :, :expressions]),
        expression_names=whole.expression_names[:expressions],
    )


def faces(model: MorphableModel, seed: int, count: int = 2) -> DoubleArray:
    """Parameters (count, P), float64."""
    return random_faces(model, np.random.default_rng(seed), count).astype(np.float64)


def whitening(model: MorphableModel, seed: int = 8) -> DoubleArray:
    """A standard deviation (P,) for every parameter."""
    return np.random.default_rng(seed).uniform(0.1, 2.0, model.layout.size)


def mesh(model: MorphableModel, params: DoubleArray) -> DoubleArray:
    """All vertices (N, 3) of one face in the crop frame, float64, by definition."""
    shape, expression = params[model.layout.shape_slice], params[model.layout.expression_slice]
    head = model.mean + model.shape_basis @ shape + model.expression_basis @ expression
    pose = params[:12].reshape(3, 4)
    return np.asarray(head @ pose[:, :3].T + pose[:, 3])
