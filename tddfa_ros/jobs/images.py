"""Process many images and write the chosen output files for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tddfa_ros.attributes.track import smoothed_record
from tddfa_ros.background import map_behind
from tddfa_ros.errors import ConfigError
from tddfa_ros.jobs.faces import detect_faces
from tddfa_ros.jobs.ordered import attempt
from tddfa_ros.jobs.results import ImageFaces, JobSummary
from tddfa_ros.outputs.files import output_names
from tddfa_ros.outputs.records import (
    IMAGES_FORMAT,
    RecordFile,
    face_record,
    intrinsics_record,
    model_record,
)
from tddfa_ros.outputs.registry import Output, Scene, parse_outputs
from tddfa_ros.pipeline import FacePipeline
from tddfa_ros.regression.maps import MapPredictor
from tddfa_ros.sources.folder import SUFFIXES
from tddfa_ros.targets import check_folder, check_targets
from tddfa_ros.types import ImageBGR, Intrinsics
from tddfa_ros.version import __version__

JSON = "json"
"""The output that is one file for all images."""

JSON_NAME = "faces.json"

_WAITING = 4  # images with their faces that wait for their files to be written

ATTRIBUTES = "attributes"
"""The output that also adds to the records of faces."""


@dataclass(frozen=True)
class ImageOptions:
    """How images are processed.

    Attributes:
        outputs: names in ``OUTPUTS``, and "json".
        min_confidence: faces below it are left out, 0..1.
        overwrite: replace files that exist.
        threads: how many images are decoded at once, ahead of the network.
        texture_size, uv_size: sides of textures and of UV position maps, px.
    """

    outputs: tuple[str, ...] = ("mesh", JSON)
    min_confidence: float = 0.4
    overwrite: bool = False
    threads: int = 2
    texture_size: int = 512
    uv_size: int = 256


def process_images(
    paths: Sequence[Path],
    folder: Path,
    pipeline: FacePipeline,
    options: ImageOptions | None = None,
    *,
    progress: bool = True,
    on_message: Callable[[str], None] = lambda _: None,
) -> JobSummary:
    """Detect the faces of images and write the chosen outputs into a folder.

    Images that cannot be read, and those that show no face, are reported and skipped. ``faces.json`` (output "json") lists every image;
    docs/guide/images.md describes the format.

    Args:
        paths: image files; see :func:`tddfa_ros.outputs.find_images`.
        folder: made when it is missing.
        pipeline: finds the faces.
        options: what to write and how.
        progress: show a progress bar.
        on_message: called with one sentence for every image that cannot be used or shows no face.

    Raises:
        ConfigError: an output is unknown, or a file exists that would be written and ``overwrite`` is not set.
        TddfaError: the folder or ``faces.json`` cannot be written.
    """
    options = options or ImageOptions()
    outputs = parse_outputs([name for name in options.outputs if name != JSON])
    stems = [folder / name for name in output_names(paths)]
    _check_folder(folder, paths, stems, outputs, options)
    maps = map_predictor(pipeline, outputs)
    _ = pipeline.detector  # before anything is written
    job = _Job(pipeline, options, outputs, on_message, maps)
    header = {
        "format": IMAGES_FORMAT,
        "version": __version__,
        "model": model_record(pipeline.model, pipeline.config.regression.model),
    }
    found = detect_faces(
        paths,
        pipeline,
        job.summary,
        min_confidence=options.min_confidence,
        threads=options.threads,
        progress=progress,
        on_message=on_message,
    )
    written = map_behind(job.process, zip(stems, found, strict=True), _WAITING)
    if JSON not in options.outputs:
        for result in written:
            job.count(result)
        return job.summary
    with RecordFile(folder / JSON_NAME, header, "images") as records:
        for result in written:
            job.count(result)
            records.write(result.record)
    job.summary.files.append(folder / JSON_NAME)
    return job.summary


def map_predictor(pipeline: FacePipeline, outputs: Sequence[Output]) -> MapPredictor | None:
    """Load the map heads of the regression network if an output needs them.

    Raises:
        ModelError: the network does not have such a head.
    """
    heads = [output.head for output in outputs if output.head]
    if not heads:
        return None
    predictor = MapPredictor.from_config(pipeline.config.regression, pipeline.store, pipeline.model)
    predictor.require(*heads)
    return predictor


class _Written(NamedTuple):
    """What was written for one image: its record for ``faces.json``, its files, and why it failed."""

    found: ImageFaces
    record: dict[str, Any]
    files: Sequence[Path] = ()
    error: str | None = None


class _Job:
    """Writes the files of each image, and keeps the summary."""

    def __init__(
        self,
        pipeline: FacePipeline,
        options: ImageOptions,
        outputs: Sequence[Output],
        on_message: Callable[[str], None],
        maps: MapPredictor | None = None,
    ) -> None:
        self._maps = maps
        self.summary = JobSummary()
        self._pipeline = pipeline
        self._options = options
        self._outputs = outputs
        self._on_message = on_message

    def process(self, item: tuple[Path, ImageFaces]) -> _Written:
        """Write the files of one image, in a background thread.

        An image whose files cannot be written is reported and does not stop the run.
        """
        stem, found = item
        if found.image is None:
            return _Written(found, {"file": str(found.path), "error": found.error, "faces": []})
        outcome = attempt(lambda image: self._process(stem, found, image), found.image)
        if outcome.error is None:
            record, files = outcome.value
            return _Written(found, record, files)
        error = f"{found.path}: {outcome.error}"
        return _Written(found, {"file": str(found.path), "error": error, "faces": []}, error=error)

    def count(self, written: _Written) -> None:
        """Add an image to the summary."""
        self.summary.files += written.files
        if written.error is not None:
            self.summary.failed.append(written.found.path)
            self._on_message(written.error)

    def _process(
        self, stem: Path, found: ImageFaces, image: ImageBGR
    ) -> tuple[dict[str, Any], list[Path]]:
        scene = Scene(
            image,
            found.faces,
            self._pipeline.model,
            self._options.texture_size,
            self._options.uv_size,
            self._pipeline.config.regression.device,
            self._maps,
        )
        files = self._write(stem, scene) if found.faces else {}
        height, width = image.shape[:2]
        fov = self._pipeline.config.camera.assumed_fov_deg
        camera = Intrinsics.from_fov(width, height, fov)
        record = {
            "file": str(found.path),
            "error": None,
            "width": width,
            "height": height,
            "camera": intrinsics_record(camera),
            "files": {name: [path.name for path in paths] for name, paths in files.items()},
            "faces": self._records(scene) if JSON in self._options.outputs else [],
        }
        return record, [path for paths in files.values() for path in paths]

    def _records(self, scene: Scene) -> list[dict[str, Any]]:
        """Return the faces as plain numbers, with estimated attributes if that output is selected."""
        records = [face_record(face) for face in scene.faces]
        if ATTRIBUTES in self._options.outputs:
            for record, attributes in zip(records, scene.attributes, strict=True):
                record[ATTRIBUTES] = smoothed_record(attributes)
        return records

    def _write(self, stem: Path, scene: Scene) -> dict[str, list[Path]]:
        return {output.name: output.write(stem, scene) for output in self._outputs}


def _check_folder(
    folder: Path,
    paths: Sequence[Path],
    stems: Sequence[Path],
    outputs: Sequence[Output],
    options: ImageOptions,
) -> None:
    """Refuse before anything is computed what would overwrite files."""
    check_folder(folder, ())
    if folder.suffix.lower() in SUFFIXES and not folder.is_dir():
        raise ConfigError(
            f"{folder} has the name of an image, but the results go to a folder: choose another name"
        )
    place = folder.resolve()
    if any(path.resolve().parent == place for path in paths):
        raise ConfigError(f"{folder} holds images that are read; choose another folder to write to")
    wanted = [Path(f"{stem}{ending}") for stem in stems for o in outputs for ending in o.endings]
    if JSON in options.outputs:
        wanted.append(folder / JSON_NAME)
    check_targets(wanted, paths, overwrite=options.overwrite)
