"""Faces of earlier frames whose track gets its ID later."""

from __future__ import annotations

from tddfa_ros.face import EarlierFace
from tddfa_ros.tracking.track import Track


def confirm(track: Track, id_: str) -> list[EarlierFace]:
    """Give a tentative track its ID, and return its faces so far, oldest first."""
    track.id = id_
    faces, track.unreported = track.unreported, []
    return [(track.age - face.age, face.replace(id=id_)) for face in faces]


def recovered(old: Track, new: Track) -> list[EarlierFace]:
    """Return the faces of a tentative track that continues a lost one, oldest first, as faces of the lost one.

    They begin after the last frame in which the lost track was seen.
    """
    assert old.id is not None
    faces = [face for face in new.unreported if face.stamp > old.seen_stamp]
    older = old.age - new.age
    return [(new.age - face.age, face.replace(id=old.id, age=face.age + older)) for face in faces]
