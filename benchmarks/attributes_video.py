"""Count how often the attributes drawn in a video change, estimated frame by frame and averaged over tracks.

python benchmarks/attributes_video.py VIDEO [--frames 400]
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from itertools import pairwise

import numpy as np
from tqdm import tqdm

from tddfa_ros.attributes import AttributeEstimator, AttributeTracks, SmoothedAttributes
from tddfa_ros.attributes.track import UNKNOWN
from tddfa_ros.pipeline import FacePipeline
from tddfa_ros.tracking import FaceTracker
from tddfa_ros.video.job import VideoOptions, open_video


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("video")
    parser.add_argument("--frames", type=int, default=400)
    options = parser.parse_args()
    tracker, estimator = FaceTracker(FacePipeline()), AttributeEstimator()
    tracks = AttributeTracks()
    single = defaultdict(list)
    averaged: defaultdict[str, list[SmoothedAttributes]] = defaultdict(list)
    video = open_video(options.video, VideoOptions())
    for number in tqdm(range(options.frames), unit="frame", disable=None):
        frame = video.read(0.0)
        if frame is None:
            break
        faces = tracker.update(frame.image, number / 25 if frame.seconds is None else frame.seconds)
        found = estimator.estimate_all(frame.image, faces)
        for face, one, mean in zip(faces, found, tracks.add(faces, found), strict=True):
            single[face.id].append(one)
            averaged[face.id].append(mean)
    for name, frames in single.items():
        means = averaged[name]
        shown = [mean.gender for mean in means]
        expressions = [one.expression.name if one.expression else "" for one in frames]
        named = [mean.expression for mean in means]
        print(f"{name}: {len(frames)} frames, gender {sorted(set(shown))}, confidence {means[-1].confidence:.2f}")  # fmt: skip
        print(f"  gender changes:       {changes([o.gender_presentation[0] for o in frames])} single, {changes(shown)} averaged")  # fmt: skip
        print(f"  expression changes:   {changes(expressions)} single, {changes(named)} averaged")
        ages = (np.ptp([o.age for o in frames]), np.ptp([m.attributes.age for m in means]))
        print(f"  range of the age:     {ages[0]:.1f} single, {ages[1]:.1f} years averaged")
        print(
            f"  share of frames:      age unknown {np.mean([not m.age_known for m in means]):.2f}, "
            f"gender unknown {np.mean([g == UNKNOWN for g in shown]):.2f}, "
            f"expression unknown {np.mean([n == UNKNOWN for n in named]):.2f}"
        )


def changes(values: list[str] | list[str | None]) -> int:
    """Return how often successive values differ."""
    return sum(a != b for a, b in pairwise(values))


if __name__ == "__main__":
    main()
