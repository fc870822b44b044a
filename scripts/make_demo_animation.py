"""Make the animation of the README from the recording of the demo.

    make demo ARGS="--rate 12.5 --duration 10"
    python scripts/make_demo_animation.py      # out/demo.mp4 -> docs/demo.webp

The demo runs at the frame rate of the animation, so that a busy machine drops no frame.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
QUALITIES = (85, 80, 75, 70, 60, 50, 40, 30)
"""Tried in this order, until the file is small enough."""


def frames(video: Path, start: float, duration: float, rate: float, width: int) -> Iterator[Image.Image]:  # fmt: skip
    """Yield the frames of a part of a video, resampled in time and downscaled.

    Args:
        video: path of the file.
        start: start time, s.
        duration: length, s.
        rate: output frame rate, Hz.
        width: width of the output frames, px.

    Raises:
        SystemExit: the video cannot be read, or ends before ``start``.
    """
    capture = cv2.VideoCapture(str(video))
    own_rate = capture.get(cv2.CAP_PROP_FPS)
    if not capture.isOpened() or own_rate <= 0:
        raise SystemExit(f"error: {video} cannot be read; run 'make demo' first")
    wanted = [round((start + i / rate) * own_rate) for i in range(round(duration * rate))]
    index, shown = 0, 0
    while wanted and (read := capture.read())[0]:
        while wanted and wanted[0] == index:
            height = round(read[1].shape[0] * width / read[1].shape[1])
            small = cv2.resize(read[1], (width, height), interpolation=cv2.INTER_AREA)
            yield Image.fromarray(cv2.cvtColor(small, cv2.COLOR_BGR2RGB))
            wanted.pop(0)
            shown += 1
        index += 1
    if not shown:
        raise SystemExit(f"error: {video} ends before second {start:g}; choose another --start")


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
        method=6,
    )
    return file.getvalue()


def main() -> None:
    """Write the animation with the best quality that fits the size limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)  # fmt: skip
    parser.add_argument("--video", type=Path, default=ROOT / "out" / "demo.mp4")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "demo.webp")
    parser.add_argument("--start", type=float, default=1.0, help="first second")
    parser.add_argument("--duration", type=float, default=8.0, help="seconds")
    parser.add_argument("--rate", type=float, default=12.5, help="frames per second")
    parser.add_argument("--width", type=int, default=480, help="px")
    parser.add_argument("--limit", type=float, default=2.0, help="megabytes")
    options = parser.parse_args()
    images = list(frames(options.video, options.start, options.duration, options.rate, options.width))  # fmt: skip
    for quality in QUALITIES:
        data = encode(images, options.rate, quality)
        if len(data) <= options.limit * 1e6:
            break
    else:
        raise SystemExit(f"error: {len(data) / 1e6:.1f} MB even at quality {quality}; lower --width, --rate or --duration")  # fmt: skip
    options.output.write_bytes(data)
    print(f"wrote {options.output}: {len(images)} frames, {len(data) / 1e6:.2f} MB, quality {quality}", file=sys.stderr)  # fmt: skip


if __name__ == "__main__":
    main()
