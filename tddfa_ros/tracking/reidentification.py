"""Which track a face belongs to, from its position, size and appearance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from tddfa_ros.tracking.association import assign, iou
from tddfa_ros.tracking.descriptor import Descriptor
from tddfa_ros.tracking.track import Track
from tddfa_ros.types import DoubleArray, RealArray

if TYPE_CHECKING:
    from tddfa_ros.face import Face

# Log odds. An ID on another person is worse than a new ID, so an undecided face waits and then gets a new one.
ACCEPT = 0.5
"""A face belongs to a lost track from here on."""

PLAUSIBLE = -3.0
"""A face from here on may belong to a lost track; it waits for its ID."""

_MARGIN = 1.0  # to the second lost track that a face could belong to
_CERTAIN = 0.5  # a face that is seen less clearly waits
_PATIENCE = 5  # hits; then it is decided as it is
_LOST_PENALTY = 3.0  # a face that another track follows without a gap is rarely that of a lost one
_STRANGE = -3.0  # log ratio of the appearances
_DISTURBED_S = 1.0
_CLEAR_OVERLAP = 0.1  # IoU with another face; beyond it one may cover the other
_COVERED_WEIGHT = 0.1  # of the appearance of such a face
_CLEAR_WEIGHT = 0.5  # once it is known, appearance is learned from better faces only
_NEWER = 10  # hits; a younger track that turns out to be a duplicate ends


@dataclass(frozen=True, eq=False)
class Candidate:
    """A regressed face and the track in whose ROI it was found; ``roi`` (4,) of its landmarks, image px."""

    track: Track
    face: Face
    roi: DoubleArray


def quality(face: Face, roi: RealArray, size: tuple[int, int]) -> float:
    """How much the appearance of a face says, 0..1: little when it is covered or cut by the border of the image."""
    margin = 0.15 * (roi[2] - roi[0])  # the ROI is that much larger than the face
    inside = (roi[:2] + margin >= 0).all() and (roi[2:] - margin <= size).all()
    return float(np.clip((face.confidence - 0.5) / 0.4, 0.05, 1.0) * (1.0 if inside else 0.3))


def log_odds(c: Candidate, stamp: float, size: tuple[int, int]) -> float:
    """Log odds that a face is the person of its track, against somebody anywhere in an image of ``size`` (width, height).

    The appearance counts in full for a lost track: whoever has covered a person stands where that one is expected.
    """
    other = Descriptor()
    other.add(c.face, quality(c.face, c.roi, size))
    appearance = c.track.descriptor.log_ratio(other, 1.0 if c.track.coasting else 0.0)
    return c.track.log_likelihood(c.roi, stamp, size) + appearance


def learn_appearance(tracks: Sequence[Track], stamp: float, size: tuple[int, int]) -> None:
    """Update the appearance of faces that are seen clearly at a stamp (s), and of those not yet known in any case."""
    seen = [track for track in tracks if track.seen and not track.waiting]
    if not seen:
        return
    rois = np.stack([track.roi for track in seen])
    overlap = iou(rois, rois) - np.eye(len(rois))
    for track, others in zip(seen, overlap, strict=True):
        weight = quality(track.face, track.roi, size)
        if others.max() > _CLEAR_OVERLAP:
            weight *= _COVERED_WEIGHT
            track.disturbed = stamp
        if track.descriptor.certainty < 1 or weight >= _CLEAR_WEIGHT:
            track.descriptor.add(track.face, weight)


def is_stranger(c: Candidate, stamp: float, size: tuple[int, int]) -> bool:
    """Return whether a track is on another person: it looks different soon after it was covered.

    The landmarks of a face that disappears behind another one drift onto that one.
    """
    track = c.track
    if track.id is None or track.descriptor.certainty < 1 or stamp - track.disturbed > _DISTURBED_S:
        return False
    other = Descriptor()
    other.add(c.face, quality(c.face, c.roi, size))
    return track.descriptor.log_ratio(other) < _STRANGE


def without_duplicates(
    candidates: Sequence[Candidate], stamp: float, size: tuple[int, int], max_overlap: float
) -> tuple[list[Candidate], list[Track]]:
    """Give each face to one track: of two with an IoU above ``max_overlap``, to that which it belongs to with higher odds.

    A tentative track always yields to one with an ID.

    Returns:
        The remaining candidates, and the tracks that have proved to be duplicates of another one.
    """
    if len(candidates) < 2:
        return list(candidates), []
    overlap = iou(*[np.stack([c.roi for c in candidates])] * 2)
    odds: dict[int, float] = {}
    removed: set[int] = set()
    ended = []
    pairs = [(i, j) for i, j in combinations(range(len(candidates)), 2)]
    for i, j in sorted(pairs, key=lambda pair: -overlap[pair]):
        if overlap[i, j] <= max_overlap or {i, j} & removed:
            continue
        for k in (i, j):
            if k not in odds:
                odds[k] = log_odds(candidates[k], stamp, size)
                odds[k] -= _LOST_PENALTY if candidates[k].track.coasting else 0.0
        first, second = candidates[i].track, candidates[j].track
        if (first.id is None) != (second.id is None):
            loser = i if first.id is None else j
        else:
            loser = i if odds[i] < odds[j] else j
        removed.add(loser)
        track = candidates[loser].track
        if not track.coasting and track.hits < _NEWER:
            ended.append(track)
    return [c for k, c in enumerate(candidates) if k not in removed], ended


def _recovery_odds(old: Track, new: Track, stamp: float, size: tuple[int, int]) -> float:
    """Log odds that a fresh track is a lost one; after enough hits its appearance counts in full, however little of it is seen.

    Who comes out from behind somebody stands where that one is expected.
    """
    least = 1.0 if new.hits >= _PATIENCE else 0.0
    appearance = old.descriptor.log_ratio(new.descriptor, least)
    return old.log_likelihood(new.roi, stamp, size) + appearance


def recoveries(
    lost: Sequence[Track],
    fresh: Sequence[Track],
    stamp: float,
    size: tuple[int, int],
    minimum: float = ACCEPT,
) -> tuple[list[tuple[Track, Track]], list[Track]]:
    """Match tracks without an ID to lost tracks.

    Returns:
        Pairs of a lost track and the fresh one that continues it, and the fresh tracks that may be a lost one but are undecided.
    """
    if not lost or not fresh:
        return [], []
    odds = np.array([[_recovery_odds(old, new, stamp, size) for new in fresh] for old in lost])
    pairs, undecided = [], []
    for i, j in assign(odds, minimum):
        rivals = np.delete(odds[:, j], i)
        clear = not len(rivals) or odds[i, j] - rivals.max() >= _MARGIN
        if clear and (fresh[j].descriptor.certainty >= _CERTAIN or fresh[j].hits >= _PATIENCE):
            pairs.append((lost[i], fresh[j]))
        else:
            undecided.append(fresh[j])
    matched = {id(new) for _, new in pairs}
    for j, new in enumerate(fresh):
        if odds[:, j].max() >= PLAUSIBLE and id(new) not in matched and new not in undecided:
            undecided.append(new)
    return pairs, undecided
