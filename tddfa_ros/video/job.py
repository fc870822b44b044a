"""What is to be done with a video: options, and the checks before anything is computed."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tddfa_ros
from tddfa_ros.config import SmoothingConfig
from tddfa_ros.errors import ConfigError, SourceError, TddfaError
from tddfa_ros.outputs.layers import Layer
from tddfa_ros.pipeline import FacePipeline
from tddfa_ros.schema import to_dict
from tddfa_ros.sources import CameraSource, VideoSource, create_source
from tddfa_ros.video.parts import parts_folder

_ANY_SIZE = 1 << 16


@dataclass(frozen=True)
class VideoOptions:
    """How a video is processed.

    Attributes:
        layers: what is drawn, names in ``LAYERS``, the first one lowest.
        effects: what is done to the faces themselves, under the layers; each must have a name that says all about it.
        smoothing: of pose, identity and expression.
        json: where every picture's faces go, one line of JSON each; None = nowhere. The format is in docs/guide/videos.md.
        audio: keep the sound where the program ffmpeg is installed.
        part_pictures: pictures per part; a crash costs the last part.
        width, height: what a camera is asked for, px.
        overwrite: replace files that exist. restart: discard the parts of an earlier run.
    """

    layers: tuple[str, ...] = ("mesh", "landmarks", "pose")
    smoothing: SmoothingConfig = field(default_factory=SmoothingConfig)
    json: Path | None = None
    audio: bool = True
    part_pictures: int = 300
    width: int = 640
    height: int = 480
    overwrite: bool = False
    restart: bool = False
    effects: tuple[Layer, ...] = ()


def open_video(source: str, options: VideoOptions) -> CameraSource | VideoSource:
    """Open a video file in its full size, a camera or a stream.

    Raises:
        SourceError: it cannot be opened, or is none of them.
    """
    if source.isdigit() or source.startswith("/dev/") or "://" in source:
        return CameraSource(source, options.width, options.height)
    opened = create_source(source, _ANY_SIZE, _ANY_SIZE, loop=False) if source != "demo" else None
    if not isinstance(opened, VideoSource):
        raise SourceError(f"'{source}' is no video, camera or stream; 'tddfa image' takes pictures")
    return opened


def check_outputs(source: str, output: Path | None, options: VideoOptions) -> None:
    """Refuse what cannot be written or would overwrite a file; what an unfinished run has left is that run's own.

    Raises:
        ConfigError: a name cannot be, or a file exists. TddfaError: a folder cannot be made.
    """
    if output is not None and output.suffix.lower() != ".mp4":
        raise ConfigError(f"the output must end in .mp4, not be {output.name}")
    wanted = [path for path in (output, options.json) if path is not None]
    for path in wanted:
        if path.resolve() == Path(source).resolve():
            raise ConfigError(f"{path} is the video that is read; choose another name")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TddfaError(f"cannot write {path}: {error.strerror or error}") from error
    if not wanted or options.overwrite or parts_folder(wanted[0]).exists():
        return
    existing = next((path for path in wanted if path.exists()), None)
    if existing is not None:
        raise ConfigError(f"{existing} exists already; --overwrite replaces it")


def job_record(
    source: str, live: bool, output: Path | None, pipeline: FacePipeline, options: VideoOptions
) -> dict[str, Any]:
    """What decides about the content of the parts: where it differs, they belong to another job."""
    job: dict[str, Any] = {
        "version": tddfa_ros.__version__,
        "source": source,
        "video": output is not None,
        "layers": list(options.layers),
        "effects": [effect.name for effect in options.effects],
        "json": options.json is not None,
        "part_pictures": options.part_pictures,
        "pipeline": to_dict(pipeline.config),
        "smoothing": to_dict(options.smoothing),
        "topology_id": pipeline.model.topology_id,
    }
    if live:
        return {**job, "begun": time.time()}  # never the same twice
    path = Path(source).resolve()
    state = path.stat()
    return {**job, "source": str(path), "size": state.st_size, "modified": state.st_mtime_ns}
