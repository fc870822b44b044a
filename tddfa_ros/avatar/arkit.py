"""The 52 blend shapes of ARKit, and how far each of them reaches in what the default network says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tddfa_ros.errors import ConfigError
from tddfa_ros.types import DoubleArray, FloatArray

ARKIT_NAMES = (
    *("eyeBlinkLeft", "eyeLookDownLeft", "eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpLeft"),
    *("eyeSquintLeft", "eyeWideLeft"),
    *("eyeBlinkRight", "eyeLookDownRight", "eyeLookInRight", "eyeLookOutRight", "eyeLookUpRight"),
    *("eyeSquintRight", "eyeWideRight"),
    *("jawForward", "jawLeft", "jawRight", "jawOpen"),
    *("mouthClose", "mouthFunnel", "mouthPucker", "mouthLeft", "mouthRight"),
    *("mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft", "mouthFrownRight"),
    *("mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft", "mouthStretchRight"),
    *("mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper"),
    *("mouthPressLeft", "mouthPressRight", "mouthLowerDownLeft", "mouthLowerDownRight"),
    *("mouthUpperUpLeft", "mouthUpperUpRight"),
    *("browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight"),
    *("cheekPuff", "cheekSquintLeft", "cheekSquintRight"),
    *("noseSneerLeft", "noseSneerRight", "tongueOut"),
)
"""``ARFaceAnchor.BlendShapeLocation`` in the order of Live Link Face; left and right are the person's own."""

# name without its side -> what it is on a face at rest, and at its strongest: the 10th and the 99.5th percentile of tddfa-mb05 on
# 8,000 training faces, mean of both sides.
_REACH = {
    "browDown": (0.05, 0.32),
    "browInnerUp": (0.01, 0.5),
    "browOuterUp": (0.02, 0.39),
    "eyeBlink": (0.07, 0.54),
    "eyeLookDown": (0.04, 0.61),
    "eyeLookIn": (0.0, 0.3),
    "eyeLookOut": (0.0, 0.36),
    "eyeLookUp": (0.0, 0.32),
    "eyeSquint": (0.08, 0.65),
    "jawForward": (0.03, 0.25),
    "jaw": (0.02, 0.2),
    "jawOpen": (0.1, 0.59),
    "mouthDimple": (0.0, 0.12),
    "mouthFrown": (0.01, 0.13),
    "mouthLowerDown": (0.0, 0.56),
    "mouthPress": (0.03, 0.14),
    "mouthPucker": (0.0, 0.29),
    "mouthSmile": (0.02, 0.83),
    "mouthStretch": (0.02, 0.27),
    "mouthUpperUp": (0.0, 0.55),
}
_MOST = 2.5
"""Weak actions are not blown up further, for their noise would grow, too."""


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
    low, high = _REACH.get(name.removesuffix("Left").removesuffix("Right"), (0.0, 1.0))
    return low, min(1 / (high - low), _MOST)
