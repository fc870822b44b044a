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
        "eyeBlink": Reach(0.062, 0.114, 0.446, 0.565),
        "eyeLookDown": Reach(0.039, 0.144, 0.527, 0.647),
        "eyeLookIn": Reach(0, 0.056, 0.315, 0.339),
        "eyeLookOut": Reach(0, 0.053, 0.379, 0.431),
        "eyeLookUp": Reach(0.002, 0.083, 0.299, 0.345),
        "eyeSquint": Reach(0.075, 0.276, 0.609, 0.669),
        "eyeWide": Reach(0, 0.004, 0.015, 0.018),
        "jawForward": Reach(0.037, 0.101, 0.225, 0.26),
        "jaw": Reach(0.017, 0.072, 0.181, 0.203),
        "jawOpen": Reach(0.092, 0.161, 0.447, 0.631),
        "mouthClose": Reach(0.019, 0.092, 0.135, 0.145),
        "mouthFunnel": Reach(0.011, 0.051, 0.106, 0.118),
        "mouthPucker": Reach(0, 0.071, 0.233, 0.28),
        "mouth": Reach(0.001, 0.007, 0.056, 0.064),
        "mouthSmile": Reach(0.018, 0.182, 0.764, 0.848),
        "mouthFrown": Reach(0.013, 0.056, 0.132, 0.152),
        "mouthDimple": Reach(0, 0.023, 0.116, 0.139),
        "mouthStretch": Reach(0.017, 0.079, 0.257, 0.296),
        "mouthRollLower": Reach(0.002, 0.027, 0.059, 0.064),
        "mouthRollUpper": Reach(0.105, 0.166, 0.23, 0.245),
        "mouthShrugLower": Reach(0.005, 0.045, 0.089, 0.097),
        "mouthShrugUpper": Reach(0.032, 0.076, 0.193, 0.22),
        "mouthPress": Reach(0.027, 0.067, 0.127, 0.138),
        "mouthLowerDown": Reach(0, 0.046, 0.393, 0.561),
        "mouthUpperUp": Reach(0, 0.068, 0.479, 0.56),
        "browDown": Reach(0.037, 0.15, 0.343, 0.385),
        "browInnerUp": Reach(0, 0.12, 0.434, 0.523),
        "browOuterUp": Reach(0.005, 0.124, 0.37, 0.423),
        "cheekPuff": Reach(0, 0.063, 0.151, 0.173),
        "cheekSquint": Reach(0.01, 0.036, 0.098, 0.122),
        "noseSneer": Reach(0, 0.038, 0.109, 0.127),
        "tongueOut": Reach(0, 0, 0, 0),
    }
)
"""By name without the side; tddfa-mb05 on 8,000 training faces (``scripts/measure_reach.py``).

The network is timid about many actions: of a closed eye it says 0.5, not 1."""


def sideless(name: str) -> str:
    """``mouthSmileLeft`` and ``mouthSmileRight`` are ``mouthSmile``."""
    return name.removesuffix("Left").removesuffix("Right")
