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
        "eyeBlink": Reach(0.065, 0.114, 0.446, 0.553),
        "eyeLookDown": Reach(0.038, 0.141, 0.521, 0.643),
        "eyeLookIn": Reach(0, 0.055, 0.303, 0.324),
        "eyeLookOut": Reach(0, 0.053, 0.36, 0.405),
        "eyeLookUp": Reach(0.003, 0.085, 0.294, 0.336),
        "eyeSquint": Reach(0.08, 0.279, 0.604, 0.66),
        "eyeWide": Reach(0, 0.003, 0.015, 0.018),
        "jawForward": Reach(0.034, 0.099, 0.221, 0.257),
        "jaw": Reach(0.016, 0.071, 0.178, 0.203),
        "jawOpen": Reach(0.097, 0.16, 0.442, 0.611),
        "mouthClose": Reach(0.019, 0.092, 0.131, 0.14),
        "mouthFunnel": Reach(0.014, 0.051, 0.103, 0.114),
        "mouthPucker": Reach(0, 0.072, 0.227, 0.275),
        "mouth": Reach(0.001, 0.007, 0.054, 0.063),
        "mouthSmile": Reach(0.022, 0.185, 0.758, 0.833),
        "mouthFrown": Reach(0.014, 0.058, 0.13, 0.147),
        "mouthDimple": Reach(0, 0.024, 0.112, 0.135),
        "mouthStretch": Reach(0.021, 0.08, 0.25, 0.286),
        "mouthRollLower": Reach(0.002, 0.027, 0.058, 0.063),
        "mouthRollUpper": Reach(0.105, 0.166, 0.231, 0.246),
        "mouthShrugLower": Reach(0.003, 0.046, 0.088, 0.097),
        "mouthShrugUpper": Reach(0.032, 0.072, 0.186, 0.209),
        "mouthPress": Reach(0.027, 0.068, 0.129, 0.141),
        "mouthLowerDown": Reach(0, 0.045, 0.395, 0.559),
        "mouthUpperUp": Reach(0, 0.063, 0.475, 0.553),
        "browDown": Reach(0.042, 0.147, 0.315, 0.351),
        "browInnerUp": Reach(0, 0.113, 0.415, 0.515),
        "browOuterUp": Reach(0.014, 0.12, 0.351, 0.411),
        "cheekPuff": Reach(0, 0.063, 0.144, 0.165),
        "cheekSquint": Reach(0.009, 0.034, 0.094, 0.116),
        "noseSneer": Reach(0, 0.037, 0.101, 0.117),
        "tongueOut": Reach(0, 0, 0, 0),
    }
)
"""By name without the side; tddfa-mb05 on 8,000 training faces (``scripts/measure_reach.py``).

The network is timid about many actions: of a closed eye it says 0.5, not 1."""


def sideless(name: str) -> str:
    """``mouthSmileLeft`` and ``mouthSmileRight`` are ``mouthSmile``."""
    return name.removesuffix("Left").removesuffix("Right")
