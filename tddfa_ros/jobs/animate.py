"""Animate a face image with the expressions of a video."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from tddfa_ros.editing.neutral import neutral_params
from tddfa_ros.editing.rerender import Rerenderer
from tddfa_ros.editing.transfer import transfer_expression
from tddfa_ros.errors import ImageError
from tddfa_ros.face import Face, TrackedFace
from tddfa_ros.pipeline import FacePipeline
from tddfa_ros.recording import RecordingTracker
from tddfa_ros.types import FloatArray, ImageBGR


def animate(
    image: ImageBGR,
    target: Face,
    frames: Iterable[ImageBGR],
    rate: float,
    pipeline: FacePipeline,
    *,
    strength: float = 1.0,
    neutral: Face | FloatArray | None = None,
    relative: bool = False,
    regions: Collection[str] | None = None,
) -> Iterator[ImageBGR]:
    """Yield the image with the smoothed expression of the largest face of each frame; its pose is unchanged.

    Args:
        image: (H, W, 3) uint8 BGR.
        target: the face in the image.
        frames: frames of the source.
        rate: frames per second.
        pipeline: detects and regresses the faces of the frames.
        strength: see :func:`transfer_expression`.
        neutral: see :func:`transfer_expression`.
        relative: use the person at rest, estimated from all frames, as ``neutral``; see :func:`neutral_params`. All frames are then
            analyzed before the first image is drawn.
        regions: see :func:`transfer_expression`.

    Frames without a face keep the last expression.

    Raises:
        ImageError: no frame has a face (raised after the last one).
    """
    draw = Rerenderer(image, target)
    sources = _largest_faces(frames, rate, pipeline)
    if relative:
        found = list(sources)
        own = [face for face in found if face is not None]
        if own:
            neutral = neutral_params([face.params for face in own], own[0].model)
        sources = iter(found)
    shown = image
    seen = False
    for source in sources:
        if source is not None:
            seen = True
            shown = draw(transfer_expression(source, target, strength, neutral, regions))
        yield shown
    if not seen:
        raise ImageError("no frame of the source has a face")


def _largest_faces(
    frames: Iterable[ImageBGR], rate: float, pipeline: FacePipeline
) -> Iterator[Face | None]:
    """Yield the smoothed largest face of each frame; None without one."""
    recording: RecordingTracker[None] = RecordingTracker(pipeline)
    for index, frame in enumerate(frames):
        for _, faces in recording.step(frame, index / rate, None):
            yield _largest(faces)
    for _, faces in recording.finish():
        yield _largest(faces)


def _largest(faces: Sequence[TrackedFace]) -> TrackedFace | None:
    return max(faces, key=lambda face: face.face_size) if faces else None
