"""Many pictures through the pipeline, with the wanted files for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

import tddfa_ros
from tddfa_ros.attributes.estimate import attributes_record
from tddfa_ros.errors import ConfigError, ImageError, TddfaError
from tddfa_ros.face import Face
from tddfa_ros.outputs.files import output_names
from tddfa_ros.outputs.reading import read_ahead
from tddfa_ros.outputs.records import (
    IMAGES_FORMAT,
    RecordFile,
    face_record,
    intrinsics_record,
    model_record,
)
from tddfa_ros.outputs.registry import Output, Scene, parse_outputs
from tddfa_ros.pipeline import FacePipeline
from tddfa_ros.types import ImageBGR, Intrinsics

JSON = "json"
"""The output that is one file for all pictures."""

JSON_NAME = "faces.json"

ATTRIBUTES = "attributes"
"""The output that also adds to the records of faces."""


@dataclass(frozen=True)
class ImageOptions:
    """How pictures are processed.

    Attributes:
        outputs: names in ``OUTPUTS``, and "json".
        min_confidence: faces below it are left out, 0..1.
        overwrite: replace files that exist.
        threads: how many pictures are decoded at once, ahead of the network.
        texture_size, uv_size: sides of textures and of UV position maps, px.
    """

    outputs: tuple[str, ...] = ("mesh", JSON)
    min_confidence: float = 0.4
    overwrite: bool = False
    threads: int = 2
    texture_size: int = 512
    uv_size: int = 256


@dataclass
class BatchSummary:
    """What came of a batch: counts, and the pictures that could not be used or show no face."""

    pictures: int = 0
    faces: int = 0
    files: int = 0
    unreadable: list[Path] = field(default_factory=list)
    without_face: list[Path] = field(default_factory=list)


def process_images(
    pictures: Sequence[Path],
    folder: Path,
    pipeline: FacePipeline,
    options: ImageOptions | None = None,
    *,
    progress: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> BatchSummary:
    """Find the faces of pictures and write what is wanted of them into a folder.

    Pictures that cannot be read, and those that show no face, are reported and passed over. ``faces.json`` (output "json") lists every
    picture; the format is described in docs/guide/images.md.

    Args:
        pictures: files; see :func:`tddfa_ros.outputs.find_pictures`.
        folder: made when it is missing.
        pipeline: finds the faces.
        options: what to write and how.
        progress: show a progress bar.
        say: told one sentence about every picture that comes to nothing.

    Raises:
        ConfigError: an output is unknown, or a file exists that would be written and ``overwrite`` is not set.
        TddfaError: a file cannot be written.
    """
    options = options or ImageOptions()
    outputs = parse_outputs([name for name in options.outputs if name != JSON])
    stems = [folder / name for name in output_names(pictures)]
    _check_folder(folder, pictures, stems, outputs, options)
    job = _Job(pipeline, options, outputs, say)
    header = {
        "format": IMAGES_FORMAT,
        "version": tddfa_ros.__version__,
        "model": model_record(pipeline.model, pipeline.config.regression.model),
    }
    bar = tqdm(
        zip(stems, read_ahead(pictures, options.threads), strict=True),
        total=len(pictures),
        unit="picture",
        disable=not progress,
    )
    if JSON not in options.outputs:
        for stem, (path, image) in bar:
            job.process(stem, path, image)
        return job.summary
    with RecordFile(folder / JSON_NAME, header, "images") as records:
        for stem, (path, image) in bar:
            records.write(job.process(stem, path, image))
    job.summary.files += 1
    return job.summary


class _Job:
    """The summary so far, and what every picture goes through."""

    def __init__(
        self,
        pipeline: FacePipeline,
        options: ImageOptions,
        outputs: Sequence[Output],
        say: Callable[[str], None],
    ) -> None:
        self.summary = BatchSummary()
        self._pipeline = pipeline
        self._options = options
        self._outputs = outputs
        self._say = say

    def process(self, stem: Path, path: Path, image: ImageBGR | ImageError) -> dict[str, Any]:
        """Write the files of one picture; its record for ``faces.json``."""
        if isinstance(image, ImageError):
            return self._unusable(path, image)
        try:
            faces = self._find(image)
        except ImageError as error:
            return self._unusable(path, error)
        self.summary.pictures += 1
        self.summary.faces += len(faces)
        if not faces:
            self.summary.without_face.append(path)
            self._say(f"{path}: no face was found")
        scene = Scene(
            image,
            faces,
            self._pipeline.model,
            self._options.texture_size,
            self._options.uv_size,
            self._pipeline.config.regression.device,
        )
        files = self._write(stem, scene) if faces else {}
        height, width = image.shape[:2]
        fov = self._pipeline.config.camera.assumed_fov_deg
        camera = Intrinsics.from_fov(width, height, fov)
        return {
            "file": str(path),
            "error": None,
            "width": width,
            "height": height,
            "camera": intrinsics_record(camera),
            "files": files,
            "faces": self._records(scene) if JSON in self._options.outputs else [],
        }

    def _unusable(self, path: Path, error: ImageError) -> dict[str, Any]:
        self.summary.unreadable.append(path)
        self._say(str(error))
        return {"file": str(path), "error": str(error), "faces": []}

    def _find(self, image: ImageBGR) -> list[Face]:
        least = self._options.min_confidence
        return [face for face in self._pipeline(image) if face.confidence >= least]

    def _records(self, scene: Scene) -> list[dict[str, Any]]:
        """The faces as plain numbers; with their estimated attributes where that output is wanted."""
        records = [face_record(face) for face in scene.faces]
        if ATTRIBUTES in self._options.outputs:
            for record, attributes in zip(records, scene.attributes, strict=True):
                record[ATTRIBUTES] = attributes_record(attributes)
        return records

    def _write(self, stem: Path, scene: Scene) -> dict[str, list[str]]:
        files = {output.name: output.write(stem, scene) for output in self._outputs}
        self.summary.files += sum(map(len, files.values()))
        return {name: [path.name for path in written] for name, written in files.items()}


def _check_folder(
    folder: Path,
    pictures: Sequence[Path],
    stems: Sequence[Path],
    outputs: Sequence[Output],
    options: ImageOptions,
) -> None:
    """Make the folder, and refuse before anything is computed what would overwrite files."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TddfaError(f"cannot write to {folder}: {error.strerror or error}") from error
    place = folder.resolve()
    if any(picture.resolve().parent == place for picture in pictures):
        raise ConfigError(
            f"{folder} holds pictures that are read; choose another folder to write to"
        )
    if options.overwrite:
        return
    wanted = [Path(f"{stem}{ending}") for stem in stems for o in outputs for ending in o.endings]
    if JSON in options.outputs:
        wanted.append(folder / JSON_NAME)
    existing = next((path for path in wanted if path.exists()), None)
    if existing is not None:
        raise ConfigError(f"{existing} exists already; --overwrite replaces it")
