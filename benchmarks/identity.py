"""Persistence of track IDs against SORT and ByteTrack, in scenes pasted from real faces; prints a Markdown table.

    python benchmarks/identity.py --faces FOLDER

FOLDER holds images of one face each, every image of another person. All trackers get the same frames, and SORT and ByteTrack the
detections of this package's detector. Both come from the package ``trackers`` (pip install trackers) and are left out without it.
"""

from __future__ import annotations

import argparse
import hashlib
import pickle
import time
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
    parser.add_argument("--only-ours", action="store_true", help="leave SORT and ByteTrack out")
    arguments = parser.parse_args()
    pipeline = FacePipeline(PipelineConfig(regression=RegressionConfig(device="cpu")))
    key = hashlib.sha256(f"{arguments.faces.resolve()} {arguments.seed}".encode()).hexdigest()[:12]
    people = _cached(
        arguments.cache,
        f"{key}-people",
        lambda: cast(arguments.faces, pipeline, arguments.seed),
    )
    others = {} if arguments.only_ours else _others()
    print(f"| scene | tracker | {' | '.join(_COLUMNS)} |\n|---|---|{'---:|' * len(_COLUMNS)}")
    for number, scene in enumerate(all_scenes(people, arguments.seed)):
        if arguments.scene and number not in arguments.scene:
            continue
        scene = replace(scene, frames=arguments.frames)
        truth, reported, milliseconds = _track(scene, pipeline)
        scores = {OURS: score(truth, reported)}
        if others:
            name = f"{key}-{number}-{arguments.frames}"
            detections = _cached(arguments.cache, name, lambda s=scene: _detect(s))  # type: ignore[misc]
            for name, (make, lowest) in others.items():
                scores[name] = score(truth, _follow(make(), detections, lowest))
        for name, result in scores.items():
            print(_row(scene, name, result), flush=True)
        tqdm.write(f"{scene.name}: {milliseconds:.1f} ms per frame")


def _track(scene: Scene, pipeline: FacePipeline) -> tuple[list[Truth], list[Reported], float]:
    """Ground truth, what `FaceTracker` reports and its mean time per frame, ms."""
    tracker = FaceTracker(pipeline)
    truth, reported, seconds = [], [], 0.0
    for stamp, image, true in _shown(scene, OURS):
        start = time.perf_counter()
        faces = tracker.update(image, stamp)
        seconds += time.perf_counter() - start
        points = [face.landmarks68[:, :2] for face in faces]
        boxes = [np.concatenate([p.min(axis=0), p.max(axis=0)]) for p in points]
        reported.append(Reported(np.reshape(boxes, (-1, 4)), [face.id for face in faces]))
        truth.append(true)
    return truth, reported, 1e3 * seconds / len(truth)


def _detect(scene: Scene) -> list[np.ndarray]:
    """Detections (n, 5) of every frame, low scores included."""
    config = PipelineConfig(
        DetectionConfig(score_threshold=LOW_SCORE), RegressionConfig(device="cpu")
    )
    pipeline = FacePipeline(config)
    return [pipeline.detect(image) for _, image, _ in _shown(scene, "detections")]


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
