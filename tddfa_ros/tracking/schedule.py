"""Which tracks are regressed in a frame with many faces."""

from __future__ import annotations

from collections.abc import Sequence

from tddfa_ros.tracking.track import Track

MAX_WAIT = 2
"""Consecutive frames in which a face may be extrapolated: none is older than 3 frames."""


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
