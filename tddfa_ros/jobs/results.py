"""Results of jobs over images: faces, JSON lines, counts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tddfa_ros.jobs.inputs import UnreadableInput
from tddfa_ros.jobs.ordered import Outcome
from tddfa_ros.types import ImageBGR

if TYPE_CHECKING:
    from tddfa_ros.face import Face


@dataclass(frozen=True, eq=False)
class ImageFaces:
    """The faces of one image.

    Attributes:
        path: the image file, or the bag.
        faces: largest first; empty if there are none, or the image failed.
        error: one sentence that names the image and the reason of the failure; None on success.
        device_warnings: `FacePipeline.device_warnings` of the pipeline that processed the image.
        topic: topic of an image of a bag.
        stamp_ns: header stamp of an image of a bag, ns; None for image files.
        note: one sentence about something that was left out; else None.
        image: (H, W, 3) uint8 BGR from :func:`detect_faces`; None if it failed, or was processed by a worker.
    """

    path: Path
    faces: tuple[Face, ...] = ()
    error: str | None = None
    device_warnings: tuple[str, ...] = ()
    topic: str = ""
    stamp_ns: int | None = None
    note: str | None = None
    image: ImageBGR | None = None


@dataclass
class JobSummary:
    """Counts and files of a job.

    Attributes:
        images: number of images that could be read.
        faces: number of faces in them.
        files: files that were written.
        failed: inputs that could not be read or processed, or whose outputs could not be written.
        without_face: image files without a face.
        inputs: number of files that were given.
        finished: whether every video was processed to its end.
    """

    images: int = 0
    faces: int = 0
    files: list[Path] = field(default_factory=list)
    failed: list[Path] = field(default_factory=list)
    without_face: list[Path] = field(default_factory=list)
    inputs: int = 0
    finished: bool = True


@dataclass(frozen=True)
class ImageLine:
    """One image of :func:`detect_lines_parallel`; see :class:`ImageFaces` for ``error``, ``device_warnings`` and ``note``.

    Attributes:
        text: the record of :func:`as_record` as one line of JSON.
        faces: number of faces.
    """

    text: str
    faces: int = 0
    error: str | None = None
    device_warnings: tuple[str, ...] = ()
    note: str | None = None


def as_record(found: ImageFaces) -> dict[str, Any]:
    """Return the JSON object of one image; docs/guide/images.md describes the faces."""
    faces = []
    if found.faces:
        from tddfa_ros.outputs.records import face_record

        faces = [face_record(face) for face in found.faces]
    record: dict[str, Any] = {"image": str(found.path)}
    if found.stamp_ns is not None:
        record |= {"topic": found.topic, "stamp_ns": found.stamp_ns}
    record["faces"] = faces
    return record if found.error is None else record | {"error": found.error}


def json_line(found: ImageFaces) -> str:
    """Return :func:`as_record` as one line of JSON."""
    from tddfa_ros.outputs.records import to_json

    return to_json(as_record(found))


def failed_image(outcome: Outcome) -> ImageFaces:
    """Return the result of an item that failed, with the reason."""
    if isinstance(outcome.item, UnreadableInput):
        return ImageFaces(outcome.item.path, error=outcome.item.reason)
    return replace(image_of(outcome.item), error=named(outcome.item, str(outcome.error)))


def image_of(item: Any) -> ImageFaces:
    """Return the empty result of an item: a path, or an image of a bag."""
    if isinstance(item, Path):
        return ImageFaces(item)
    return ImageFaces(item.bag, topic=item.topic, stamp_ns=item.stamp_ns)


def named(item: object, reason: str) -> str:
    """Put the name of an item before a sentence that lacks it."""
    return reason if str(item) in reason else f"{item}: {reason}"
