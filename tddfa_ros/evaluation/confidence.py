"""Confidence: AUC of faces against background, shifted ROIs, scrambled faces and objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import TypeAlias

import numpy as np
from tqdm import tqdm

from tddfa_ros.evaluation import scenes
from tddfa_ros.evaluation.prediction import Predictor
from tddfa_ros.evaluation.result import Row, SuiteResult
from tddfa_ros.evaluation.sets import WHOLE_CROP, Sets, arrays, kept_faces, read_image
from tddfa_ros.geometry.metrics import auc
from tddfa_ros.types import DoubleArray, ImageBGR, RealArray

FACES = ("faces: AFLW2000-3D", "faces: HELEN", "faces: LFW", "faces: closed eyes (CEW)")
ALL_FACES = "all faces"
BACKGROUND = "background squares"
SHIFTED = "ROI shifted by half its side"
SCRAMBLED = "scrambled faces"
OBJECTS = "objects (scikit-image)"

_NOTE = (
    "AUC of a group of faces: against the background squares; of another group: all faces against it. Background: squares from 40 px to "
    "half the image that overlap no face (labeled, or detected by the default detector with a score of at least 0.3) in AFLW2000-3D, HELEN and the "
    "detection set. Shifted: the ROIs of AFLW2000-3D and HELEN in 8 directions. Scrambled: the crops of AFLW2000-3D with permuted "
    "4 x 4 tiles. Objects: 8 squares of each of scikit-image's images without a human face."
)

Scores: TypeAlias = dict[str, list[float]]
Faces: TypeAlias = Iterator[tuple[ImageBGR, RealArray]]


def evaluate(predictor: Predictor, sets: Sets) -> SuiteResult:
    """Compute AUC, share above 0.5, and median by group."""
    scores: Scores = {name: [] for name in (*FACES, BACKGROUND, SHIFTED, SCRAMBLED, OBJECTS)}
    readers = (scenes.read_aflw2000, scenes.read_helen, scenes.read_groups)
    every = scenes.with_detections(chain.from_iterable(read(sets) for read in readers))
    for scene in tqdm(every, desc="confidence: images", unit="photo", disable=None):
        _add_scores(predictor, scores[BACKGROUND], scene.image, scenes.background(scene))
        _add_scores(predictor, scores[SHIFTED], scene.image, scenes.shifted(scene))
    for group, faces in zip(FACES, (_aflw2000, _helen, _lfw, _cew), strict=True):
        for image, roi in tqdm(faces(sets), desc=f"confidence: {group}", unit="face", disable=None):
            _add_scores(predictor, scores[group], image, roi[None])
    for i, (image, roi) in enumerate(_aflw2000(sets)):
        _add_scores(predictor, scores[SCRAMBLED], scenes.scrambled(image, f"{i}"), roi[None])
    for scene in scenes.objects():
        _add_scores(predictor, scores[OBJECTS], scene.image, scenes.background(scene, 8))
    return summary({name: np.array(values) for name, values in scores.items()})


def summary(scores: Mapping[str, DoubleArray]) -> SuiteResult:
    """Summarize confidences (n,) by group; without a confidence all groups are empty."""
    everyone = np.concatenate([scores[name] for name in FACES])
    groups = {ALL_FACES: everyone, **scores}
    rows = []
    for name, values in groups.items():
        figures: dict[str, float | None] = {"AUC": None, "over 0.5": None, "median": None}
        if len(values):
            is_face = name in (ALL_FACES, *FACES)
            pair = (values, scores[BACKGROUND]) if is_face else (everyone, values)
            over, median = float((values > 0.5).mean()), float(np.median(values))
            figures = {"AUC": auc(*pair), "over 0.5": over, "median": median}
        rows.append(Row(name, len(values), figures))
    digits = {"AUC": 4, "over 0.5": 3, "median": 3}
    return SuiteResult("confidence", "Confidence", rows, _NOTE, digits, scores=groups)


def _add_scores(
    predictor: Predictor, scores: list[float], image: ImageBGR, rois: RealArray
) -> None:
    """Append the confidences of all ROIs (n, 4)."""
    if len(rois):
        found = (face.confidence for face in predictor.regress(image, rois))
        scores += [confidence for confidence in found if confidence is not None]


def _aflw2000(sets: Sets) -> Faces:
    folder = sets.folder("aflw2000")
    for name in sets.some(arrays(folder / "gt.npz", "name"))["name"]:
        yield read_image(folder / "crop120" / str(name)), WHOLE_CROP[0]


def _helen(sets: Sets) -> Faces:
    for scene in scenes.read_helen(sets):
        assert scene.face is not None
        yield scene.image, scene.face


def _lfw(sets: Sets) -> Faces:
    return _kept(sets, "lfw")


def _cew(sets: Sets) -> Faces:
    return _kept(sets, "cew")


def _kept(sets: Sets, source: str) -> Faces:
    rows = sets.some(kept_faces(sets, source))
    for name, roi in zip(rows["name"], rows["roi"], strict=True):
        yield read_image(sets.folder("faces") / "img" / str(name)), roi
