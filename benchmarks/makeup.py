"""Measure virtual makeup and try-on per face on one thread, relative to the dense overlay of the same mesh.

    python benchmarks/makeup.py                  # prints Markdown

The scene is a face of the given height in an image of 640x480 px (larger if the face needs it). Rows are interleaved, so that
load on the machine affects all of them; times are medians of CPU time, ratios refer to the dense overlay in the same run.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import cv2
import numpy as np

from tddfa_ros.cli._common import load_morphable
from tddfa_ros.face import Face
from tddfa_ros.geometry.pose import compose, rotation_from_yaw_pitch_roll
from tddfa_ros.makeup import Makeup, Placement, TryOn, load_preset, preset_names, sample_object
from tddfa_ros.rendering.overlay import OverlayOptions, draw_overlay
from tddfa_ros.types import ImageBGR

BASELINE = "dense mesh of the overlay"


def scene(height: float) -> tuple[Face, ImageBGR]:
    """Return a mean face whose landmarks are ``height`` px high, and a noise image around it."""
    model = load_morphable("tddfa-head")
    landmarks = model.landmarks_of(model.mean)
    scale = height / float(np.ptp(landmarks[:, 1]))
    side = 4.0 * height
    params = np.zeros(model.layout.size, np.float32)
    rotation = rotation_from_yaw_pitch_roll(np.array([15.0, 5.0, 0.0]))
    params[:12] = compose(scale * 120 / side, rotation, np.array([60.5, 60.0, 0.0])).ravel()
    width, rows = max(640, round(2 * height)), max(480, round(2 * height))
    x, y = (width - side) / 2, (rows - side) / 2
    roi = np.array([x, y, x + side, y + side])
    noise = np.random.default_rng(0).integers(60, 200, (rows, width, 3), dtype=np.uint8)
    return Face(roi, 1.0, params, roi, model), noise


def candidates(face: Face, image: ImageBGR) -> dict[str, Callable[[], object]]:
    """Return what is measured, by name; the mesh is computed before."""
    model = face.model
    plain = OverlayOptions(mesh="dense", landmarks=False, axes=False, box=False, caption=False)
    programs: dict[str, Callable[[], object]] = {
        BASELINE: lambda: draw_overlay(image, [face], model, plain)
    }
    for name in preset_names():
        artist = Makeup(model, load_preset(name))
        programs[f"preset {name}"] = lambda artist=artist: artist.apply(image, face)
    for name, anchor in (("glasses", "nose_bridge"), ("hat", "head_top")):
        tried = TryOn(model, sample_object(name), Placement(anchor))
        programs[f"try-on of the {name}"] = lambda tried=tried: tried.apply(image, face)
    return programs


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--face", type=float, default=200, help="height of the landmarks, px")
    parser.add_argument("--runs", type=int, default=41)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    face, image = scene(options.face)
    programs = candidates(face, image)
    busy: dict[str, list[float]] = {name: [] for name in programs}
    for program in programs.values():
        program()  # compile, and fill the cache of the face
    for _ in range(options.runs):
        for name, program in programs.items():
            start = time.thread_time()
            program()
            busy[name].append(1e3 * (time.thread_time() - start))
    base = float(np.median(busy[BASELINE]))
    print(
        f"Landmarks {options.face:g} px high, image {image.shape[1]}x{image.shape[0]} px, one thread\n"
    )
    print("| | ratio | CPU time, ms | runs |\n|---|---:|---:|---:|")
    for name, times in busy.items():
        median = float(np.median(times))
        print(f"| {name} | {median / base:.2f} | {median:.1f} | {len(times)} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
