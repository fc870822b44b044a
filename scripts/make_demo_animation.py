"""Make the animation of the README: two people with expressions, one of them turning nearly to a profile.

    python scripts/make_demo_animation.py                            # writes docs/demo.webp
    python scripts/make_demo_animation.py --frames 4 --width 320 --output small.webp --sheet small.jpg

The source is made from two portraits in the public domain: Eileen Collins (NASA), from scikit-image, and Grace Hopper (U.S. Navy), from
Matplotlib. Their expressions are set with the morphable model (`Rerenderer`), heads are turned by face profiling (`Profiler`). The faces of
the result are then tracked like those of any other video (`RecordingTracker`). All motion is periodic, so that the animation loops.
"""

from __future__ import annotations

import argparse
import io
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from tqdm import tqdm

from tddfa_ros import FacePipeline
from tddfa_ros.editing.rerender import Rerenderer
from tddfa_ros.face import Face, TrackedFace
from tddfa_ros.jobs.edit import face_of
from tddfa_ros.recording import RecordingTracker
from tddfa_ros.rendering.overlay import OverlayOptions, draw_overlay
from tddfa_ros.sources.virtual_camera import astronaut_image
from tddfa_ros.training.cache import CACHE_SIDE, MARGIN
from tddfa_ros.training.profile import Profiler
from tddfa_ros.types import CROP_FRAME, FloatArray, ImageBGR

ROOT = Path(__file__).resolve().parents[1]
QUALITIES = (80, 65, 50, 35)
"""Tried in this order, until the file is small enough."""

RATE = 10.0
HEIGHT, WIDTH = 360, 640  # px of the source
FACE = 0.36  # face size in heights of the source


def peak(phase: float, start: float, end: float) -> float:
    """Return 0 outside of a part of the loop (0..1), and a smooth rise to 1 and back in it."""
    inside = (phase % 1 - start) / (end - start)
    return math.sin(math.pi * inside) ** 2 if 0 < inside < 1 else 0.0


def hold(phase: float, start: float, end: float) -> float:
    """Like `peak`, but 1 in the middle half."""
    return min(1.0, 2 * peak(phase, start, end)) if start < phase % 1 < end else 0.0


@dataclass(frozen=True)
class Script:
    """What a person does, by phase of the loop 0..1.

    Attributes:
        expression: coefficients by name.
        turn_deg: rotation of the head, > 0 to the right of the image.
        sway: shift of the person, px of the source.
    """

    expression: Callable[[float], Mapping[str, float]]
    turn_deg: Callable[[float], float]
    sway: Callable[[float], tuple[float, float]]


LEFT = Script(
    lambda p: {
        "jawOpen": 0.7 * hold(p, 0.05, 0.3),
        "browInnerUp": 0.9 * hold(p, 0.05, 0.3),
        "mouthPucker": 0.8 * hold(p, 0.72, 0.92),
        "eyeBlinkLeft": peak(p, 0.33, 0.38) + peak(p, 0.94, 0.99),
        "eyeBlinkRight": peak(p, 0.33, 0.38) + peak(p, 0.94, 0.99),
    },
    lambda p: 55.0 * hold(p, 0.38, 0.72) - 12.0 * peak(p, 0.72, 1.0),
    lambda p: (8 * math.sin(2 * math.pi * p), 3 * math.sin(4 * math.pi * p)),
)
RIGHT = Script(
    lambda p: {
        "mouthSmileLeft": 0.7 * hold(p, 0.3, 0.62),
        "mouthSmileRight": 0.7 * hold(p, 0.3, 0.62),
        "browOuterUpLeft": 0.7 * hold(p, 0.3, 0.62),
        "browOuterUpRight": 0.7 * hold(p, 0.3, 0.62),
        "jawOpen": 0.5 * hold(p, 0.7, 0.9),
    },
    lambda p: 11.0 * math.sin(2 * math.pi * (p + 0.1)),
    lambda p: (-7 * math.sin(2 * math.pi * p + 1), 3 * math.sin(4 * math.pi * p + 2)),
)


