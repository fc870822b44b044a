"""What the workers of a run over images do: read, detect, regress, and pack or write the faces."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tddfa_ros.config import PipelineConfig
from tddfa_ros.errors import ImageError
from tddfa_ros.jobs.groups import Found, find_faces, grouped
from tddfa_ros.jobs.inputs import UnreadableInput
from tddfa_ros.jobs.ordered import Outcome, attempt
from tddfa_ros.jobs.results import ImageFaces, ImageLine, failed_image, image_of, json_line
from tddfa_ros.types import ImageBGR

if TYPE_CHECKING:
    from tddfa_ros.model_store.store import ModelStore
    from tddfa_ros.morphable.model import MorphableModel
    from tddfa_ros.sources.bag import BagImage


def open_pipeline(
    config: PipelineConfig,
    store: ModelStore,
    finish: Callable[[Any, Found, tuple[str, ...]], Any],
) -> Callable[[Sequence[Path | BagImage | UnreadableInput]], list[Outcome]]:
    """Create the pipeline of a worker and return the function that processes a chunk of images."""
    import cv2

    from tddfa_ros.outputs.image_io import read_ahead
    from tddfa_ros.pipeline import FacePipeline

    cv2.setNumThreads(config.regression.threads or 1)
    pipeline = FacePipeline(config, store)
    _ = pipeline.detector
    limit = config.input.max_image_pixels

    def images(
        chunk: Sequence[Path | BagImage | UnreadableInput],
    ) -> Iterator[tuple[Any, ImageBGR | ImageError]]:
        if isinstance(chunk[0], Path):
            yield from read_ahead([item for item in chunk if isinstance(item, Path)], 1, limit)
            return
        for item in chunk:
            read = attempt(lambda item: item.image(limit), item)
            yield item, read.value if read.error is None else ImageError(read.error)

    def process(chunk: Sequence[Path | BagImage | UnreadableInput]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for group in grouped(images(chunk)):
            for found in find_faces(group, pipeline):
                if found.error is not None:
                    outcomes.append(Outcome(None, error=found.error))
                    continue
                warnings = pipeline.device_warnings
                finished = attempt(lambda item: finish(item, found.value, warnings), found.item)  # noqa: B023
                outcomes.append(replace(finished, item=None))
        return outcomes

    return process


@dataclass(frozen=True, eq=False)
class Packed:
    """Result of a worker: the attributes of each `Face` except the morphable model, which all faces share."""

    faces: Sequence[tuple[Any, ...]]
    device_warnings: tuple[str, ...]
    note: str | None = None


def packed(item: object, found: Found, warnings: tuple[str, ...]) -> Packed:
    """Finish an image in a worker: keep what :func:`with_model` needs."""
    rows = [(f.box, f.confidence, f.params, f.roi, f.intrinsics, f.scale) for f in found.faces]
    return Packed(rows, warnings, found.note)


def with_model(outcome: Outcome, model: MorphableModel) -> ImageFaces:
    """Return the result of an item that a worker finished with :func:`packed`."""
    from tddfa_ros.face import Face
    from tddfa_ros.face import grouped as evaluated_together

    if outcome.value is None:
        return failed_image(outcome)
    result: Packed = outcome.value
    faces = evaluated_together(
        Face(box, confidence, params, roi, model, intrinsics, scale=scale)
        for box, confidence, params, roi, intrinsics, scale in result.faces
    )
    note = None if result.note is None else f"{outcome.item}: {result.note}"
    image = image_of(outcome.item)
    return replace(image, faces=tuple(faces), device_warnings=result.device_warnings, note=note)


def as_line(item: object, found: Found, warnings: tuple[str, ...]) -> ImageLine:
    """Finish an image in a worker: write its record."""
    image = replace(image_of(item), faces=tuple(found.faces))
    note = None if found.note is None else f"{item}: {found.note}"
    return ImageLine(json_line(image), len(found.faces), None, warnings, note)
