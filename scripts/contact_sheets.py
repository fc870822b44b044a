"""Tile what the editing tools make of a fixed set of faces, for judging them by eye.

    python scripts/contact_sheets.py OUTPUT [SHEET...] [--image FILE ...] [--width PX]

writes OUTPUT/<sheet>.jpg: one row per image, one column per edit, the source image first. Without ``--image`` the faces are the portrait of
scikit-image (NASA, public domain) and, where the folder of test data is available (``TDDFA_DATA``), images from it; sheets made of those
are for looking at, not for the repository.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from tddfa_ros.editing import AttributeEditor, Rerenderer, edit_image, transfer_expression
from tddfa_ros.editing.edited import AGE
from tddfa_ros.errors import TddfaError
from tddfa_ros.face import Face
from tddfa_ros.outputs import read_image
from tddfa_ros.outputs.image_io import write_image
from tddfa_ros.pipeline import FacePipeline
from tddfa_ros.sources.virtual_camera import astronaut_image
from tddfa_ros.types import ImageBGR

CELL = 220  # px
CAPTION = 22
PAPER, INK = (250, 248, 246), (60, 50, 45)
AROUND = 0.95  # face sizes from the middle of the face to the edge of a cell
DATA = Path(os.environ.get("TDDFA_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
PHOTOS = (
    "3ddfa_v2/golden/emma.jpg",
    "3ddfa_v2/golden/JianzhuGuo.jpg",
    "eval/helen/3160850636_1.jpg",
    "eval/helen/2984431316_1.jpg",
)
"""Images of the test data, beside the portrait: closed lips, a smile with teeth, dark skin in the sun, a profile."""

Edits = Mapping[str, Mapping[str, float]]

STEPS = (0.25, 0.5, 0.75, 1.0)


def both(stem: str, value: float) -> dict[str, float]:
    """Return the same value for the expressions of both sides."""
    return {f"{stem}Left": value, f"{stem}Right": value}


SHEETS: Mapping[str, Edits] = {
    "jaw": {f"jawOpen {v:g}": {"jawOpen": v} for v in (0.0, *STEPS)},
    "blink": {f"eyeBlink {v:g}": both("eyeBlink", v) for v in (0.0, *STEPS)},
    "wink": {
        "left 0.5": {"eyeBlinkLeft": 0.5},
        "left 1": {"eyeBlinkLeft": 1.0},
        "right 0.5": {"eyeBlinkRight": 0.5},
        "right 1": {"eyeBlinkRight": 1.0},
        "eyeWide 1": both("eyeWide", 1.0),
    },
    "mouth": {
        "mouthSmile 0": both("mouthSmile", 0.0) | {"jawOpen": 0.0},
        "mouthSmile 1": both("mouthSmile", 1.0),
        "smile + jawOpen": both("mouthSmile", 0.8) | {"jawOpen": 0.5},
        "mouthFunnel 1": {"mouthFunnel": 1.0},
        "tongueOut 1": {"jawOpen": 0.6, "tongueOut": 1.0},
    },
    "age": {f"age {v:+g}": {"age": v} for v in (-1.0, 0.35, 0.7, 1.0)},
    "proportions": {
        "child_proportions 1": {"child_proportions": 1.0},
        "masculine_proportions -1.5": {"masculine_proportions": -1.5},
        "masculine_proportions 1.5": {"masculine_proportions": 1.5},
    },
    "gaze": {
        "look left": {"eyeLookOutLeft": 1.0, "eyeLookInRight": 1.0},
        "look right": {"eyeLookInLeft": 1.0, "eyeLookOutRight": 1.0},
        "look up": both("eyeLookUp", 1.0),
        "look down": both("eyeLookDown", 1.0),
    },
}
"""Sheet -> caption -> attributes and expressions that are set."""

TRANSFER = "transfer"
"""The sheet on which each face gets the expression of every other one."""


def close_up(image: ImageBGR, face: Face, cell: int) -> ImageBGR:
    """Return the part of an image around the source face, (cell, cell, 3)."""
    middle = face.landmarks68[:, :2].mean(axis=0)
    scale = cell / (2 * AROUND * face.face_size)
    view = np.array([[scale, 0, 0], [0, scale, 0]])
    view[:, 2] = cell / 2 - scale * middle
    flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    shown = cv2.warpAffine(image, view, (cell, cell), flags=flags, borderValue=PAPER)
    return np.asarray(shown, dtype=np.uint8)


def captioned(image: ImageBGR, text: str) -> ImageBGR:
    """Return the image below a line of text."""
    out = np.full((image.shape[0] + CAPTION, image.shape[1], 3), PAPER, np.uint8)
    out[CAPTION:] = image
    cv2.putText(out, text, (4, CAPTION - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.45, INK, 1, cv2.LINE_AA)
    return out


def edit_sheet(faces: Sequence[tuple[ImageBGR, Face]], edits: Edits, cell: int = CELL) -> ImageBGR:
    """Draw one row per face: the source, then every edit.

    Args:
        faces: images with one face each.
        edits: caption -> expressions or attributes by name.
        cell: side of a cell, px.
    """
    rows = []
    for image, face in faces:
        editor, draw = AttributeEditor(face.model), Rerenderer(image, face)
        cells = [captioned(close_up(image, face, cell), "source")]
        for caption, changes in edits.items():
            if AGE in changes:
                edited = edit_image(image, face, changes, editor)
            else:
                edited = draw(editor.edit(face.params, changes))
            cells.append(captioned(close_up(edited, face, cell), caption))
        rows.append(np.hstack(cells))
    return np.asarray(np.vstack(rows), dtype=np.uint8)


def transfer_sheet(faces: Sequence[tuple[ImageBGR, Face]], cell: int = CELL) -> ImageBGR:
    """Draw one row per target: the target, then the target with the expression of every source."""
    rows = []
    for image, face in faces:
        draw = Rerenderer(image, face)
        cells = [captioned(close_up(image, face, cell), "target")]
        for index, (_, source) in enumerate(faces):
            edited = draw(transfer_expression(source, face))
            cells.append(captioned(close_up(edited, face, cell), f"of row {index + 1}"))
        rows.append(np.hstack(cells))
    return np.asarray(np.vstack(rows), dtype=np.uint8)


def default_images() -> list[ImageBGR]:
    """Return the portrait, and the images of the test data that are available."""
    found = [DATA / name for name in PHOTOS]
    return [astronaut_image(), *(read_image(path) for path in found if path.is_file())]


def largest_faces(images: Sequence[ImageBGR]) -> list[tuple[ImageBGR, Face]]:
    """Return each image in which a face is found, with its largest face."""
    pipeline = FacePipeline()
    out = []
    for image in images:
        faces = pipeline(image)
        if faces:
            out.append((image, max(faces, key=lambda face: face.face_size)))
    return out


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the sheets that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("output", type=Path, help="folder to write")
    names = (*SHEETS, TRANSFER)
    parser.add_argument("sheets", nargs="*", metavar="SHEET", help=f"{', '.join(names)}; all")
    parser.add_argument("--image", type=Path, action="append", help="an image; repeatable")
    parser.add_argument("--width", type=int, default=CELL, help="side of a cell, px")
    options = parser.parse_intermixed_args(arguments)
    if unknown := set(options.sheets) - set(names):
        parser.error(f"unknown sheet {', '.join(sorted(unknown))}; known are {', '.join(names)}")
    try:
        images = [read_image(path) for path in options.image] if options.image else default_images()
        faces = largest_faces(images)
        if not faces:
            raise TddfaError("there is no face in these images")
        draw: dict[str, Callable[[], ImageBGR]] = {
            name: lambda edits=edits: edit_sheet(faces, edits, options.width)  # type: ignore[misc]
            for name, edits in SHEETS.items()
        }
        draw[TRANSFER] = lambda: transfer_sheet(faces, options.width)
        for name in options.sheets or names:
            print(write_image(options.output / f"{name}.jpg", draw[name]()))
    except TddfaError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
