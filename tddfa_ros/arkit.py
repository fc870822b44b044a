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
        "eyeBlink": CoefficientRange(0.042, 0.119, 0.565, 0.71),
        "eyeLookDown": CoefficientRange(0.051, 0.133, 0.583, 0.73),
        "eyeLookIn": CoefficientRange(0.001, 0.057, 0.312, 0.337),
        "eyeLookOut": CoefficientRange(0, 0.05, 0.365, 0.416),
        "eyeLookUp": CoefficientRange(0, 0.077, 0.304, 0.351),
        "eyeSquint": CoefficientRange(0.082, 0.257, 0.603, 0.66),
        "eyeWide": CoefficientRange(0, 0.004, 0.067, 0.09),
        "jawForward": CoefficientRange(0.035, 0.105, 0.234, 0.276),
        "jaw": CoefficientRange(0.023, 0.08, 0.191, 0.217),
        "jawOpen": CoefficientRange(0.093, 0.162, 0.48, 0.695),
        "mouthClose": CoefficientRange(0.016, 0.09, 0.133, 0.144),
        "mouthFunnel": CoefficientRange(0.012, 0.053, 0.108, 0.121),
        "mouthPucker": CoefficientRange(0, 0.074, 0.232, 0.27),
        "mouth": CoefficientRange(0.001, 0.009, 0.053, 0.063),
        "mouthSmile": CoefficientRange(0.011, 0.17, 0.746, 0.829),
        "mouthFrown": CoefficientRange(0.024, 0.056, 0.128, 0.148),
        "mouthDimple": CoefficientRange(0.003, 0.031, 0.135, 0.158),
        "mouthStretch": CoefficientRange(0.018, 0.077, 0.253, 0.297),
        "mouthRollLower": CoefficientRange(0, 0.018, 0.05, 0.055),
        "mouthRollUpper": CoefficientRange(0.122, 0.188, 0.271, 0.291),
        "mouthShrugLower": CoefficientRange(0.008, 0.048, 0.091, 0.1),
        "mouthShrugUpper": CoefficientRange(0.029, 0.075, 0.2, 0.229),
        "mouthPress": CoefficientRange(0.037, 0.076, 0.131, 0.142),
        "mouthLowerDown": CoefficientRange(0, 0.05, 0.426, 0.63),
        "mouthUpperUp": CoefficientRange(0, 0.066, 0.492, 0.583),
        "browDown": CoefficientRange(0.062, 0.176, 0.37, 0.417),
        "browInnerUp": CoefficientRange(0, 0.129, 0.428, 0.495),
        "browOuterUp": CoefficientRange(0.001, 0.115, 0.36, 0.421),
        "cheekPuff": CoefficientRange(0, 0.062, 0.145, 0.167),
        "cheekSquint": CoefficientRange(0.01, 0.036, 0.098, 0.124),
        "noseSneer": CoefficientRange(0.025, 0.071, 0.153, 0.174),
        "tongueOut": CoefficientRange(0, 0, 0, 0),
    }
)
"""Ranges by blend shape name without its side, of tddfa-mb05 on 8,000 training faces (``scripts/measure_coefficient_ranges.py``).

The network underestimates many actions: a closed eye has a coefficient of about 0.5 instead of 1."""


def without_side(name: str) -> str:
    """Remove the side from a blend shape name: ``mouthSmileLeft`` -> ``mouthSmile``."""
    return name.removesuffix("Left").removesuffix("Right")
