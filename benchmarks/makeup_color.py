"""Measure the colors of virtual makeup on the lit and on the shaded side of faces in images.

    python benchmarks/makeup_color.py IMAGE...           # prints Markdown

Opaque blush and lipstick are applied to the largest face of each image. Painted pixels are sorted by their luminance before painting:
the brightest third is lit, the darkest third is shaded. The hue of a side is the mean CIELAB hue angle of its pixels, weighted by their
chroma; the chroma is relative to that of the color of the preset.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from tddfa_ros import FacePipeline
from tddfa_ros.face import Face
from tddfa_ros.makeup import Blush, Lipstick, Makeup, MakeupPreset
from tddfa_ros.makeup.color import lab_of, to_lab
from tddfa_ros.sources.image_file import read_image
from tddfa_ros.types import FloatArray, ImageBGR

COLORS = {"red": "#d9606a", "dark red": "#9c1c30", "yellow": "#e8c020", "blue": "#3060d0"}
PARTS = ("blush", "lipstick")
_INSIDE = 0.95  # coverage of the pixels measured


def hue_of(ab: FloatArray) -> float:
    """Return the hue angle of a, b (n, 2), degrees, weighted by chroma."""
    a, b = ab.sum(axis=0)
    return float(np.degrees(np.arctan2(b, a)))


def turn(first: float, second: float) -> float:
    """Return the unsigned angle between two hues, degrees."""
    return abs((first - second + 180) % 360 - 180)


def measure(image: ImageBGR, face: Face, part: str, color: str) -> list[float] | None:
    """Return hue difference of both sides, hue error of the lit and of the shaded side, degrees, and their relative chroma."""
    pigment = Blush(color, 1.0) if part == "blush" else Lipstick(color, 1.0)
    artist = Makeup(face.model, MakeupPreset(**{part: pigment}))
    inside = artist.coverage(face, image.shape)[part] > _INSIDE
    if inside.sum() < 60:
        return None
    order = np.argsort(to_lab(image)[inside][:, 0])
    ab = to_lab(artist.apply(image, face))[inside][order, 1:]
    third = len(order) // 3
    nominal = lab_of(pigment.bgr)[1:]
    sides = ab[-third:], ab[:third]
    lit, shaded = (hue_of(side) for side in sides)
    wanted = hue_of(nominal[None])
    chroma = [
        float(np.linalg.norm(side, axis=1).mean() / np.linalg.norm(nominal)) for side in sides
    ]
    return [turn(lit, shaded), turn(lit, wanted), turn(shaded, wanted), *chroma]


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", nargs="+", type=Path)
    options = parser.parse_args()
    pipeline = FacePipeline()
    rows: dict[tuple[str, str], list[list[float]]] = {}
    for path in options.images:
        image = read_image(path)
        faces = pipeline(image)
        if not faces:
            print(f"{path.name}: no face")
            continue
        face = max(faces, key=lambda face: float(np.ptp(face.landmarks68[:, 1])))
        for part in PARTS:
            for name, color in COLORS.items():
                found = measure(image, face, part, color)
                if found is not None:
                    rows.setdefault((part, name), []).append(found)
    print(
        "| part | color | faces | lit to shaded, deg | lit, deg | shaded, deg | chroma, lit | shaded |"
    )
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    everything = {**rows, ("all", ""): [values for found in rows.values() for values in found]}
    for (part, name), found in everything.items():
        mean = np.mean(found, axis=0)
        numbers = " | ".join([*(f"{v:.1f}" for v in mean[:3]), *(f"{v:.2f}" for v in mean[3:])])
        print(f"| {part} | {name} | {len(found)} | {numbers} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
