"""Comparison of a quantized network with the original: size, outputs, speed, and accuracy on AFLW2000-3D."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.config import PipelineConfig, load_config
from tddfa_ros.errors import ConfigError, ImageError

if TYPE_CHECKING:
    from tddfa_ros.morphable.model import MorphableModel
    from tddfa_ros.regression.regressor import RegressionResult, Regressor

Crops = NDArray[np.uint8]

_BATCH = 16
_WARM_UP = 5


@dataclass(frozen=True)
class Agreement:
    """Difference of the outputs of two networks on the same faces.

    Attributes:
        faces: how many there were.
        landmarks_mean: mean distance of the mesh's 68 landmarks, px of the 120-px crop.
        landmarks_worst: that mean for the face where it is largest.
        confidence_mean: mean difference of confidences.
        confidence_same: share of the faces that both put on the same side of ``tracking.min_confidence``.
    """

    faces: int
    landmarks_mean: float
    landmarks_worst: float
    confidence_mean: float
    confidence_same: float


@dataclass(frozen=True)
class Speed:
    """Medians of processor time on one thread, one face at a time; other programs do not count.

    Attributes:
        before_ms, after_ms: of each network.
        ratio: how many times as fast the second is: median of the ratios of neighboring runs.
    """

    before_ms: float
    after_ms: float
    ratio: float


@dataclass(frozen=True)
class Comparison:
    """What is in the table; what was not measured is None."""

    before: Path
    after: Path
    speed: Speed
    agreement: Agreement | None = None
    nme: tuple[float | None, float | None] | None = None


def calibration_crops(folder: Path, config: PipelineConfig, limit: int = 200) -> Crops:
    """Detect faces in the images of a folder and crop them to the network input: (n, S, S, 3) uint8 BGR.

    Args:
        folder: of images; at most ``limit`` of them are used, evenly spread.
        config: of the pipeline that finds them.

    Raises:
        ConfigError: no face is found.
        SourceError: there are no images.
    """
    from tqdm import tqdm

    from tddfa_ros.geometry.roi import crop_batch
    from tddfa_ros.pipeline import FacePipeline
    from tddfa_ros.regression.regressor import RegressorMetadata
    from tddfa_ros.runtime.session import OnnxSession
    from tddfa_ros.sources.folder import image_files
    from tddfa_ros.sources.image_file import read_image

    files = image_files(folder)
    spread = np.unique(np.linspace(0, len(files) - 1, min(limit, len(files))).round().astype(int))
    pipeline = FacePipeline(config)
    network = pipeline.store.path(config.regression.model)
    metadata = OnnxSession(network, "cpu").metadata
    size = RegressorMetadata.parse(metadata, network.name).input_size
    crops = []
    for index in tqdm(spread, desc="faces", unit="image", disable=None):
        try:
            image = read_image(files[index])
        except ImageError as error:
            tqdm.write(f"{error}; it is left out", file=sys.stderr)
            continue
        faces = pipeline(image)
        rois = [f.roi for f in faces if f.confidence >= config.tracking.min_confidence]
        if rois:
            crops.append(crop_batch(image, np.stack(rois), size))
    if not crops:
        raise ConfigError(f"there is no face in the {len(spread)} images of {folder}")
    return np.concatenate(crops)


def as_tensor(crops: Crops) -> NDArray[np.float32]:
    """Crops (n, S, S, 3) as regression networks take them: (n, 3, S, S), ``(bgr - 127.5) / 128``."""
    return np.ascontiguousarray((crops.transpose(0, 3, 1, 2).astype(np.float32) - 127.5) / 128)


def agreement(before: Regressor, after: Regressor, crops: Crops, threshold: float) -> Agreement:
    """Compare the answers of two networks to the same crops (n, S, S, 3); ``threshold`` is of confidence."""
    pairs = [
        (before(crops[i : i + _BATCH]), after(crops[i : i + _BATCH]))
        for i in range(0, len(crops), _BATCH)
    ]
    distance = np.concatenate([_distances(*pair) for pair in pairs])
    first, second = (np.concatenate([pair[i].confidence for pair in pairs]) for i in (0, 1))
    return Agreement(
        len(crops),
        float(distance.mean()),
        float(distance.max()),
        float(np.abs(first - second).mean()),
        float(((first >= threshold) == (second >= threshold)).mean()),
    )


def _distances(before: RegressionResult, after: RegressionResult) -> NDArray[np.float64]:
    difference = before.landmarks[..., :2].astype(np.float64) - after.landmarks[..., :2]
    return np.asarray(np.linalg.norm(difference, axis=-1).mean(axis=-1))


def speed(before: Regressor, after: Regressor, rounds: int = 100) -> Speed:
    """Time two networks of one thread in turns, so that a clock that changes its rate changes both."""
    size = before.input_size
    crop = np.random.default_rng(0).integers(0, 255, (1, size, size, 3), np.uint8)
    times = []
    for turn in range(_WARM_UP + rounds):
        order = (before, after) if turn % 2 else (after, before)
        spent = {}
        for network in order:
            start = time.thread_time()
            network(crop)
            spent[network] = (time.thread_time() - start) * 1e3
        times.append((spent[before], spent[after]))
    table = np.array(times[_WARM_UP:])
    return Speed(
        float(np.median(table[:, 0])),
        float(np.median(table[:, 1])),
        float(np.median(table[:, 0] / table[:, 1])),
    )


def aflw2000(model: Path, morphable: str, data: Path, limit: int | None = None) -> float | None:
    """Measure NME68 in % of the mesh landmarks, mean of the three ranges of yaw; see `tddfa eval`."""
    from tddfa_ros.evaluation.pipeline import PipelinePredictor
    from tddfa_ros.evaluation.sets import Sets
    from tddfa_ros.evaluation.suites import run
    from tddfa_ros.pipeline import FacePipeline

    regression = {"model": str(model), "morphable_model": morphable, "device": "cpu"}
    predictor = PipelinePredictor(FacePipeline(load_config({"regression": regression})))
    (result,) = run(predictor, ["aflw2000"], Sets(data, limit))
    return result.figure("standard, mesh", "NME68 bins")


def compare(
    before: Path,
    after: Path,
    morphable: MorphableModel,
    crops: Crops | None,
    nme: tuple[float | None, float | None] | None = None,
) -> Comparison:
    """Compare two networks on the CPU; without crops (n, S, S, 3), in size and speed only."""
    from tddfa_ros.regression.regressor import Regressor

    networks = [Regressor(path, morphable, "cpu", 1) for path in (before, after)]
    threshold = PipelineConfig().tracking.min_confidence
    agreed = None if crops is None else agreement(networks[0], networks[1], crops, threshold)
    return Comparison(before, after, speed(networks[0], networks[1]), agreed, nme)


def as_table(found: Comparison) -> str:
    """Format the comparison as a Markdown table with a description of the columns."""
    rows: list[Sequence[str]] = [
        ("", found.before.name, found.after.name),
        ("size, MB", *(f"{p.stat().st_size / 1e6:.2f}" for p in (found.before, found.after))),
    ]
    if (agreed := found.agreement) is not None:
        rows += [
            ("landmarks differ by, px: mean", "", f"{agreed.landmarks_mean:.3f}"),
            ("landmarks differ by, px: worst face", "", f"{agreed.landmarks_worst:.3f}"),
            ("confidence differs by", "", f"{agreed.confidence_mean:.4f}"),
            ("same side of the confidence threshold", "", f"{agreed.confidence_same:.1%}"),
        ]
    timed = found.speed
    rows += [
        ("median processor time per face, ms", f"{timed.before_ms:.2f}", f"{timed.after_ms:.2f}"),
        ("times as fast", "1.00", f"{timed.ratio:.2f}"),
    ]
    if found.nme is not None:
        rows.append(("AFLW2000-3D NME68, %", *(_percent(value) for value in found.nme)))
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines.insert(1, "|---|---|---|")
    faces = f"{agreed.faces} face{'s' * (agreed.faces != 1)}; " if agreed is not None else ""
    return "\n".join(
        [*lines, "", f"{faces}px of the 120-px crop; one thread, one face at a time, in turns."]
    )


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
