"""Options of a video job, and the checks made before processing starts."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import tddfa_ros
from tddfa_ros.config import SmoothingConfig
from tddfa_ros.errors import ConfigError, SourceError
from tddfa_ros.outputs.layers import Layer, parse_layers
from tddfa_ros.pipeline import FacePipeline
from tddfa_ros.schema import Validated, option, to_dict
from tddfa_ros.smoothing.lookahead import LOOK_AHEAD
from tddfa_ros.sources import CameraSource, DemoVideo, ImageFileSource, VideoSource, create_source
from tddfa_ros.targets import check_targets
from tddfa_ros.types import MAX_IMAGE_PIXELS
from tddfa_ros.video.parts import parts_folder

_ANY_SIZE = 1 << 16


@dataclass(frozen=True)
class VideoOptions(Validated):
    """Options of :func:`tddfa_ros.video.annotate_video`.

    Attributes:
        layers: names of drawn layers, bottom to top; see :func:`tddfa_ros.outputs.layer_names`.
        smoothing: temporal filter of pose, identity and expression.
        json: file for the faces of every frame, one line of JSON each; None = not written. docs/guide/videos.md has the format.
        audio: copy the audio of the source.
        part_frames: frames per part; a crash costs at most one part.
        look_ahead: frames of a video file that smoothing looks ahead; 0 for none, as always for cameras.
        width: requested width of camera images, px.
        height: requested height of camera images, px.
        overwrite: replace existing files.
        restart: discard the parts of an interrupted run.
        effects: drawn below the layers, bottom to top; the name of an effect identifies it and all its settings.
    """

    layers: tuple[str, ...] = field(default_factory=lambda: ("mesh", "landmarks", "pose"))
    smoothing: SmoothingConfig = field(default_factory=SmoothingConfig)
    json: Path | None = field(default_factory=lambda: None)
    audio: bool = True
    part_frames: int = option(300, "frames per part", minimum=1)
    look_ahead: int = option(
        LOOK_AHEAD, "frames that smoothing looks ahead", minimum=0, maximum=100
    )
    width: int = option(640, "requested width of camera images, px", minimum=1, maximum=_ANY_SIZE)
    height: int = option(480, "requested height of camera images, px", minimum=1, maximum=_ANY_SIZE)
    overwrite: bool = False
    restart: bool = False
    effects: tuple[Layer, ...] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        super().__post_init__()
        parse_layers(self.layers)


VideoInput: TypeAlias = CameraSource | VideoSource | DemoVideo | ImageFileSource
"""Sources that can be annotated."""


def open_video(
    source: str, options: VideoOptions, max_pixels: int = MAX_IMAGE_PIXELS
) -> VideoInput:
    """Open a video file at full size, a camera, a stream, or ``demo``; an image is a video of one frame.

    Raises:
        SourceError: it cannot be opened, or is none of these.
    """
    if source.isdigit() or source.startswith("/dev/") or "://" in source:
        return CameraSource(source, options.width, options.height)
    if source == "demo":
        return DemoVideo(options.width, options.height)
    opened = create_source(source, _ANY_SIZE, _ANY_SIZE, loop=False, max_pixels=max_pixels)
    if isinstance(opened, VideoSource) or (
        isinstance(opened, ImageFileSource) and not Path(source).expanduser().is_dir()
    ):
        return opened
    opened.close()
    raise SourceError(f"'{source}' is a folder, not a video; use 'tddfa image' for its images")


def truncation_of(video: object) -> str | None:
    """Return one sentence if a video file is truncated; see :class:`tddfa_ros.sources.VideoSource`."""
    return video.truncation if isinstance(video, VideoSource) else None


def check_outputs(source: str, output: Path | None, options: VideoOptions) -> None:
    """Check that the outputs can be written and overwrite nothing; an interrupted run may replace its own files.

    Raises:
        ConfigError: a file name is invalid, or a file exists. TddfaError: a folder cannot be written to.
    """
    if output is not None and output.suffix.lower() != ".mp4":
        raise ConfigError(f"the output must end in .mp4, not be {output.name}")
    wanted = [path for path in (output, options.json) if path is not None]
    if wanted:
        resumed = parts_folder(wanted[0]).exists()
        check_targets(wanted, [source], overwrite=options.overwrite, known=lambda _: resumed)


def job_record(
    source: str, live: bool, output: Path | None, pipeline: FacePipeline, options: VideoOptions
) -> dict[str, Any]:
    """Return all that determines the content of parts; parts with another record belong to another job."""
    job: dict[str, Any] = {
        "version": tddfa_ros.__version__,
        "journal": 2,  # version of the journal's content
        "source": source,
        "video": output is not None,
        "layers": list(options.layers),
        "effects": [effect.name for effect in options.effects],
        "json": options.json is not None,
        "part_frames": options.part_frames,
        "pipeline": to_dict(pipeline.config),
        "smoothing": to_dict(options.smoothing),
        "look_ahead": options.look_ahead,
        "topology_id": pipeline.model.topology_id,
    }
    if live:
        return {**job, "started": time.time()}  # a live source cannot be resumed
    if source == "demo":
        return {**job, "width": options.width, "height": options.height}
    path = Path(source).resolve()
    state = path.stat()
    return {**job, "source": str(path), "size": state.st_size, "modified": state.st_mtime_ns}
