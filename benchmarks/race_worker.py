"""One contestant of `race.py` in its own process: loads everything, then measures the rows it is asked for on stdin.

    python benchmarks/race_worker.py ours --threads 1
    python benchmarks/race_worker.py mediapipe --model face_landmarker.task
    python benchmarks/race_worker.py mediapipe --model face_landmarker.task --batch FOLDER OUT --processes 2

Protocol: each line of stdin is ``{"row": name, "seconds": s}``, each line of stdout the figures of that row, or its error.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

FRAME_S = 1 / 30

Call = Callable[[], int]
"""One unit of work; returns the number of faces it found."""


class Ours:
    """tddfa_ros: tracker and smoother as in the graph, pipeline for single images."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._threads = options.threads
        self._detector = options.detector

    def calls(self) -> dict[str, Callable[[], Call]]:
        return {
            "tracked landmarks 1": lambda: self._tracked(1, dense=False),
            "tracked dense 1": lambda: self._tracked(1, dense=True),
            "tracked landmarks 5": lambda: self._tracked(5, dense=False),
            "tracked dense 5": lambda: self._tracked(5, dense=True),
            "image 1": lambda: self._image(1),
            "image 5": lambda: self._image(5),
        }

    def _pipeline(self) -> Any:
        from tddfa_ros import FacePipeline

        return FacePipeline.from_config(
            {
                "detection": {"detector": self._detector},
                "regression": {"device": "cpu", "threads": self._threads},
            }
        )

    def _tracked(self, count: int, dense: bool) -> Call:
        from scenes import scene

        from tddfa_ros import FaceSmoother, FaceTracker

        tracker, smoother = FaceTracker(self._pipeline()), FaceSmoother()
        image, clock = scene(count), iter(range(1, 10**9))

        def call() -> int:
            faces = smoother(tracker.update(image, next(clock) * FRAME_S))
            for face in faces:
                if dense:
                    face.vertices, face.vertices_metric  # noqa: B018 - computed on access
                else:
                    face.landmarks68, face.landmarks_metric  # noqa: B018
            return len(faces)

        return call

    def _image(self, count: int) -> Call:
        from scenes import scene

        pipeline, image = self._pipeline(), scene(count)

        def call() -> int:
            faces = pipeline(image)
            for face in faces:
                face.landmarks68  # noqa: B018
            return len(faces)

        return call


class Original(Ours):
    """The networks of 3DDFA_V2 in the loop of its demo: ROI from the last landmarks, no search for new faces, no metric pose."""

    def _pipeline(self) -> Any:
        from tddfa_ros import FacePipeline

        return FacePipeline.from_config(
            {
                "detection": {"detector": "faceboxes", "input_size": 0},
                "regression": {
                    "model": "official-mb05",
                    "device": "cpu",
                    "threads": self._threads,
                },
            }
        )

    def _tracked(self, count: int, dense: bool) -> Call:
        from scenes import scene

        from tddfa_ros.geometry.roi import roi_from_landmarks

        pipeline, image = self._pipeline(), scene(count)
        faces = pipeline(image)

        def call() -> int:
            nonlocal faces
            rois = roi_from_landmarks(np.stack([face.landmarks68 for face in faces]))
            faces = pipeline.regress(image, rois)
            for face in faces:
                face.vertices if dense else face.landmarks68  # noqa: B018
            return len(faces)

        return call