class Person:
    """One half of the source: a portrait whose face moves by a script."""

    def __init__(self, image: ImageBGR, script: Script, pipeline: FacePipeline) -> None:
        self._script = script
        face = face_of(pipeline, image, "the portrait")
        scale = FACE * HEIGHT / face.face_size
        size = round(image.shape[1] * scale), round(image.shape[0] * scale)
        self._image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
        self._face: Face = face_of(pipeline, self._image, "the portrait")
        self._draw = Rerenderer(self._image, self._face)
        self._profiler = Profiler(pipeline.model)
        self._drawn: tuple[FloatArray, ImageBGR] = self._face.params, self._image

    def at(self, phase: float) -> ImageBGR:
        """Return the half image (HEIGHT, WIDTH / 2, 3) at a phase of the loop, 0..1."""
        model, params = self._face.model, self._face.params.copy()
        layout = model.layout
        values = params[layout.size - layout.expression :]
        for name, value in self._script.expression(phase).items():
            if value > 0:
                values[model.expression_names.index(name)] = value
        if not np.array_equal(params, self._drawn[0]):
            self._drawn = params, self._draw(params)
        image = self._turned(self._drawn[1], params, self._script.turn_deg(phase))
        return self._framed(image, self._script.sway(phase))

    def _turned(self, image: ImageBGR, params: FloatArray, turn_deg: float) -> ImageBGR:
        if abs(turn_deg) < 0.1:
            return image
        field = self._profiler.field(params, turn_deg)
        roi = self._face.roi
        scale = (roi[2:] - roi[:2]) / CROP_FRAME
        start = roi[:2] - MARGIN * scale
        # Pixels of the image, as positions in the field, which ends with 0 at its border.
        rows, columns = image.shape[:2]
        x, y = np.meshgrid(np.arange(columns, dtype=np.float32), np.arange(rows, dtype=np.float32))
        at = ((x - start[0]) / scale[0]).astype(np.float32), ((y - start[1]) / scale[1]).astype(np.float32)  # fmt: skip
        shift = cv2.remap(field, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        inside = np.minimum.reduce([at[0], at[1], CACHE_SIDE - 1 - at[0], CACHE_SIDE - 1 - at[1]])
        shift *= np.clip(inside / 8, 0, 1)[..., None]
        return np.asarray(
            cv2.remap(
                image,
                x + shift[..., 0] * np.float32(scale[0]),
                y + shift[..., 1] * np.float32(scale[1]),
                cv2.INTER_CUBIC,
                borderMode=cv2.BORDER_REFLECT_101,
            )
        )

    def _framed(self, image: ImageBGR, sway: tuple[float, float]) -> ImageBGR:
        """Cut the half image out, with the face a little above its middle."""
        points = self._face.landmarks68[:, :2]
        x, y = (points.min(axis=0) + points.max(axis=0)) / 2
        affine = np.array(
            [[1, 0, WIDTH / 4 - x + sway[0]], [0, 1, 0.47 * HEIGHT - y + sway[1]]], np.float64
        )
        return np.asarray(
            cv2.warpAffine(
                image,
                affine,
                (WIDTH // 2, HEIGHT),
                flags=cv2.INTER_CUBIC,
                borderMode=cv2.BORDER_REPLICATE,
            )
        )


def portraits() -> tuple[ImageBGR, ImageBGR]:
    """Load the portraits of Eileen Collins and Grace Hopper.

    Raises:
        SystemExit: Matplotlib is not installed.
    """
    try:
        from matplotlib.cbook import get_sample_data
    except ImportError as error:
        raise SystemExit("error: Matplotlib is not installed; pip install matplotlib") from error
    with get_sample_data("grace_hopper.jpg") as file:
        hopper = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_COLOR)
    if hopper is None:
        raise SystemExit("error: the portrait of Matplotlib cannot be decoded")
    return astronaut_image(), np.asarray(hopper, dtype=np.uint8)


def source_frames(count: int, pipeline: FacePipeline) -> Iterator[ImageBGR]:
    """Yield the frames (HEIGHT, WIDTH, 3) of one loop."""
    people = [Person(image, script, pipeline) for image, script in zip(portraits(), (LEFT, RIGHT), strict=True)]  # fmt: skip
    for i in range(count):
        yield np.hstack([person.at(i / count) for person in people])


def tracked_frames(
    frames: Sequence[ImageBGR], pipeline: FacePipeline
) -> Iterator[tuple[ImageBGR, list[TrackedFace]]]:
    """Yield each frame of the loop with its faces, tracked in its second run, so that its end and its start agree."""
    recording: RecordingTracker[int] = RecordingTracker(pipeline)
    results: list[tuple[int, list[TrackedFace]]] = []
    for i in range(2 * len(frames)):
        results += recording.step(frames[i % len(frames)], i / RATE, i)
    results += recording.finish()
    for i, faces in results[len(frames) :]:
        yield frames[i % len(frames)], faces


def drawn(frame: ImageBGR, faces: Sequence[TrackedFace], pipeline: FacePipeline, width: int) -> ImageBGR:  # fmt: skip
    """Draw mesh, landmarks, axes and caption of all faces, and shrink the result to a width, px."""
    options = OverlayOptions(mesh="dense", opacity=0.38)
    image = draw_overlay(frame, faces, pipeline.model, options)
    size = width, round(HEIGHT * width / WIDTH)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))


