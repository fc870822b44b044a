"""Build the training cache of a face collection: fitted faces, synthetic profiles, and negatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.errors import ConfigError
from tddfa_ros.files import save_arrays
from tddfa_ros.fitting.collection import FaceLabels, load_source
from tddfa_ros.fitting.collection_fit import fit_faces
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.cache import (
    HOLD_OUT_EVERY,
    FaceCache,
    create_images,
    cut,
    fill_margin,
    open_cache,
)
from tddfa_ros.training.data.items import in_threads
from tddfa_ros.training.negatives import Negatives, find_images
from tddfa_ros.training.profile import Profiler, pose_angles
from tddfa_ros.types import FloatArray, ImageBGR

WEIGHTS = {"aflw": 1.25, "utk": 0.65, "cew": 4.0, "yawn": 2.0, "afw": 2.0, "lp": 1.5, "cfp": 0.7}
"""Sampling weight of the faces of a source: rare expressions and true labels more often, the many frontal portraits of utk less."""
DRAWN_ON = ("lfw",)
"""Sources whose images have a box and dlib's landmarks drawn in green."""

_PROFILES = {  # share of the synthetic profiles
    **{"aflw": 0.54, "helen": 0.11, "ytf": 0.1, "utk": 0.15},
    **{"cew": 0.03, "yawn": 0.04, "afw": 0.02, "mask": 0.01},
}
_PROFILE_WEIGHT = 0.75
_TURNABLE = (45.0, 20.0, 2.2)  # largest |yaw| and |roll| in degrees, largest fit error in %
_LEAST_TURN, _LEAST_YAW, _MOST_YAW = 15.0, 35.0, 90.0  # degrees
_UNDRAWN = 3  # of 5 rows are inpainted; the others keep the lines, for robustness
_WITH_SURROUNDINGS = ("helen", "ytf", "afw", "yawn", "mask", "cc0")
"""Sources whose images show the surroundings of the face and have nothing drawn on them."""
_SEED = 0


def build_cache(
    root: Path,
    sources: Sequence[str],
    model: MorphableModel,
    folder: Path,
    *,
    max_error: float = 4.0,
    profiles: int = 8000,
    negatives: int = 12000,
    backgrounds: Path | None = None,
) -> FaceCache:
    """Fit the labels and write all crops, synthetic profiles and negatives to ``folder``, with progress bars.

    Excluded are faces of the evaluation split, faces whose fit error exceeds ``max_error``, and faces whose head pose another network
    contradicts.

    Args:
        root: the collection (see :mod:`tddfa_ros.fitting.collection`).
        sources: names of its sources.
        model: morphable model.
        folder: of the cache. Fits of each source are kept there and reused.
        max_error: largest mean distance of the fit from the labels, % of the face size.
        profiles: number of faces rotated to larger yaws.
        negatives: number of crops without a face, if ``backgrounds`` is given.
        backgrounds: folder of images without faces.

    Raises:
        ConfigError: a source or an image is missing, or no face is left.
    """
    folder.mkdir(parents=True, exist_ok=True)
    params, yaw, source, error, jobs = [], [], [], [], []
    around: list[tuple[str, FloatArray]] = []
    for name in sources:
        faces = load_source(root, name)
        fitted = _stored_fit(folder, name, model, faces)
        usable = ~faces.evaluation & ~faces.rejected
        kept = np.flatnonzero((fitted["error"] < max_error) & usable)
        params.append(fitted["params"][kept])
        error.append(fitted["error"][kept])
        yaw.append(faces.yaw_deg[kept])
        source.append(np.full(len(kept), name))
        found = [(str(root / "img" / str(faces.images[i])), faces.roi[i]) for i in kept]
        jobs += found
        around += found if name in _WITH_SURROUNDINGS else []
    if not jobs:
        raise ConfigError(f"no face of {', '.join(sources)} fits its labels to {max_error} %")
    labels = {
        "params": np.concatenate(params),
        "yaw_deg": np.concatenate(yaw),
        "source": np.concatenate(source),
        "error": np.concatenate(error),
    }
    count = len(jobs)
    held_out = np.arange(count) % HOLD_OUT_EVERY == 0
    rng = np.random.default_rng(_SEED)
    rows, yaws = _to_turn(labels, held_out, profiles, rng)
    wrong = negatives if backgrounds is not None else 0
    images = create_images(folder, count + len(rows) + wrong)

    def decode(row: int) -> None:
        image = fill_margin(cut(*jobs[row]), row)
        cleaned = labels["source"][row] in DRAWN_ON and row % 5 < _UNDRAWN
        images[row] = without_green_lines(image) if cleaned else image

    _all(decode, count, "decode crops")
    turned = _turn(images, labels, rows, yaws, model, count)
    if backgrounds is not None:
        generator = Negatives(find_images(backgrounds), around)

        def negative(index: int) -> None:
            draw = np.random.default_rng((_SEED, index))
            images[count + len(rows) + index] = generator.draw(draw)

        _all(negative, wrong, "cut negatives")
    images.flush()
    weight = [WEIGHTS.get(str(name), 1.0) for name in labels["source"]]
    save_arrays(
        folder / "labels.npz",
        params=np.concatenate(
            [labels["params"], turned, np.zeros((wrong, model.layout.size), np.float32)]
        ),
        yaw_deg=np.concatenate([labels["yaw_deg"], yaws, np.zeros(wrong)]).astype(np.float32),
        source=np.concatenate(
            [labels["source"], np.full(len(rows), "profile"), np.full(wrong, "negative")]
        ),
        error=np.concatenate([labels["error"], labels["error"][rows], np.zeros(wrong)]).astype(
            np.float32
        ),
        face=np.arange(len(images)) < count + len(rows),
        weight=np.concatenate([weight, np.full(len(rows), _PROFILE_WEIGHT), np.ones(wrong)]).astype(
            np.float32
        ),
        held_out=np.concatenate(
            [held_out, np.zeros(len(rows), np.bool_), np.arange(wrong) % HOLD_OUT_EVERY == 0]
        ),
        topology_id=model.topology_id,
    )
    return open_cache(folder, model)


