"""Convert expression coefficients to ARKit blend shapes, with the range that avatars expect."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tddfa_ros.arkit import ARKIT_NAMES, COEFFICIENT_RANGES, without_side
from tddfa_ros.errors import ConfigError
from tddfa_ros.gaze.direction import eye_look
from tddfa_ros.gaze.track import SmoothedGaze
from tddfa_ros.types import DoubleArray, FloatArray

_AS_THEY_ARE = frozenset(
    {
        *("eyeWide", "mouthClose", "mouthFunnel", "mouth", "mouthRollLower", "mouthRollUpper"),
        *("mouthShrugLower", "mouthShrugUpper", "cheekPuff", "cheekSquint", "noseSneer"),
        "tongueOut",
    }
)
"""Actions, without sides, whose signal is too weak to be stretched without amplifying noise."""

_MOST = 2.5
"""Larger factors would amplify noise."""


class BlendShapes:
    """Convert expression coefficients of a model to ARKit blend shapes.

    The network underestimates expressions: a wide open mouth gives 0.55, not 1. ``stretch`` maps the usual value at rest to 0 and a rarely exceeded
    value to 1, by a factor of at most 2.5.

    Args:
        names: expression names of the model; must include all of ARKit's.
        stretch: False = coefficients unchanged, clipped to 0..1.

    Raises:
        ConfigError: the model lacks ARKit expressions, as the official one does.
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

    def __call__(self, coefficients: FloatArray, gaze: SmoothedGaze | None = None) -> FloatArray:
        """Convert coefficients (E,) to (52,) float32 in 0..1, in the order of :data:`ARKIT_NAMES`.

        Args:
            coefficients: of the network.
            gaze: sets ``eyeLook...``, which are 0 when it is unknown; None = by the coefficients.
        """
        chosen = np.asarray(coefficients, dtype=np.float64)[self._order]
        out = np.clip((chosen - self._rest) * self._factor, 0, 1).astype(np.float32)
        if gaze is not None:
            for name, value in eye_look(gaze.yaw_pitch).items():
                out[ARKIT_NAMES.index(name)] = value
        return out


def _line(name: str) -> tuple[float, float]:
    """Return offset and factor."""
    if without_side(name) in _AS_THEY_ARE:
        return 0.0, 1.0
    reach = COEFFICIENT_RANGES[without_side(name)]
    return reach.rest, min(1 / (reach.full - reach.rest), _MOST)