class MediaPipe:
    """FaceLandmarker of the PyPI package ``mediapipe``: 478 landmarks, no metric pose."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._model = str(options.model)

    def calls(self) -> dict[str, Callable[[], Call]]:
        return {
            "tracked landmarks 1": lambda: self._tracked(1),
            "tracked dense 1": lambda: self._tracked(1),
            "tracked landmarks 5": lambda: self._tracked(5),
            "tracked dense 5": lambda: self._tracked(5),
            "image 1": lambda: self._image(1),
            "image 5": lambda: self._image(5),
        }

    def landmarker(self, faces: int, video: bool) -> Any:
        """Create a FaceLandmarker."""
        from mediapipe.tasks.python import BaseOptions, vision

        mode = vision.RunningMode.VIDEO if video else vision.RunningMode.IMAGE
        base = BaseOptions(model_asset_path=self._model)
        options = vision.FaceLandmarkerOptions(base, running_mode=mode, num_faces=faces)
        return vision.FaceLandmarker.create_from_options(options)

    @staticmethod
    def image(bgr: np.ndarray) -> Any:
        """Convert (H, W, 3) uint8 BGR to an image of MediaPipe."""
        import cv2
        import mediapipe

        rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
        return mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=rgb)

    @staticmethod
    def record(result: Any, width: int, height: int) -> list[list[list[float]]]:
        """Return the landmarks of each face, px."""
        return [
            [[p.x * width, p.y * height, p.z * width] for p in face]
            for face in result.face_landmarks
        ]

    def _tracked(self, count: int) -> Call:
        from scenes import scene

        landmarker, frame = self.landmarker(count, video=True), scene(count)
        clock = iter(range(1, 10**9))

        def call() -> int:
            stamp = round(next(clock) * FRAME_S * 1e3)
            return len(landmarker.detect_for_video(self.image(frame), stamp).face_landmarks)

        return call

    def _image(self, count: int) -> Call:
        from scenes import scene

        landmarker, frame = self.landmarker(count, video=False), scene(count)
        return lambda: len(landmarker.detect(self.image(frame)).face_landmarks)

    def batch(self, paths: list[Path], out: Path) -> None:
        """Write one JSON line per image file."""
        import cv2

        landmarker = self.landmarker(5, video=False)
        with out.open("w") as lines:
            for path in paths:
                bgr = cv2.imread(str(path))
                found = self.record(landmarker.detect(self.image(bgr)), bgr.shape[1], bgr.shape[0])
                lines.write(json.dumps({"image": str(path), "faces": found}) + "\n")

    def video(self, source: Path, out: Path) -> None:
        """Write one JSON line per frame."""
        import cv2

        landmarker, capture = self.landmarker(1, video=True), cv2.VideoCapture(str(source))
        with out.open("w") as lines:
            number = 0
            while (read := capture.read())[0]:
                height, width = read[1].shape[:2]
                result = landmarker.detect_for_video(self.image(read[1]), number * 40)
                found = self.record(result, width, height)
                lines.write(json.dumps({"frame": number, "faces": found}) + "\n")
                number += 1


CONTESTANTS: dict[str, type[Ours] | type[MediaPipe]] = {
    "ours": Ours,
    "mediapipe": MediaPipe,
    "original": Original,
}


def measure(call: Call, seconds: float, least: int = 5) -> dict[str, float]:
    """Repeat a call; return medians of wall and CPU time, ms, and the number of faces."""
    wall, cpu = [], []
    faces = 0
    end = time.perf_counter() + seconds
    while len(wall) < least or time.perf_counter() < end:
        at, used = time.perf_counter(), time.process_time()
        faces = call()
        wall.append(1e3 * (time.perf_counter() - at))
        cpu.append(1e3 * (time.process_time() - used))
    return {"ms": float(np.median(wall)), "cpu_ms": float(np.mean(cpu)), "faces": faces}


def serve(contestant: Ours | MediaPipe) -> None:
    """Measure the rows named on stdin."""
    known, ready = contestant.calls(), {}
    for line in sys.stdin:
        asked = json.loads(line)
        answer: dict[str, Any]
        try:
            if asked["row"] not in ready:
                call = ready[asked["row"]] = known[asked["row"]]()
                for _ in range(8):
                    call()
            answer = measure(ready[asked["row"]], asked["seconds"])
        except Exception as error:  # of any library: the row then has a reason instead of figures
            answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
        print(json.dumps(answer), flush=True)


def _batch_part(options: argparse.Namespace, part: int) -> None:
    paths = sorted(options.batch[0].iterdir())[part :: options.processes]
    MediaPipe(options).batch(paths, options.batch[1].with_suffix(f".{part}"))


def main() -> None:
    """Serve rows, or run one of MediaPipe's jobs over files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("contestant", choices=CONTESTANTS)
    parser.add_argument("--detector", default="centerface", help="of tddfa_ros")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--batch", type=Path, nargs=2, metavar=("FOLDER", "OUT"))
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--video", type=Path, nargs=2, metavar=("FILE", "OUT"))
    options = parser.parse_args()
    import cv2

    cv2.setNumThreads(options.threads)
    if options.video:
        MediaPipe(options).video(*options.video)
    elif options.batch:
        import multiprocessing

        context = multiprocessing.get_context("spawn")
        parts = [
            context.Process(target=_batch_part, args=(options, part))
            for part in range(1, options.processes)
        ]
        for process in parts:
            process.start()
        _batch_part(options, 0)
        for process in parts:
            process.join()
    else:
        sys.stdout, answers = sys.stderr, os.fdopen(os.dup(1), "w")  # libraries print to stdout
        sys.stdout = answers
        serve(CONTESTANTS[options.contestant](options))


if __name__ == "__main__":
    main()
