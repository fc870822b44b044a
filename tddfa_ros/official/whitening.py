"""Mean and standard deviation that whiten the 62 parameters of 3DDFA's networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tddfa_ros.types import POSE_SIZE, FloatArray, ParamLayout

LAYOUT = ParamLayout(shape=40, expression=10)


@dataclass(frozen=True, eq=False)
class Whitening:
    """``parameters = outputs * std + mean``.

    Attributes:
        mean, std: (62,) float32, in 3DDFA's units.
        version: 1 or 2, of 3DDFA.
    """

    mean: FloatArray
    std: FloatArray
    version: int

    @classmethod
    def parse(cls, content: Any) -> Whitening | None:
        """Recognize ``param_mean_std_62d_120x120.pkl`` (version 2) and ``param_whitening.pkl`` (version 1) by content."""
        if not isinstance(content, Mapping):
            return None
        for version, keys in ((2, ("mean", "std")), (1, ("param_mean", "param_std"))):
            mean, std = (content.get(key) for key in keys)
            if isinstance(mean, np.ndarray) and isinstance(std, np.ndarray):
                mean, std = (np.asarray(v, np.float32).ravel() for v in (mean, std))
                fits = mean.shape == std.shape == (LAYOUT.size,)
                if fits and np.isfinite(mean).all() and np.isfinite(std).all() and (std > 0).all():
                    return cls(mean, std, version)
        return None

    @property
    def coefficient_std(self) -> FloatArray:
        """(50,) of identity and expression."""
        return self.std[POSE_SIZE:]