def without_green_lines(image: ImageBGR) -> ImageBGR:
    """Inpaint thin lines and dots of a dark, saturated green."""
    blue, green, red = (image[..., i].astype(np.int16) for i in range(3))
    drawn = ((green - np.maximum(blue, red) > 18) & (green < 175)).astype(np.uint8)
    wider = cv2.dilate(drawn, np.ones((2, 2), np.uint8))
    return np.asarray(cv2.inpaint(image, wider, 2, cv2.INPAINT_TELEA), dtype=np.uint8)


def _to_turn(
    labels: dict[str, NDArray[np.generic]],
    held_out: NDArray[np.bool_],
    count: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], FloatArray]:
    """Choose rows for synthetic profiles, and the yaw of each (degrees, > 0 to the right of the image), larger than its own."""
    yaw, roll = pose_angles(np.asarray(labels["params"], dtype=np.float32))
    most_yaw, most_roll, most_error = _TURNABLE
    good = (np.abs(yaw) < most_yaw) & (np.abs(roll) < most_roll) & ~held_out
    good &= np.asarray(labels["error"], dtype=np.float32) < most_error
    chosen = [
        rng.permutation(np.flatnonzero(good & (labels["source"] == name)))[: round(share * count)]
        for name, share in _PROFILES.items()
    ]
    rows = rng.permutation(np.concatenate(chosen))
    start = yaw[rows]
    toward = np.where(np.abs(start) > 8, np.sign(start), rng.choice([-1, 1], len(rows)))
    least = np.maximum(np.abs(start) + _LEAST_TURN, _LEAST_YAW)
    wanted = toward * (least + rng.random(len(rows)) * (_MOST_YAW - least))
    return rows, wanted.astype(np.float32)


def _turn(
    images: NDArray[np.uint8],
    labels: dict[str, NDArray[np.generic]],
    rows: NDArray[np.int64],
    yaws: FloatArray,
    model: MorphableModel,
    first: int,
) -> FloatArray:
    profiler = Profiler(model)
    params = np.asarray(labels["params"], dtype=np.float32)
    start = pose_angles(params[rows])[0]
    turned = np.zeros((len(rows), model.layout.size), np.float32)

    def turn(index: int) -> None:
        row = rows[index]
        images[first + index], turned[index] = profiler(
            np.asarray(images[row]), params[row], float(yaws[index] - start[index])
        )

    _all(turn, len(rows), "turn to profile")
    return turned


def _all(work: Callable[[int], None], count: int, what: str) -> None:
    for _ in in_threads(work, range(count), what):
        pass


def _stored_fit(
    folder: Path, name: str, model: MorphableModel, faces: FaceLabels
) -> dict[str, FloatArray]:
    """Return the fit of a source, computed once and stored in ``folder``."""
    path = folder / f"fit_{name}_{model.topology_id}.npz"
    if not path.is_file():
        fitted = fit_faces(model, faces)
        save_arrays(path, params=fitted.params, error=fitted.error)
    with np.load(path) as file:
        return {key: file[key] for key in file.files}
