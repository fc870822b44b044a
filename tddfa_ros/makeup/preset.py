"""Makeup presets: frozen dataclasses with validated values."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from pathlib import Path

from tddfa_ros.errors import ConfigError
from tddfa_ros.makeup.color import parse_color
from tddfa_ros.schema import option

UV_SQUARE = "uv"
"""Place of a sticker whose image is a texture of the whole UV square."""

_LARGEST_STICKER = 500.0  # mm


@dataclass(frozen=True)
class Pigment:
    """One kind of makeup; ``opacity`` 0 = not applied.

    Attributes:
        color: ``#rrggbb``, on a well lit face.
        opacity: 0..1, at the middle of its region.
        softness: 0..1, width of the region's edge.
    """

    color: str = option("#000000", "sRGB, #rrggbb")
    opacity: float = option(0.0, "0 = none .. 1", minimum=0.0, maximum=1.0)
    softness: float = option(0.5, "of the edge, 0..1", minimum=0.0, maximum=1.0)

    def __post_init__(self) -> None:
        kind = type(self).__name__.lower()
        parse_color(self.color, f"the color of {kind}")
        for f in fields(self):
            if f.name != "color":
                check_range(f"{kind}.{f.name}", getattr(self, f.name), 0.0, 1.0)

    @property
    def bgr(self) -> tuple[int, int, int]:
        """B, G, R 0..255."""
        return parse_color(self.color)


@dataclass(frozen=True)
class Lipstick(Pigment):
    """On both lips. ``gloss`` 0..1 amplifies highlights in the image."""

    color: str = option("#b5394a", "sRGB, #rrggbb")
    softness: float = option(0.3, "of the edge, 0..1", minimum=0.0, maximum=1.0)
    gloss: float = option(0.0, "of the lips, 0..1", minimum=0.0, maximum=1.0)


@dataclass(frozen=True)
class Blush(Pigment):
    """On the cheeks, from their centers toward the ears."""

    color: str = option("#d9606a", "sRGB, #rrggbb")


@dataclass(frozen=True)
class EyeShadow(Pigment):
    """On the upper lids and above them, strongest at the lid, ending below the brows."""

    color: str = option("#7a5560", "sRGB, #rrggbb")


@dataclass(frozen=True)
class BrowTint(Pigment):
    """On the brows: fully on hairs, and ``fill`` 0..1 of it on the skin between them."""

    color: str = option("#4a3226", "sRGB, #rrggbb")
    fill: float = option(0.3, "on skin between the hairs, 0..1", minimum=0.0, maximum=1.0)


@dataclass(frozen=True)
class Sticker:
    """An image on the skin.

    Attributes:
        image: image file, opaque unless it has an alpha channel.
        place: a named place (``tddfa_ros.makeup.places``), ``u,v`` of the model's texture coordinates (0..1, v up), or ``uv``: the
            image is a texture of the whole UV square, and ``size`` and ``rotate`` are ignored.
        size: width, mm.
        rotate: degrees, counter-clockwise for the viewer.
        opacity: 0..1.
    """

    image: Path
    place: str = "forehead"
    size: float = 30.0
    rotate: float = 0.0
    opacity: float = 1.0

    def __post_init__(self) -> None:
        check_range("the size of a sticker, mm,", self.size, 1.0, _LARGEST_STICKER)
        check_range("the rotation of a sticker", self.rotate, -360.0, 360.0)
        check_range("the opacity of a sticker", self.opacity, 0.0, 1.0)


@dataclass(frozen=True)
class MakeupPreset:
    """All makeup of a face; constructed directly, or read by :func:`tddfa_ros.makeup.load_preset`."""

    lipstick: Lipstick = field(default_factory=Lipstick)
    blush: Blush = field(default_factory=Blush)
    eye_shadow: EyeShadow = field(default_factory=EyeShadow)
    brow_tint: BrowTint = field(default_factory=BrowTint)
    stickers: tuple[Sticker, ...] = ()


def check_range(name: str, value: object, low: float, high: float) -> None:
    """Raise ConfigError if ``value`` is not a number from ``low`` to ``high``."""
    number = value if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan
    if not low <= number <= high:
        raise ConfigError(f"{name} must be {low:g} to {high:g}, not {value!r}")
