"""Virtual makeup and try-on: lipstick, blush, eye shadow, brows, stickers, glasses and hats."""

from __future__ import annotations

from tddfa_ros.makeup.artist import Makeup
from tddfa_ros.makeup.objects import TryOnObject, read_object
from tddfa_ros.makeup.places import find_place, place_names
from tddfa_ros.makeup.preset import (
    Blush,
    BrowTint,
    EyeShadow,
    Lipstick,
    MakeupPreset,
    Pigment,
    Sticker,
)
from tddfa_ros.makeup.preset_files import load_preset, preset_from_dict, preset_names
from tddfa_ros.makeup.samples import sample_names, sample_object, write_sample
from tddfa_ros.makeup.tryon import Placement, TryOn

__all__ = [
    "Blush",
    "BrowTint",
    "EyeShadow",
    "Lipstick",
    "Makeup",
    "MakeupPreset",
    "Pigment",
    "Placement",
    "Sticker",
    "TryOn",
    "TryOnObject",
    "find_place",
    "load_preset",
    "place_names",
    "preset_from_dict",
    "preset_names",
    "read_object",
    "sample_names",
    "sample_object",
    "write_sample",
]
