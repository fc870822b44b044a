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
        "eyeBlink": CoefficientRange(0.003, 0.114, 0.807, 0.966),
        "eyeLookDown": CoefficientRange(0.075, 0.157, 0.497, 0.595),
        "eyeLookIn": CoefficientRange(0.003, 0.068, 0.312, 0.333),
        "eyeLookOut": CoefficientRange(0, 0.055, 0.35, 0.396),
        "eyeLookUp": CoefficientRange(0.001, 0.078, 0.301, 0.352),
        "eyeSquint": CoefficientRange(0.103, 0.273, 0.599, 0.654),
        "eyeWide": CoefficientRange(0, 0.002, 0.202, 0.248),
        "jawForward": CoefficientRange(0.023, 0.09, 0.208, 0.256),
        "jaw": CoefficientRange(0.033, 0.088, 0.194, 0.215),
        "jawOpen": CoefficientRange(0.083, 0.156, 0.464, 0.681),
        "mouthClose": CoefficientRange(0.014, 0.087, 0.126, 0.135),
        "mouthFunnel": CoefficientRange(0.017, 0.054, 0.111, 0.125),
        "mouthPucker": CoefficientRange(0, 0.085, 0.235, 0.273),
        "mouth": CoefficientRange(0.002, 0.012, 0.067, 0.074),
        "mouthSmile": CoefficientRange(0.011, 0.159, 0.713, 0.804),
        "mouthFrown": CoefficientRange(0.027, 0.063, 0.125, 0.14),
        "mouthDimple": CoefficientRange(0.005, 0.039, 0.154, 0.183),
        "mouthStretch": CoefficientRange(0.018, 0.076, 0.25, 0.299),
        "mouthRollLower": CoefficientRange(0.003, 0.015, 0.037, 0.041),
        "mouthRollUpper": CoefficientRange(0.137, 0.208, 0.323, 0.336),
        "mouthShrugLower": CoefficientRange(0.019, 0.06, 0.111, 0.121),
        "mouthShrugUpper": CoefficientRange(0.032, 0.082, 0.22, 0.258),
        "mouthPress": CoefficientRange(0.039, 0.085, 0.154, 0.166),
        "mouthLowerDown": CoefficientRange(0, 0.053, 0.414, 0.603),
        "mouthUpperUp": CoefficientRange(0, 0.072, 0.483, 0.563),
        "browDown": CoefficientRange(0.079, 0.2, 0.402, 0.444),
        "browInnerUp": CoefficientRange(0.002, 0.145, 0.435, 0.52),
        "browOuterUp": CoefficientRange(0, 0.119, 0.352, 0.406),
        "cheekPuff": CoefficientRange(0, 0.061, 0.15, 0.168),
        "cheekSquint": CoefficientRange(0.01, 0.037, 0.093, 0.118),
        "noseSneer": CoefficientRange(0.04, 0.091, 0.191, 0.214),
        "tongueOut": CoefficientRange(0, 0, 0, 0),
    }
)
"""Ranges by blend shape name without its side, of tddfa-mb05 on 8,000 training faces (``scripts/measure_coefficient_ranges.py``).

The network underestimates many actions: the median jawOpen of a yawn is 0.54 instead of 1. A closed eye reaches 0.87."""


def without_side(name: str) -> str:
    """Remove the side from a blend shape name: ``mouthSmileLeft`` -> ``mouthSmile``."""
    return name.removesuffix("Left").removesuffix("Right")
