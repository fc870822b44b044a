"""Which tracks are kept, which are regressed in a frame with many faces, and how often the detector runs."""

from __future__ import annotations

from collections.abc import Sequence

from tddfa_ros.tracking.track import Track

MAX_WAIT = 2
"""Consecutive frames in which a face may be extrapolated: none is older than 3 frames."""

_SEARCH_S = 0.5  # seconds after a loss in which the detector runs in every frame
_SEARCH_INTERVAL = 3  # frames between detector runs while a track is lost for longer
_GRACE_S = 0.3  # time in which a face may turn out to be a track that should end


def surviving(tracks: Sequence[Track], stamp: float, max_lost_s: float) -> list[Track]:
    """Return the tracks with a hit in the last ``max_lost_s`` before a stamp (s); a little longer while a face waits for its ID."""
    limit = max_lost_s
    if limit > 0 and any(track.id is None for track in tracks):
        limit += _GRACE_S
    return [t for t in tracks if stamp - t.seen_stamp <= limit or (limit == 0 and not t.coasting)]


def detection_interval(tracks: Sequence[Track], stamp: float, regular: int) -> int:
    """Return the frames between detector runs at a stamp (s): ``regular``, less while a track is lost."""
    lost = [track for track in tracks if track.lost]
    if any(stamp - track.stamp <= _SEARCH_S for track in lost):
        return 1
    return min(regular, _SEARCH_INTERVAL) if lost else regular


def select(tracks: Sequence[Track], budget: int) -> list[Track]:
    """Choose at most about ``budget`` of the tracks, in their order; 0 chooses all.

    Faces that are tentative, lost or have waited `MAX_WAIT` frames are always chosen, then those that move fastest, have waited longest
    and are largest. More than the budget are chosen when waiting for so few would exceed `MAX_WAIT`.
    """
    if budget <= 0 or len(tracks) <= budget:
        return list(tracks)
    budget = max(budget, -(-len(tracks) // (MAX_WAIT + 1)))
    urgent = [t for t in tracks if t.id is None or t.coasting or t.waiting >= MAX_WAIT]
    others = [t for t in tracks if t not in urgent]
    others.sort(key=_urgency, reverse=True)
    chosen = {id(t) for t in [*urgent, *others[: max(0, budget - len(urgent))]]}
    return [t for t in tracks if id(t) in chosen]


def _urgency(track: Track) -> float:
    """Speed counts most, up to one side per second, then waiting, then size."""
    side = float(track.roi[2] - track.roi[0])
    return 2 * min(track.speed, 1.0) + 0.5 * track.waiting + 0.5 * side / (side + 200.0)
