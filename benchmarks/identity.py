"""Persistence of track IDs against SORT and ByteTrack, in scenes pasted from real faces; prints a Markdown table.

    python benchmarks/identity.py --faces FOLDER

FOLDER holds images of one face each, every image of another person. All trackers get the same frames, and SORT and ByteTrack the
detections of this package's detector. Both come from the package ``trackers`` (pip install trackers) and are left out without it.
"""

from __future__ import annotations

import argparse
import hashlib
import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from identity_metrics import Reported, Score, score
from identity_scenes import HZ, Scene, Truth, all_scenes, cast
from tqdm import tqdm

from tddfa_ros.config import DetectionConfig, PipelineConfig, RegressionConfig
from tddfa_ros.pipeline import FacePipeline
from tddfa_ros.tracking.tracker import FaceTracker

T = TypeVar("T")

OURS = "FaceTracker"
_TRACKERS = (OURS, "SORT", "ByteTrack")
LOW_SCORE = 0.2
"""Score of the weakest detections that ByteTrack is given; SORT is given those of the default threshold."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--faces", type=Path, required=True, help="folder of face images")
    parser.add_argument("--seed", type=int, default=1, help="people and paths (default 1)")
    parser.add_argument("--frames", type=int, default=600, help="frames per scene (default 600)")
    parser.add_argument("--scene", type=int, action="append", help="number of a scene; repeatable")
    parser.add_argument("--cache", type=Path, help="folder that keeps cutouts and detections")
    parser.add_argument(
        "--tracker", choices=_TRACKERS, action="append", help="repeatable; default: all"
    )
    arguments = parser.parse_args()
    pipeline = FacePipeline(PipelineConfig(regression=RegressionConfig(device="cpu")))
    key = hashlib.sha256(f"{arguments.faces.resolve()} {arguments.seed}".encode()).hexdigest()[:12]
    people = _cached(
        arguments.cache,
        f"{key}-people",
        lambda: cast(arguments.faces, pipeline, arguments.seed),
    )
    chosen = arguments.tracker or list(_TRACKERS)
    others = {name: maker for name, maker in _others().items() if name in chosen}
    print(f"| scene | tracker | {' | '.join(_COLUMNS)} |\n|---|---|{'---:|' * len(_COLUMNS)}")
    for number, scene in enumerate(all_scenes(people, arguments.seed)):
        if arguments.scene and number not in arguments.scene:
            continue
        scene = replace(scene, frames=arguments.frames)
        if OURS in chosen:
            truth, reported = _track(scene, pipeline)
            print(_row(scene, OURS, score(truth, reported)), flush=True)
        if others:
            name = f"{key}-{number}-{arguments.frames}"
            truth, detections = _cached(arguments.cache, name, lambda s=scene: _detect(s))  # type: ignore[misc]
            for name, (make, lowest) in others.items():
                result = score(truth, _follow(make(), detections, lowest))
                print(_row(scene, name, result), flush=True)


def _track(scene: Scene, pipeline: FacePipeline) -> tuple[list[Truth], list[Reported]]:
    """Ground truth, and what `FaceTracker` reports."""
    tracker = FaceTracker(pipeline)
    truth, reported = [], []
    for stamp, image, true in _shown(scene, OURS):
        faces = tracker.update(image, stamp)
        points = [face.landmarks68[:, :2] for face in faces]
        boxes = [np.concatenate([p.min(axis=0), p.max(axis=0)]) for p in points]
        reported.append(Reported(np.reshape(boxes, (-1, 4)), [face.id for face in faces]))
        truth.append(true)
    return truth, reported


def _detect(scene: Scene) -> tuple[list[Truth], list[np.ndarray]]:
    """Ground truth, and the detections (n, 5) of every frame, low scores included."""
    config = PipelineConfig(
        detection=DetectionConfig(score_threshold=LOW_SCORE),
        regression=RegressionConfig(device="cpu"),
    )
    pipeline = FacePipeline(config)
    truth, detections = [], []
    for _, image, true in _shown(scene, "detections"):
        truth.append(true)
        detections.append(pipeline.detect(image))
    return truth, detections


def _others() -> dict[str, tuple[Callable[[], Any], float]]:
    """Makers of the other trackers, with their defaults, and the lowest score that each is given."""
    try:
        from trackers import ByteTrackTracker, SORTTracker
    except ImportError:
        print("SORT and ByteTrack are left out: pip install trackers\n")
        return {}
    return {
        "SORT": (lambda: SORTTracker(frame_rate=HZ), DetectionConfig().score_threshold),
        "ByteTrack": (lambda: ByteTrackTracker(frame_rate=HZ), LOW_SCORE),
    }


def _follow(tracker: Any, detections: Sequence[np.ndarray], lowest: float) -> list[Reported]:
    from supervision import Detections

    reported = []
    for found in detections:
        found = found[found[:, 4] >= lowest]
        given = Detections(
            xyxy=found[:, :4].astype(np.float32),
            confidence=found[:, 4].astype(np.float32),
            class_id=np.zeros(len(found), int),
        )
        tracked = tracker.update(given)
        ids = [] if tracked.tracker_id is None else [int(i) for i in tracked.tracker_id]
        kept = [j for j, i in enumerate(ids) if i >= 0]
        reported.append(
            Reported(tracked.xyxy[kept].astype(np.float64), [str(ids[j]) for j in kept])
        )
    return reported


def _shown(scene: Scene, name: str) -> Iterator[tuple[float, np.ndarray, Truth]]:
    return tqdm(scene.play(), desc=f"{scene.name}: {name}", total=scene.frames, leave=False)  # type: ignore[no-any-return]


def _cached(folder: Path | None, name: str, compute: Callable[[], T]) -> T:
    """What ``compute`` returns, kept in a file that only this program writes and reads."""
    if folder is None:
        return compute()
    path = folder / f"{name}.pickle"
    if path.is_file():
        return pickle.loads(path.read_bytes())  # type: ignore[no-any-return]
    folder.mkdir(parents=True, exist_ok=True)
    value = compute()
    path.write_bytes(pickle.dumps(value))
    return value


_COLUMNS = ("cost", "switches", "merges", "fragments", "missed, %", "MOTA", "IDF1", "HOTA")


def _row(scene: Scene, name: str, s: Score) -> str:
    cells = [
        *(str(n) for n in (s.cost, s.switches, s.merges, s.fragments)),
        *(f"{v:.1f}" for v in (s.missed, s.mota, s.idf1, s.hota)),
    ]
    return f"| {scene.name} | {name} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
