"""A source image that does what a video does."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from tddfa_ros.editing.rerender import Rerenderer
from tddfa_ros.editing.transfer import transfer_expression
from tddfa_ros.errors import ImageError
from tddfa_ros.face import Face
from tddfa_ros.pipeline import FacePipeline
from tddfa_ros.smoothing.smoother import FaceSmoother
from tddfa_ros.tracking.tracker import FaceTracker
from tddfa_ros.types import FloatArray, ImageBGR


def animate(
    photo: ImageBGR,
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
    """The photo with the smoothed expression of the largest face of each frame; the photo's pose stays.

    Args:
        photo: (H, W, 3) uint8 BGR. target: the face in it.
        frames: images of the source; rate: of them, per second.
        strength, neutral, regions: see :func:`transfer_expression`.
        relative: take the source in the first frame with a face as ``neutral``.

    Where a frame shows no face the last expression stays.

    Raises:
        ImageError: no frame shows a face (after the last one).
    """
    tracker, smoother = FaceTracker(pipeline), FaceSmoother()
    draw = Rerenderer(photo, target)
    shown = photo
    seen = False
    for index, frame in enumerate(frames):
        faces = smoother(tracker.update(frame, index / rate))
        if faces:
            source = max(faces, key=lambda face: face.face_size)
            if relative and not seen:
                neutral = source
            seen = True
            shown = draw(transfer_expression(source, target, strength, neutral, regions))
        yield shown
    if not seen:
        raise ImageError("no frame of the source shows a face")