def encode(images: Sequence[Image.Image], rate: float, quality: int) -> bytes:
    """Encode an animated WebP file that repeats forever.

    Args:
        images: frames of one size.
        rate: frame rate, Hz.
        quality: 0 to 100.
    """
    file = io.BytesIO()
    images[0].save(
        file,
        "WEBP",
        save_all=True,
        append_images=images[1:],
        duration=round(1000 / rate),
        loop=0,
        quality=quality,
        method=4,
    )
    return file.getvalue()


def contact_sheet(images: Sequence[ImageBGR], columns: int = 4, count: int = 12) -> ImageBGR:
    """Tile ``count`` evenly spaced frames."""
    chosen = [images[round(i * len(images) / count) % len(images)] for i in range(count)]
    return np.vstack([np.hstack(chosen[i : i + columns]) for i in range(0, count, columns)])


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the animation with the best quality that fits the size limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)  # fmt: skip
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "demo.webp")
    parser.add_argument("--sheet", type=Path, help="also write a contact sheet, an image")
    parser.add_argument("--frames", type=int, default=64, help="frames of the loop, at 10 per second")  # fmt: skip
    parser.add_argument("--width", type=int, default=640, help="px")
    parser.add_argument("--limit", type=float, default=2.8, help="megabytes")
    options = parser.parse_args(arguments)
    pipeline = FacePipeline()
    source = source_frames(options.frames, pipeline)
    frames = list(tqdm(source, total=options.frames, desc="source", unit="frame", disable=None))
    tracked = tqdm(tracked_frames(frames, pipeline), total=options.frames, desc="drawing", unit="frame", disable=None)  # fmt: skip
    count, shown = 0, []
    for frame, faces in tracked:
        count += len(faces)
        shown.append(drawn(frame, faces, pipeline, options.width))
    images = [Image.fromarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)) for image in shown]
    if options.sheet is not None:
        cv2.imwrite(str(options.sheet), contact_sheet(shown))
    for quality in QUALITIES:
        data = encode(images, RATE, quality)
        if len(data) <= options.limit * 1e6:
            break
    else:
        raise SystemExit(f"error: {len(data) / 1e6:.1f} MB even at quality {quality}; lower --width or --frames")  # fmt: skip
    options.output.write_bytes(data)
    print(f"wrote {options.output}: {len(images)} frames, {count} faces, {len(data) / 1e6:.2f} MB, quality {quality}", file=sys.stderr)  # fmt: skip


if __name__ == "__main__":
    main()
