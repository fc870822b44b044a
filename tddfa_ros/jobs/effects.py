"""Apply an effect, such as virtual makeup, to the faces of images and videos."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from tddfa_ros.background import map_behind
from tddfa_ros.errors import ConfigError
from tddfa_ros.face import Face
from tddfa_ros.jobs.faces import detect_faces
from tddfa_ros.jobs.ordered import Outcome, attempt
from tddfa_ros.jobs.results import ImageFaces, JobSummary
from tddfa_ros.makeup.artist import Makeup
from tddfa_ros.makeup.objects import TryOnObject
from tddfa_ros.makeup.preset import MakeupPreset
from tddfa_ros.makeup.tryon import Placement, TryOn
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.outputs.files import find_images, output_names
from tddfa_ros.outputs.image_io import write_image
from tddfa_ros.outputs.layers import Layer
from tddfa_ros.pipeline import FacePipeline
from tddfa_ros.schema import Validated, option
from tddfa_ros.sources.folder import SUFFIXES
from tddfa_ros.targets import check_targets
from tddfa_ros.types import ImageBGR
from tddfa_ros.video import VideoOptions, VideoSummary, annotate_video
from tddfa_ros.video.parts import is_unfinished

_WAITING = 4  # images with their faces that wait to be painted


def makeup_effect(model: MorphableModel, preset: MakeupPreset) -> Layer:
    """Return a makeup preset as a layer; its name identifies the preset. Raises like :class:`Makeup`."""
    artist = Makeup(model, preset)
    digest = hashlib.sha256(repr(preset).encode())
    for sticker in preset.stickers:
        digest.update(sticker.image.read_bytes())

    def paint(image: ImageBGR, faces: Sequence[Face], _: MorphableModel) -> ImageBGR:
        return artist.apply(image, faces)

    return Layer(f"makeup-{digest.hexdigest()[:16]}", "virtual makeup", paint)


def tryon_effect(model: MorphableModel, item: TryOnObject, placement: Placement) -> Layer:
    """Return a try-on object as a layer; its name identifies object and placement. Raises like :class:`TryOn`."""
    fitted = TryOn(model, item, placement)
    digest = hashlib.sha256(repr(placement).encode())
    for part in item.parts:
        for array in (part.vertices, part.triangles, part.colors, part.uv, part.texture):
            digest.update(b"-" if array is None else array.tobytes())

    def paint(image: ImageBGR, faces: Sequence[Face], _: MorphableModel) -> ImageBGR:
        return fitted.apply(image, faces)

    return Layer(f"tryon-{digest.hexdigest()[:16]}", "a try-on object", paint)


VIDEO_SUFFIXES = (".avi", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".webm")
_WRITABLE = (".bmp", ".jpeg", ".jpg", ".png", ".webp")


@dataclass(frozen=True)
class FileOptions(Validated):
    """Options of :func:`paint_files`.

    Attributes:
        min_confidence: faces of images with a lower confidence are skipped, 0..1.
        overwrite: replace existing files.
        video: options of videos; ``layers`` and ``effects`` are set by :func:`paint_files`.
        threads: number of threads that decode images ahead of the network.
    """

    min_confidence: float = option(
        0.4, "faces of images with a lower confidence are skipped, 0..1", minimum=0.0, maximum=1.0
    )
    overwrite: bool = False
    video: VideoOptions = field(default_factory=VideoOptions)
    threads: int = option(2, "threads that decode images", minimum=1, maximum=64)


@dataclass(frozen=True)
class _Job:
    source: Path
    target: Path
    kind: Literal["image", "video"]


def paint_files(
    inputs: Sequence[str],
    output: Path,
    pipeline: FacePipeline,
    effect: Layer,
    options: FileOptions | None = None,
    on_message: Callable[[str], None] = lambda _: None,
) -> JobSummary:
    """Apply an effect to the faces of images and videos.

    Args:
        inputs: images, folders, patterns, videos.
        output: a file if it has a suffix and there is one input, else a folder; videos become ``.mp4``.
        pipeline: detects and regresses faces.
        effect: the effect; see :func:`makeup_effect` and :func:`tryon_effect`.
        options: options of files.
        on_message: called with one sentence for every input that cannot be read or has no face.

    Raises:
        SourceError: an input does not exist. ConfigError: an output exists, or has the wrong type. TddfaError: a file cannot be written.
    """
    options = options or FileOptions()
    jobs = _jobs(inputs, output, options)
    summary = JobSummary(inputs=len(jobs))
    _images([j for j in jobs if j.kind == "image"], pipeline, effect, options, summary, on_message)
    for job in jobs:
        if job.kind == "video":
            _video(job, pipeline, effect, options, summary, on_message)
    return summary


def _images(
    jobs: Sequence[_Job],
    pipeline: FacePipeline,
    effect: Layer,
    options: FileOptions,
    summary: JobSummary,
    on_message: Callable[[str], None],
) -> None:
    found = detect_faces(
        [job.source for job in jobs],
        pipeline,
        summary,
        min_confidence=options.min_confidence,
        threads=options.threads,
        on_message=on_message,
    )
    paint = partial(_paint, pipeline, effect)
    for job, outcome in map_behind(paint, zip(jobs, found, strict=True), _WAITING):
        if outcome is not None and outcome.error is not None:
            _fail(job, outcome.error, summary, on_message)
        elif outcome is not None:
            summary.files.append(job.target)


def _paint(
    pipeline: FacePipeline, effect: Layer, item: tuple[_Job, ImageFaces]
) -> tuple[_Job, Outcome | None]:
    """Paint and write an image in a background thread; None = it has no face, or failed before."""
    job, found = item
    if found.image is None or not found.faces:
        return job, None

    def write(image: ImageBGR) -> Path:
        return write_image(job.target, effect.paint(image, found.faces, pipeline.model))

    return job, attempt(write, found.image)


def _fail(job: _Job, reason: str, summary: JobSummary, on_message: Callable[[str], None]) -> None:
    summary.failed.append(job.source)
    on_message(reason if str(job.source) in reason else f"{job.source}: {reason}")


def _video(
    job: _Job,
    pipeline: FacePipeline,
    effect: Layer,
    options: FileOptions,
    summary: JobSummary,
    on_message: Callable[[str], None],
) -> None:
    from dataclasses import replace

    chosen = replace(options.video, layers=(), effects=(effect,), overwrite=options.overwrite)
    outcome = attempt(
        lambda source: annotate_video(
            str(source), job.target, pipeline, chosen, on_message=on_message
        ),
        job.source,
    )
    if outcome.error is not None:
        _fail(job, outcome.error, summary, on_message)
        return
    done: VideoSummary = outcome.value
    if done.truncated:
        summary.failed.append(job.source)
    summary.files += done.files
    summary.faces += done.faces
    summary.finished &= done.finished


def _jobs(inputs: Sequence[str], output: Path, options: FileOptions) -> list[_Job]:
    """Pair inputs and outputs; raise before processing if a file would be overwritten."""
    sources: list[Path] = []
    for text in inputs:
        is_video = text.lower().endswith(VIDEO_SUFFIXES) and Path(text).is_file()
        sources += [Path(text)] if is_video else find_images([text])
    sources = list({path.resolve(): path for path in sources}.values())
    if output.suffix.lower() in (*_WRITABLE, *VIDEO_SUFFIXES):
        if len(sources) > 1:
            raise ConfigError(f"the output of {len(sources)} inputs must be a folder, not {output}")
        targets = [output]
    else:
        pairs = zip(output_names(sources), sources, strict=True)
        targets = [output / f"{name}{_ending(path)}" for name, path in pairs]
    jobs = []
    for source, target in zip(sources, targets, strict=True):
        kind: Literal["image", "video"] = "video" if _is_video(source) else "image"
        _check(source, target, kind)
        jobs.append(_Job(source, target, kind))
    images = [job.target for job in jobs if job.kind == "image"]
    check_targets(images, sources, overwrite=options.overwrite)
    videos = [job.target for job in jobs if job.kind == "video"]
    check_targets(videos, sources, overwrite=options.overwrite, known=is_unfinished)
    return jobs


def _check(source: Path, target: Path, kind: str) -> None:
    if kind == "image" and target.suffix.lower() not in _WRITABLE:
        raise ConfigError(
            f"{source} is an image, so the output must be an image, not {target.name}"
        )
    if kind == "video" and target.suffix.lower() != ".mp4":
        raise ConfigError(f"{source} is a video, so the output must end in .mp4, not {target.name}")


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES and path.suffix.lower() not in SUFFIXES


def _ending(path: Path) -> str:
    if _is_video(path):
        return ".mp4"
    return path.suffix.lower() if path.suffix.lower() in _WRITABLE else ".png"
