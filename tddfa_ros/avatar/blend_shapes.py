"""From a model's expression coefficients to ARKit's blend shapes, as an avatar wants them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tddfa_ros.arkit import ARKIT_NAMES, COEFFICIENT_RANGES, without_side
from tddfa_ros.errors import ConfigError
from tddfa_ros.types import DoubleArray, FloatArray

_AS_THEY_ARE = frozenset(
    {
        *("eyeWide", "mouthClose", "mouthFunnel", "mouth", "mouthRollLower", "mouthRollUpper"),
        *("mouthShrugLower", "mouthShrugUpper", "cheekPuff", "cheekSquint", "noseSneer"),
        "tongueOut",
    }
)
"""Actions, without sides, of which the network says so little that stretching them would show its noise."""

_MOST = 2.5
"""The same goes for larger factors."""


class BlendShapes:
    """From a model's expression coefficients to ARKit's blend shapes.

    The network is timid: of a closed eye it says 0.5, not 1. An avatar wants the whole way, so ``stretch`` maps what is usual at rest to 0 and
    what is seldom surpassed to 1, by a factor of at most 2.5.

    Args:
        names: of the model's expressions; all of ARKit's must be there.
        stretch: False gives the coefficients as they are, within 0..1.

    Raises:
        ConfigError: the model has other expressions, as the official one.
    """

    def __init__(self, names: Sequence[str], stretch: bool = True) -> None:
        missing = [name for name in ARKIT_NAMES if name not in names]
        if missing:
            raise ConfigError(
                f"an avatar is driven by ARKit's 52 expressions, of which this morphable model lacks {len(missing)}, "
                f"such as {missing[0]}; the default model has them"
            )
        self._order = [list(names).index(name) for name in ARKIT_NAMES]
        rest, factor = zip(*map(_line, ARKIT_NAMES), strict=True)
        self._rest: DoubleArray = np.array(rest) if stretch else np.zeros(len(ARKIT_NAMES))
        self._factor: DoubleArray = np.array(factor) if stretch else np.ones(len(ARKIT_NAMES))

    def __call__(self, coefficients: FloatArray) -> FloatArray:
        """(52,) float32 within 0..1, in the order of :data:`ARKIT_NAMES`, of coefficients (E,)."""
        chosen = np.asarray(coefficients, dtype=np.float64)[self._order]
        return np.clip((chosen - self._rest) * self._factor, 0, 1).astype(np.float32)


def _line(name: str) -> tuple[float, float]:
    """What is subtracted, and the factor."""
    if without_side(name) in _AS_THEY_ARE:
        return 0.0, 1.0
    reach = COEFFICIENT_RANGES[without_side(name)]
    return reach.rest, min(1 / (reach.full - reach.rest), _MOST)
