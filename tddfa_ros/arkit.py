"""Names of ARKit's 52 blend shapes, and the measured range of each coefficient of the default network."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

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
"""``ARFaceAnchor.BlendShapeLocation`` in Live Link Face order; left and right are the subject's own."""


class CoefficientRange(NamedTuple):
    """Percentiles of a coefficient over many faces.

    Attributes:
        rest: 10th percentile, a neutral face.
        median: 50th percentile.
        strong: 98th percentile, a clearly visible action.
        full: 99.5th percentile, the strongest action.
    """

    rest: float
    median: float
    strong: float
    full: float


COEFFICIENT_RANGES: Mapping[str, CoefficientRange] = MappingProxyType(
    {
        "eyeBlink": CoefficientRange(0.062, 0.114, 0.446, 0.565),
        "eyeLookDown": CoefficientRange(0.039, 0.144, 0.527, 0.647),
        "eyeLookIn": CoefficientRange(0, 0.056, 0.315, 0.339),
        "eyeLookOut": CoefficientRange(0, 0.053, 0.379, 0.431),
        "eyeLookUp": CoefficientRange(0.002, 0.083, 0.299, 0.345),
        "eyeSquint": CoefficientRange(0.075, 0.276, 0.609, 0.669),
        "eyeWide": CoefficientRange(0, 0.004, 0.015, 0.018),
        "jawForward": CoefficientRange(0.037, 0.101, 0.225, 0.26),
        "jaw": CoefficientRange(0.017, 0.072, 0.181, 0.203),
        "jawOpen": CoefficientRange(0.092, 0.161, 0.447, 0.631),
        "mouthClose": CoefficientRange(0.019, 0.092, 0.135, 0.145),
        "mouthFunnel": CoefficientRange(0.011, 0.051, 0.106, 0.118),
        "mouthPucker": CoefficientRange(0, 0.071, 0.233, 0.28),
        "mouth": CoefficientRange(0.001, 0.007, 0.056, 0.064),
        "mouthSmile": CoefficientRange(0.018, 0.182, 0.764, 0.848),
        "mouthFrown": CoefficientRange(0.013, 0.056, 0.132, 0.152),
        "mouthDimple": CoefficientRange(0, 0.023, 0.116, 0.139),
        "mouthStretch": CoefficientRange(0.017, 0.079, 0.257, 0.296),
        "mouthRollLower": CoefficientRange(0.002, 0.027, 0.059, 0.064),
        "mouthRollUpper": CoefficientRange(0.105, 0.166, 0.23, 0.245),
        "mouthShrugLower": CoefficientRange(0.005, 0.045, 0.089, 0.097),
        "mouthShrugUpper": CoefficientRange(0.032, 0.076, 0.193, 0.22),
        "mouthPress": CoefficientRange(0.027, 0.067, 0.127, 0.138),
        "mouthLowerDown": CoefficientRange(0, 0.046, 0.393, 0.561),
        "mouthUpperUp": CoefficientRange(0, 0.068, 0.479, 0.56),
        "browDown": CoefficientRange(0.037, 0.15, 0.343, 0.385),
        "browInnerUp": CoefficientRange(0, 0.12, 0.434, 0.523),
        "browOuterUp": CoefficientRange(0.005, 0.124, 0.37, 0.423),
        "cheekPuff": CoefficientRange(0, 0.063, 0.151, 0.173),
        "cheekSquint": CoefficientRange(0.01, 0.036, 0.098, 0.122),
        "noseSneer": CoefficientRange(0, 0.038, 0.109, 0.127),
        "tongueOut": CoefficientRange(0, 0, 0, 0),
    }
)
"""Ranges by blend shape name without its side, of tddfa-mb05 on 8,000 training faces (``scripts/measure_coefficient_ranges.py``).

The network underestimates many actions: a closed eye has a coefficient of about 0.5 instead of 1."""


def without_side(name: str) -> str:
    """Remove the side from a blend shape name: ``mouthSmileLeft`` -> ``mouthSmile``."""
    return name.removesuffix("Left").removesuffix("Right")
