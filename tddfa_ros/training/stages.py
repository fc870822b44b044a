"""Run the stages of a recipe, each from the weights of the previous one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from tddfa_ros.errors import ConfigError
from tddfa_ros.files import atomic_path
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.cache import FaceCache, open_cache
from tddfa_ros.training.checkpoint import load_network
from tddfa_ros.training.config import Stage
from tddfa_ros.training.processes import Workers
from tddfa_ros.training.refine import refine, write_refined
from tddfa_ros.training.trainer import Trainer

_CHECKPOINT = "checkpoint.pt"
_DONE = "done"
_LIMIT = 6.5  # largest disagreement of label and network in refinement, % of the face size


def run_stages(
    stages: Sequence[Stage],
    cache: FaceCache,
    model: MorphableModel,
    folder: Path,
    *,
    validation: FaceCache | None = None,
    start: Path | None = None,
    workers: Workers | None = None,
    refinable: Path | None = None,
) -> None:
    """Train all stages that are not done.

    Each stage has a folder of its name; the last checkpoint is also ``folder/checkpoint.pt``. A single stage without a name trains in ``folder``.

    Args:
        stages: of the recipe.
        cache: training data.
        model: morphable model of the labels.
        folder: of the run.
        validation: as :class:`Trainer`.
        start: as :class:`Trainer`, for the first stage.
        workers: as :class:`Trainer`.
        refinable: folder of ``cache``, if stages may refine its labels.

    Raises:
        ConfigError: as :class:`Trainer`, or a stage refines labels that do not come from a cache.
    """
    own = workers or Workers(0, 1, torch.device("cpu"))
    if any(stage.refine for stage in stages) and refinable is None:
        raise ConfigError(
            "only labels of --cache can be refined: use --cache, or remove refine from the stages"
        )
    for stage in stages:
        place = folder / stage.name
        labels = place / "cache"
        if stage.refine and refinable is not None:
            with own.first_alone():
                if own.first and not (labels / "labels.npz").is_file():
                    assert start is not None
                    _refine(stage, cache, refinable, labels, model, start)
            cache, refinable = open_cache(labels, model), labels
        if not (place / _DONE).is_file():
            if own.first and stage.name:
                tqdm.write(f"stage {stage.name}: {stage.config.epochs} epochs")
            Trainer(
                stage.config,
                cache,
                model,
                place,
                validation=validation,
                start=start,
                workers=own,
            ).run()
            if own.first and stage.name:
                (place / _DONE).touch()
        start = place / _CHECKPOINT
    if own.first and stages[-1].name:
        (folder / _CHECKPOINT).unlink(missing_ok=True)
        try:
            os.link(folder / stages[-1].name / _CHECKPOINT, folder / _CHECKPOINT)
        except OSError:  # another file system
            with atomic_path(folder / _CHECKPOINT) as temporary:
                shutil.copyfile(folder / stages[-1].name / _CHECKPOINT, temporary)


def _refine(
    stage: Stage, cache: FaceCache, source: Path, target: Path, model: MorphableModel, start: Path
) -> None:
    network, config = load_network(start, model)
    refined = refine(
        cache,
        model,
        network,
        size=config.input_size,
        share=stage.refine,
        limit=_LIMIT,
        keep_expressions=True,
    )
    write_refined(source, target, cache, refined)
