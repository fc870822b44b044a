"""Definitions of attributes by anny's phenotypes and local changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """Definition of an attribute.

    Attributes:
        name, description: of the attribute.
        phenotype: values before and after, of the phenotypes that differ from the neutral adult; None for local changes.
        changes: names of local changes, added up; both sides where there is a left and a right one.
        measure: measure that grows by 1 mm per unit; "" for phenotypes, whose unit is the full change.
        along: measures that may change too, because they contain or depend on it.
        low, high: range, if no measure defines it.
    """

    name: str
    description: str
    phenotype: tuple[Mapping[str, float], Mapping[str, float]] | None = None
    changes: tuple[str, ...] = ()
    measure: str = ""
    along: tuple[str, ...] = ()
    low: float = -1.0
    high: float = 1.0

    @property
    def unit(self) -> str:
        """Unit of the attribute."""
        return "mm" if self.measure else "whole change"


def _measured(
    name: str,
    description: str,
    *changes: str,
    along: tuple[str, ...] = (),
    measure: str = "",
) -> Recipe:
    return Recipe(name, description, None, changes, measure or name, along)


RECIPES = (
    Recipe("age", "from a young adult to an old one; in images with the skin", ({"age": 0.65}, {"age": 1.0})),
    Recipe(
        "child_proportions", "proportions of the head from an adult's to a child's; shape only",
        ({"age": 0.65}, {"age": 1 / 3}),
        low=-0.3,
    ),
    Recipe(
        "masculine_proportions", "half the way from anny's female to its male end; negative: feminine; shape only",
        ({"gender": 0.5}, {"gender": 0.0}),
        low=-1.5, high=1.5,
    ),
    Recipe("weight", "from the least to the most weight", ({"weight": 0.0}, {"weight": 1.0})),
    Recipe("muscle", "from the least to the most muscle", ({"muscle": 0.0}, {"muscle": 1.0})),
    _measured(
        "fullness", "fuller cheeks and jaw, as weight puts on; mm of cheek width",
        "head-fat-incr", "cheek-volume-incr",
        measure="cheek_width", along=("face_width", "jaw_width", "chin_width"),
    ),
    _measured(
        "face_width", "width at the cheek bones, with all that is in the face",
        "head-scale-horiz-incr",
        along=("cheek_width", "jaw_width", "chin_width", "eye_width", "eye_spacing", "nose_width", "mouth_width"),
    ),
    _measured(
        "face_height", "from the root of the nose to the chin, with all that is between",
        "head-scale-vert-incr",
        along=("chin_height", "brow_height", "nose_length", "nose_tip_height", "philtrum_height", "lip_height"),
    ),
    _measured(
        "jaw_width", "width at the corners of the jaw",
        "head-fat-incr", "cheek-volume-incr",
        along=("cheek_width",),
    ),
    _measured("chin_width", "width of the tip of the chin", "chin-width-incr", along=("jaw_width", "cheek_width")),
    _measured("chin_height", "from the lower lip to the chin", "chin-height-incr", along=("face_height",)),
    _measured("chin_prominence", "how far the chin stands forward", "chin-prominent-incr"),
    _measured("brow_height", "brows above the eyes", "eyebrows-trans-up"),
    _measured("eye_width", "width of each eye, from its middle", "eye-scale-incr", along=("eye_spacing",)),
    _measured("eye_spacing", "distance between the inner corners of the eyes", "eye-trans-out"),
    _measured("nose_length", "from the root of the nose to its base", "nose-scale-vert-incr", along=("philtrum_height", "nose_tip_height")),
    _measured("nose_width", "width of the wings of the nose", "nose-scale-horiz-incr", "nose-width3-incr"),
    _measured("nose_prominence", "how far the tip of the nose stands forward", "nose-scale-depth-incr"),
    _measured("nose_tip_height", "tip of the nose turned up", "nose-point-up"),
    _measured("philtrum_height", "from the nose to the upper lip", "mouth-trans-down", along=("chin_height",)),
    _measured("mouth_width", "width of the mouth", "mouth-scale-horiz-incr"),
    _measured(
        "lip_fullness", "height of the red of each lip",
        "mouth-upperlip-height-incr", "mouth-lowerlip-height-incr", "mouth-scale-vert-incr",
        measure="lip_height", along=("chin_height", "philtrum_height"),
    ),
    Recipe("ear_size", "height of the ears", changes=("ear-scale-vert-incr",)),
    Recipe("cheek_bones", "cheek bones that stand out", changes=("cheek-bones-incr",)),
)  # fmt: skip
"""Attribute definitions; the builder omits those that the identity basis cannot represent."""
