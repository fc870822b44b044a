"""Compare face detectors at equal numbers of unmatched detections.

    python benchmarks/detectors.py --data DIR                                          # CenterFace
    python benchmarks/detectors.py --data DIR --detector centerface --detector yunet --detector mine.onnx --plot curves.png

`--data` holds `eval/` with `detection/`, `aflw2000/`, `helen/` and `ytf/`; missing sets are left out. The first detector sets the number of unmatched
detections (at a score of 0.5 on `detection/`), the others are compared at the score that gives the same number. A detection matches a labeled
box from an IoU of 0.35. Times are CPU time on one thread, interleaved, medians.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tddfa_ros.config import DetectionConfig
from tddfa_ros.detection import Detector, create_detector
from tddfa_ros.evaluation.detection_curve import DetectionCurve
from tddfa_ros.evaluation.scenes import detection_boxes
from tddfa_ros.evaluation.sets import Sets, arrays, read_image
from tddfa_ros.evaluation.whole_photos import matching_box
from tddfa_ros.geometry.roi import roi_from_box, roi_from_landmarks
from tddfa_ros.model_store.store import default_store
from tddfa_ros.types import DoubleArray, ImageBGR

LOWEST = 0.1  # score of the curves
MOST_FACES = 100_000  # a detector that stops earlier drops the smallest faces, so that its curve would end too early
SCORE = 0.5  # of the detector that sets the number of unmatched detections
BINS = ((0, 30), (30, 60), (60, 181))  # yaw, degrees
WIDE = 0.1  # large faces: width of the labeled box by that of the image
COPIES, NOISE = 8, 5.0  # noisy copies of a still image, gray levels
STILL = 20  # images


@dataclass(frozen=True)
class Face:
    """A labeled image with one face: landmarks (68, 2) px, and the row of the table it belongs to."""

    image: ImageBGR
    landmarks: DoubleArray
    row: str


def single_faces(sets: Sets) -> Iterator[Face]:
    """Read the images of AFLW2000-3D, HELEN and YTF."""
    if sets.has("aflw2000"):
        folder = sets.folder("aflw2000")
        truth = sets.some(arrays(folder / "gt.npz", "name", "pts68", "yaw_deg"))
        for name, points, yaw in zip(truth["name"], truth["pts68"], truth["yaw_deg"], strict=True):
            low, high = next(b for b in BINS if b[0] <= abs(yaw) < b[1])
            row = f"AFLW2000-3D, yaw {low} to {min(high, 90)}"
            yield Face(_read(folder / "photo" / str(name)), points[:2].T.astype(np.float64), row)
    for label, name in (("HELEN", "helen"), ("YTF", "ytf")):
        if sets.has(name):
            folder = sets.folder(name)
            place = folder / "photo" if (folder / "photo").is_dir() else folder
            truth = sets.some(arrays(folder / "gt.npz", "name", "pts68"))
            for file, points in zip(truth["name"], truth["pts68"], strict=True):
                yield Face(_read(place / str(file)), points[:, :2].astype(np.float64) - 1, label)


@cache
def _read(path: Path) -> ImageBGR:
    return read_image(path)


def curve_of(detector: Detector, sets: Sets) -> tuple[DetectionCurve, DetectionCurve]:
    """Measure all labeled boxes of the images of groups, and those of large faces."""
    detector.score_threshold = LOWEST
    folder = sets.folder("detection")
    labeled = detection_boxes(folder)
    every, large = DetectionCurve(), DetectionCurve()
    for name in sets.some({"name": np.array(sorted(labeled))})["name"]:
        image, boxes = _read(folder / str(name)), labeled[str(name)]
        found = detector(image)
        every.add(found, boxes)
        large.add(found, boxes, boxes[:, 2] - boxes[:, 0] < WIDE * image.shape[1])
    return every, large


def whole_images(detector: Detector, faces: list[Face], score: float) -> dict[str, float]:
    """Return the share of detected faces by row, and errors of the ROI of the box from that of the landmarks, in its sides."""
    detector.score_threshold = score
    hits: dict[str, list[bool]] = {}
    offsets, sizes = [], []
    for face in faces:
        box = matching_box(detector(face.image), face.landmarks)
        hits.setdefault(face.row, []).append(box is not None)
        if box is not None:
            roi, true = roi_from_box(box), roi_from_landmarks(face.landmarks)
            side = true[2] - true[0]
            offsets.append(np.linalg.norm(roi[:2] + roi[2:] - true[:2] - true[2:]) / 2 / side)
            sizes.append(np.log((roi[2] - roi[0]) / side))
    out = {row: float(np.mean(found)) for row, found in hits.items()}
    if offsets:
        out["ROI offset, % of the ROI"] = 100 * float(np.median(offsets))
        out["ROI size: median error, %"] = 100 * float(np.median(sizes))
        out["ROI size: spread, %"] = 100 * float(np.std(sizes))
    return out


def jitter(detector: Detector, faces: list[Face], score: float) -> float:
    """Return the median jitter of the ROI center in noisy copies of a still image, % of the ROI."""
    detector.score_threshold = score
    still = [face for face in faces if face.row == "HELEN"] or faces
    spread = []
    for number, face in enumerate(still[:STILL]):
        rng = np.random.default_rng(number)
        rois = []
        for _ in range(COPIES):
            noisy = np.clip(face.image + rng.normal(0, NOISE, face.image.shape), 0, 255)
            box = matching_box(detector(noisy.astype(np.uint8)), face.landmarks)
            if box is not None:
                rois.append(roi_from_box(box))
        if len(rois) > 2:
            placed = np.stack(rois)
            centers = (placed[:, :2] + placed[:, 2:]) / 2
            side = (placed[:, 2] - placed[:, 0]).mean()
            spread.append(float(np.linalg.norm(centers.std(axis=0)) / side))
    return 100 * float(np.median(spread)) if spread else float("nan")


def times(detectors: dict[str, Detector], seconds: float) -> dict[str, float]:
    """Return the CPU time of one image of 640x480 px, ms."""
    image = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
    taken: dict[str, list[float]] = {name: [] for name in detectors}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or not all(taken.values()):
        for name, detector in detectors.items():
            detector.score_threshold = SCORE
            started = time.thread_time()
            detector(image)
            taken[name].append(1e3 * (time.thread_time() - started))
    return {name: float(np.median(values)) for name, values in taken.items()}


def created(names: list[str], size: int) -> dict[str, Detector]:
    """Create the detectors, without a limit of faces."""
    store = default_store()
    detectors = {
        name: create_detector(DetectionConfig(name, size, SCORE), store, "cpu") for name in names
    }
    for detector in detectors.values():
        detector.max_faces = MOST_FACES
    return detectors


def measure(
    names: list[str], size: int, sets: Sets, seconds: float
) -> tuple[str, dict[str, DetectionCurve]]:
    """Return the table of one input size, and the curves by detector."""
    detectors = created(names, size)
    faces = list(single_faces(sets))
    columns: dict[str, dict[str, str]] = {}
    curves: dict[str, DetectionCurve] = {}
    unmatched: int | None = None
    spent = times(detectors, seconds)
    for name, detector in tqdm(detectors.items(), desc=f"input {size}", disable=None):
        score, column = SCORE, {"ms": f"{spent[name]:.2f}"}
        if sets.has("detection"):
            every, large = curve_of(detector, sets)
            curves[name] = every
            own, wrong = every.at(SCORE)
            unmatched = wrong if unmatched is None else unmatched
            recall, score = every.recall(unmatched)
            column["groups: recall / unmatched at 0.5"] = f"{own:.3f} / {wrong}"
            column[f"groups: recall at {unmatched} unmatched"] = f"{recall:.3f}"
            column["groups: score there"] = f"{score:.2f}"
            column[f"groups: recall, faces of {WIDE:.0%} of the width or more"] = (
                f"{large.at(score)[0]:.3f}"
            )
        figures = whole_images(detector, faces, score)
        column |= {row: f"{value:.3f}" for row, value in figures.items()}
        if faces:
            column["jitter of the ROI, %"] = f"{jitter(detector, faces, score):.3f}"
        columns[name] = column
    rows = dict.fromkeys(row for column in columns.values() for row in column)
    lines = [f"| input {size} | " + " | ".join(columns) + " |", "|---" * (1 + len(columns)) + "|"]
    for row in rows:
        lines.append(f"| {row} | " + " | ".join(c.get(row, "") for c in columns.values()) + " |")
    return "\n".join(lines), curves


def plot(path: Path, curves: dict[int, dict[str, DetectionCurve]]) -> None:
    """Draw recall over unmatched detections."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(curves), figsize=(5 * len(curves), 4), squeeze=False)
    for axis, (size, named) in zip(axes[0], curves.items(), strict=True):
        for name, curve in named.items():
            _, recall, unmatched = curve.points()
            axis.plot(unmatched, recall, label=Path(name).stem)
        axis.set(
            title=f"input {size} px", xlabel="unmatched detections", ylabel="recall", xlim=(0, 100)
        )
        axis.grid(alpha=0.3)
        axis.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> int:
    """Print the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the evaluation sets")
    parser.add_argument("--detector", action="append", help="name or .onnx file; repeatable")
    parser.add_argument("--size", type=int, action="append", help="long side of the input, px")
    parser.add_argument("--limit", type=int, help="images of each set")
    parser.add_argument("--seconds", type=float, default=5.0, help="of timing")
    parser.add_argument("--plot", type=Path, help="image file for the curves")
    options = parser.parse_args()
    sets = Sets(options.data, options.limit)
    curves = {}
    for size in options.size or (320, 640):
        table, curves[size] = measure(
            options.detector or ["centerface"], size, sets, options.seconds
        )
        print(f"{table}\n", flush=True)
    if options.plot:
        plot(options.plot, curves)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
