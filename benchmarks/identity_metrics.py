"""Metrics of multi-object tracking for benchmarks/identity.py: CLEAR MOT, IDF1 and HOTA."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from identity_scenes import MIN_VISIBLE, Truth
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from tddfa_ros.tracking.association import iou

MIN_IOU = 0.3
"""Overlap of a reported and a true box that makes a match: detectors' boxes end at brows and mouth, landmarks' at the jaw."""


@dataclass(frozen=True)
class Reported:
    """Boxes (n, 4), px, and track IDs of a frame."""

    boxes: NDArray[np.float64]
    ids: list[str]


@dataclass(frozen=True)
class Score:
    """Figures of one tracker in one scene.

    MOTA, IDF1, HOTA and missed are in %. A switch is a person whose ID differs from its last one; a merge is a switch to an ID that
    another person has had before.
    """

    mota: float
    idf1: float
    hota: float
    switches: int
    merges: int
    fragments: int
    missed: float

    @property
    def cost(self) -> int:
        """Switches, with merges counted twice."""
        return self.switches + self.merges


def score(truth: Sequence[Truth], reported: Sequence[Reported]) -> Score:
    """Compare what a tracker reported with the ground truth of the same frames.

    CLEAR MOT (Bernardin and Stiefelhagen, 2008): matches of the last frame are kept while they overlap by `MIN_IOU`. IDF1 (Ristani et
    al., 2016). HOTA (Luiten et al., 2021), the mean over localization thresholds of 0.05 to 0.95.
    """
    last: dict[int, str] = {}  # person -> ID
    owners: dict[str, int] = {}  # ID -> the last person it was on
    previous: dict[int, str] = {}
    tracked: dict[int, bool] = {}
    switches = merges = fragments = missed = false = expected = 0
    frames: list[tuple[list[int], list[str], NDArray[np.float64]]] = []
    for true, found in zip(truth, reported, strict=True):
        people = [int(k) for k in np.flatnonzero(true.visible >= MIN_VISIBLE)]
        hidden = true.boxes[(true.visible < MIN_VISIBLE) & (true.visible > 0)]
        overlap = iou(true.boxes[people], found.boxes)
        pairs = _matches(people, found.ids, overlap, previous)
        previous = {people[i]: found.ids[j] for i, j in pairs}
        rest = [j for j in range(len(found.ids)) if j not in {j for _, j in pairs}]
        spurious = [j for j in rest if not (iou(hidden, found.boxes[[j]]) >= MIN_IOU).any()]
        expected += len(people)
        missed += len(people) - len(pairs)
        false += len(spurious)
        for person, name in previous.items():
            if person in last and last[person] != name:
                switches += 1
                merges += owners.get(name, person) != person
            elif owners.get(name, person) != person:
                merges += 1  # a new person under the ID of another
            last[person], owners[name] = name, person
        for person in people:
            if person in previous and tracked.get(person) is False:
                fragments += 1
            if person in previous or person in tracked:
                tracked[person] = person in previous
        kept = sorted({j for _, j in pairs} | set(spurious))
        frames.append((people, [found.ids[j] for j in kept], overlap[:, kept]))
    mota = 1 - (missed + false + switches) / expected
    return Score(
        100 * mota,
        100 * _idf1(frames),
        100 * _hota(frames),
        switches,
        merges,
        fragments,
        100 * missed / expected,
    )


def _matches(
    people: list[int], ids: list[str], overlap: NDArray[np.float64], previous: dict[int, str]
) -> list[tuple[int, int]]:
    allowed = np.where(overlap >= MIN_IOU, overlap, 0.0)
    for i, person in enumerate(people):
        if previous.get(person) in ids:
            j = ids.index(previous[person])
            if allowed[i, j] > 0:
                allowed[i, j] += 10.0
    rows, columns = linear_sum_assignment(allowed, maximize=True)
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if allowed[i, j] > 0]


Frames = list[tuple[list[int], list[str], NDArray[np.float64]]]


def _idf1(frames: Frames) -> float:
    together: Counter[tuple[int, str]] = Counter()
    for people, ids, overlap in frames:
        for i, j in zip(*np.nonzero(overlap >= MIN_IOU), strict=True):
            together[people[i], ids[j]] += 1
    persons = sorted({k for people, _, _ in frames for k in people})
    names = sorted({k for _, ids, _ in frames for k in ids})
    counts = np.array([[together[p, n] for n in names] for p in persons], np.float64)
    counts = counts.reshape(len(persons), len(names))
    true_positives = counts[linear_sum_assignment(counts, maximize=True)].sum()
    total = sum(len(people) + len(ids) for people, ids, _ in frames)
    return float(2 * true_positives / total)


def _hota(frames: Frames) -> float:
    persons, names = (
        {k: i for i, k in enumerate(sorted({k for f in frames for k in f[part]}))}
        for part in (0, 1)
    )
    shared = np.zeros((len(persons), len(names)))
    of_person, of_name = np.zeros((len(persons), 1)), np.zeros((1, len(names)))
    for people, ids, overlap in frames:
        rows, columns = [persons[p] for p in people], [names[n] for n in ids]
        sums = overlap.sum(0, keepdims=True) + overlap.sum(1, keepdims=True) - overlap
        shared[np.ix_(rows, columns)] += np.divide(
            overlap, sums, out=np.zeros_like(overlap), where=sums > 0
        )
        of_person[rows] += 1
        of_name[0, columns] += 1
    alignment = shared / np.maximum(of_person + of_name - shared, 1e-9)
    values = []
    for threshold in np.arange(0.05, 0.99, 0.05):
        counts = np.zeros_like(shared)
        for people, ids, overlap in frames:
            rows, columns = [persons[p] for p in people], [names[n] for n in ids]
            value = np.where(overlap >= threshold, alignment[np.ix_(rows, columns)] * overlap, 0)
            for i, j in zip(*linear_sum_assignment(value, maximize=True), strict=True):
                if overlap[i, j] >= threshold:
                    counts[rows[i], columns[j]] += 1
        hits = counts.sum()
        detection = hits / max(of_person.sum() + of_name.sum() - hits, 1.0)
        association = counts / np.maximum(of_person + of_name - counts, 1.0)
        quality = (counts * association).sum() / max(hits, 1.0)
        values.append(np.sqrt(detection * quality))
    return float(np.mean(values))
