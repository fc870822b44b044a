"""Estimate the expression coefficients of a person at rest from the frames of a video."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tddfa_ros.errors import ModelError
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.types import FloatArray

_LEAST_ACTIVE = 0.3  # share of the frames
_FEWEST = 5  # frames
_EYES = ("eyeBlink", "eyeLook")
"""Blinks and gaze do not make a frame expressive, as they go on at rest."""


def neutral_params(frames: Sequence[FloatArray], model: MorphableModel) -> FloatArray:
    """Return the parameters (P,) of the person at rest: the median of the least active frames.

    The least active frames are those with the least sum of coefficients above their own tenth percentiles, which removes what a person's resting
    face always shows. The median also removes single blinks and failed fits.

    Args:
        frames: parameters (P,) of one person, in any order.
        model: the model of the parameters.

    Raises:
        ModelError: there are no frames, or parameters do not fit the model.
    """
    every = np.array(list(frames), dtype=np.float32)
    if every.ndim != 2 or every.shape[1] != model.layout.size:
        raise ModelError(
            f"{model.name} takes parameters of shape (frames, {model.layout.size}), got {every.shape}"
        )
    coefficients = every[:, model.layout.expression_slice]
    counted = np.array([not name.startswith(_EYES) for name in model.expression_names])
    floor = np.quantile(coefficients, 0.1, axis=0)
    activation = np.abs(coefficients - floor)[:, counted].sum(axis=1)
    count = min(max(round(_LEAST_ACTIVE * len(every)), _FEWEST), len(every))
    resting = np.argsort(activation, kind="stable")[:count]
    return np.asarray(np.median(every[resting], axis=0), dtype=np.float32)
