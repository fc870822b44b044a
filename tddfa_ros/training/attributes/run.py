"""Attribute training from labeled faces to a measured ONNX file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tddfa_ros.errors import ConfigError
from tddfa_ros.files import write_atomically
from tddfa_ros.training import checkpoint
from tddfa_ros.training.attributes.crops import find_rois
from tddfa_ros.training.attributes.feature_maps import kept_maps, stem_maps
from tddfa_ros.training.attributes.fit import train
from tddfa_ros.training.attributes.labeled import LabeledFaces, stratified_parts
from tddfa_ros.training.attributes.network import AttributeConfig, AttributeNet, predict
from tddfa_ros.training.attributes.report import (
    Logits,
    export_attributes,
    find_temperatures,
    report,
)


def run(
    faces: LabeledFaces,
    config: AttributeConfig,
    folder: Path,
    output: Path,
    *,
    start: Path | None = None,
    on_message: Callable[[str], None] = lambda _: None,
) -> str:
    """Train, calibrate, measure and export.

    The same call resumes an interrupted run after its last complete epoch.

    Args:
        faces: of any number of collections.
        config: options.
        folder: of the run; gets ``network.pt`` and ``report.md``.
        output: ONNX file.
        start: checkpoint of a face network.
        on_message: receives progress and the number of excluded images.

    Returns:
        Markdown table of the test faces with labels of age and gender; empty without such faces.

    Raises:
        ConfigError: there are too few faces or labels, or ``folder`` belongs to another run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    if np.isnan(faces.roi).any():
        from tddfa_ros.pipeline import FacePipeline

        faces = find_rois(faces, FacePipeline(), on_message)
    split = stratified_parts(faces, config.seed)
    parts = {name: faces.take(np.flatnonzero(split == name)) for name in np.unique(split)}
    _check(parts, config)
    network = AttributeNet(config.width, config.fixed_layers)
    if start is not None:
        network.start_from(start)
    network.to(memory_format=torch.channels_last)
    maps = kept_maps(network, parts["train"], config.views, config, folder / "maps.npy")
    train(network, maps, parts["train"], config, folder / "checkpoint.pt")
    checkpoint.save(folder / "network.pt", network.state_dict())

    held_out = stem_maps(network, parts["validation"], 0, config, folder / "held_out.npy")
    temperatures = find_temperatures(predict(network, held_out), parts["validation"])
    on_message("temperatures: " + ", ".join(f"{k} {v:.2f}" for k, v in temperatures.items()))
    test = stem_maps(network, parts["test"], 0, config, folder / "held_out.npy")
    table = _table(predict(network, test), temperatures, parts["test"])
    write_atomically(folder / "report.md", f"{table}\n".encode())
    export_attributes(network, temperatures, config, output)
    for name in ("maps.npy", "maps.whole", "held_out.npy", "checkpoint.pt"):
        (folder / name).unlink()
    return table


def probabilities(
    logits: Logits, temperatures: dict[str, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return calibrated probabilities of age (n, 101) and feminine (n,), as the ONNX file does."""
    age = logits["age"].astype(np.float64) / temperatures["age"]
    age = np.exp(age - np.logaddexp.reduce(age, axis=1, keepdims=True))
    feminine = logits["feminine"].astype(np.float64) / temperatures["feminine"]
    return age, 1 / (1 + np.exp(-feminine))


def _table(logits: Logits, temperatures: dict[str, float], faces: LabeledFaces) -> str:
    known = np.flatnonzero(np.isfinite(faces.age) & np.isfinite(faces.feminine))
    if not len(known):
        return ""
    age, feminine = probabilities(logits, temperatures)
    return report(age[known], feminine[known], faces.take(known))


def _check(parts: dict[str, LabeledFaces], config: AttributeConfig) -> None:
    missing = {"train", "validation", "test"} - parts.keys()
    if missing or len(parts["train"]) < config.batch:
        raise ConfigError(
            f"too few faces: training takes at least {config.batch}, and some for validation and test"
        )
    for name in ("age", "feminine"):
        if not all(np.isfinite(getattr(part, name)).any() for part in parts.values()):
            raise ConfigError(f"no labels of {name}: the network learns both age and gender")
