"""ARKit's 52 blend shapes, and how far each of them reaches in what the default network says."""

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
"""``ARFaceAnchor.BlendShapeLocation`` in the order of Live Link Face; left and right are the person's own."""


class Reach(NamedTuple):
    """Values of a coefficient over many faces.

    Attributes:
        rest, median, strong, full: 10th, 50th, 98th and 99.5th percentile: what it is on a face that does nothing, on most faces, on one
            that does it clearly, and at its strongest.
    """

    rest: float
    median: float
    strong: float
    full: float


REACH: Mapping[str, Reach] = MappingProxyType(
    {
        "eyeBlink": Reach(0.065, 0.109, 0.424, 0.547),
        "eyeLookDown": Reach(0.04, 0.135, 0.501, 0.626),
        "eyeLookIn": Reach(0, 0.056, 0.287, 0.304),
        "eyeLookOut": Reach(0, 0.057, 0.331, 0.364),
        "eyeLookUp": Reach(0.003, 0.085, 0.274, 0.319),
        "eyeSquint": Reach(0.077, 0.271, 0.596, 0.659),
        "eyeWide": Reach(0, 0.003, 0.016, 0.02),
        "jawForward": Reach(0.035, 0.1, 0.218, 0.25),
        "jaw": Reach(0.015, 0.071, 0.178, 0.202),
        "jawOpen": Reach(0.098, 0.158, 0.427, 0.588),
        "mouthClose": Reach(0.016, 0.09, 0.125, 0.133),
        "mouthFunnel": Reach(0.015, 0.049, 0.101, 0.114),
        "mouthPucker": Reach(0, 0.069, 0.233, 0.287),
        "mouth": Reach(0.001, 0.007, 0.051, 0.06),
        "mouthSmile": Reach(0.024, 0.194, 0.759, 0.84),
        "mouthFrown": Reach(0.013, 0.057, 0.12, 0.134),
        "mouthDimple": Reach(0, 0.023, 0.107, 0.125),
        "mouthStretch": Reach(0.021, 0.078, 0.238, 0.27),
        "mouthRollLower": Reach(0, 0.024, 0.056, 0.061),
        "mouthRollUpper": Reach(0.101, 0.164, 0.229, 0.245),
        "mouthShrugLower": Reach(0, 0.048, 0.094, 0.102),
        "mouthShrugUpper": Reach(0.034, 0.071, 0.176, 0.2),
        "mouthPress": Reach(0.025, 0.067, 0.131, 0.142),
        "mouthLowerDown": Reach(0, 0.043, 0.398, 0.566),
        "mouthUpperUp": Reach(0, 0.061, 0.472, 0.556),
        "browDown": Reach(0.049, 0.145, 0.292, 0.32),
        "browInnerUp": Reach(0.004, 0.103, 0.406, 0.512),
        "browOuterUp": Reach(0.021, 0.111, 0.333, 0.395),
        "cheekPuff": Reach(0, 0.06, 0.13, 0.151),
        "cheekSquint": Reach(0.008, 0.033, 0.091, 0.113),
        "noseSneer": Reach(0, 0.035, 0.092, 0.106),
        "tongueOut": Reach(0, 0, 0, 0),
    }
)
"""By name without the side; tddfa-mb05 on 8,000 training faces (``scripts/measure_reach.py``).

The network is timid about many actions: of a closed eye it says 0.5, not 1."""


def sideless(name: str) -> str:
    """``mouthSmileLeft`` and ``mouthSmileRight`` are ``mouthSmile``."""
    return name.removesuffix("Left").removesuffix("Right")
