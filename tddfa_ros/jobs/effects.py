"""Pictures and videos in, the same with an effect on their faces out."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tqdm import tqdm

from tddfa_ros.errors import ConfigError, TddfaError
from tddfa_ros.face import Face
from tddfa_ros.jobs.faces import JobSummary, detect_faces
from tddfa_ros.makeup.artist import Makeup
from tddfa_ros.makeup.objects import TryOnObject
from tddfa_ros.makeup.preset import MakeupPreset
from tddfa_ros.makeup.tryon import Placement, TryOn
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.outputs.files import find_images, output_names
from tddfa_ros.outputs.image_io import write_image
from tddfa_ros.outputs.layers import Layer
from tddfa_ros.pipeline import FacePipeline
from tddfa_ros.sources.folder import SUFFIXES
from tddfa_ros.types import ImageBGR
from tddfa_ros.video import VideoOptions, annotate_video


def makeup_effect(model: MorphableModel, preset: MakeupPreset) -> Layer:
    """A makeup preset as a layer; different presets have different names. Raises as :class:`Makeup` does."""
    artist = Makeup(model, preset)
    digest = hashlib.sha256(repr(preset).encode())
    for sticker in preset.stickers:
        digest.update(sticker.image.read_bytes())

    def paint(image: ImageBGR, faces: Sequence[Face], _: MorphableModel) -> ImageBGR:
        return artist.apply(image, faces)

    return Layer(f"makeup-{digest.hexdigest()[:16]}", "make-up", paint)


def tryon_effect(model: MorphableModel, worn: TryOnObject, placement: Placement) -> Layer:
    """A worn object as a layer; what differs has names that differ. Raises as :class:`TryOn` does."""
    fitted = TryOn(model, worn, placement)
    digest = hashlib.sha256(repr(placement).encode())
    for part in worn.parts:
        for array in (part.vertices, part.triangles, part.colors, part.uv, part.texture):
            digest.update(b"-" if array is None else array.tobytes())

    def paint(image: ImageBGR, faces: Sequence[Face], _: MorphableModel) -> ImageBGR:
        return fitted.apply(image, faces)

    return Layer(f"tryon-{digest.hexdigest()[:16]}", "a worn object", paint)


VIDEO_SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".webm")
_WRITABLE = (".bmp", ".jpeg", ".jpg", ".png", ".webp")


@dataclass(frozen=True)
class FileOptions:
    """How files are processed.

    Attributes:
        min_confidence: faces of pictures below it are left alone, 0..1.
        overwrite: replace files that exist.
        video: of videos; ``layers`` and ``effects`` are set by :func:`paint_files`.
        threads: how many pictures are decoded at once, ahead of the network.
    """

    min_confidence: float = 0.4
    overwrite: bool = False
    video: VideoOptions = field(default_factory=VideoOptions)
    threads: int = 2


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
    """Paint the faces of pictures and videos.

    Args:
        inputs: pictures, folders, patterns, videos.
        output: a file when there is one input and it has a suffix, else a folder; videos become ``.mp4``.
        pipeline: finds the faces.
        effect: see :mod:`tddfa_ros.jobs.effects`.
        options: see there.
        on_message: called with one sentence for every input that cannot be used or shows no face.

    Raises:
        SourceError: an input is not there. ConfigError: an output exists, or is of the wrong kind. TddfaError: a file cannot be written.
    """
    options = options or FileOptions()
    jobs = _jobs(inputs, output, options)
    summary = JobSummary()
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
    for job, item in zip(jobs, found, strict=True):
        if item.image is not None and item.faces:
            painted = effect.paint(item.image, item.faces, pipeline.model)
            summary.files.append(write_image(job.target, painted))


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
    done = annotate_video(str(job.source), job.target, pipeline, chosen, on_message=on_message)
    summary.files += done.files
    summary.faces += done.faces
    summary.finished &= done.finished


def _jobs(inputs: Sequence[str], output: Path, options: FileOptions) -> list[_Job]:
    """What is made of what; refuses before anything is computed what would overwrite files."""
    sources: list[Path] = []
    for text in inputs:
        is_video = text.lower().endswith(VIDEO_SUFFIXES) and Path(text).is_file()
        sources += [Path(text)] if is_video else find_images([text])
    sources = list({path.resolve(): path for path in sources}.values())
    if output.suffix.lower() in (*_WRITABLE, *VIDEO_SUFFIXES):
        if len(sources) > 1:
            raise ConfigError(f"{len(sources)} inputs need a folder to go to, not {output}")
        targets = [output]
    else:
        pairs = zip(output_names(sources), sources, strict=True)
        targets = [output / f"{name}{_ending(path)}" for name, path in pairs]
    jobs = []
    for source, target in zip(sources, targets, strict=True):
        kind: Literal["image", "video"] = "video" if _is_video(source) else "image"
        _check(source, target, kind, options)
        jobs.append(_Job(source, target, kind))
    return jobs


def _check(source: Path, target: Path, kind: str, options: FileOptions) -> None:
    if kind == "image" and target.suffix.lower() not in _WRITABLE:
        raise ConfigError(
            f"{source} is a picture, so the output must be one too, not {target.name}"
        )
    if kind == "video" and target.suffix.lower() != ".mp4":
        raise ConfigError(f"{source} is a video, so the output must end in .mp4, not {target.name}")
    if target.resolve() == source.resolve():
        raise ConfigError(f"{target} is read; choose another name")
    if kind == "image" and target.exists() and not options.overwrite:
        raise ConfigError(f"{target} exists already; --overwrite replaces it")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TddfaError(f"cannot write {target}: {error.strerror or error}") from error


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES and path.suffix.lower() not in SUFFIXES


def _ending(path: Path) -> str:
    if _is_video(path):
        return ".mp4"
    return path.suffix.lower() if path.suffix.lower() in _WRITABLE else ".png"


def to_stderr(sentence: str) -> None:
    """Say a sentence beside a progress bar."""
    tqdm.write(sentence, file=sys.stderr)
