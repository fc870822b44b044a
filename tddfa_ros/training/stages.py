"""Run the stages of a recipe, each from the weights of the previous one."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from tddfa_ros.errors import ConfigError
from tddfa_ros.files import link_or_copy
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training import checkpoint as checkpoints
from tddfa_ros.training.cache import FaceCache, open_cache
from tddfa_ros.training.checkpoint import load_network
from tddfa_ros.training.config import Stage
from tddfa_ros.training.initial_weights import start_from
from tddfa_ros.training.networks import FaceNet
from tddfa_ros.training.processes import Workers
from tddfa_ros.training.refine import refine, write_refined
from tddfa_ros.training.trainer import Trainer

_CHECKPOINT = "checkpoint.pt"
_AVERAGED = "averaged.pt"
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

    Each stage has a folder of its name, with ``averaged.pt`` if it is averaged with earlier ones; the last checkpoint is also ``folder/checkpoint.pt``. A single stage without a name trains in ``folder``.

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
            with own.first_alone():
                if own.first and stage.average_with:
                    _average(stage, folder, model)
                if own.first and stage.name:
                    (place / _DONE).touch()
        start = _result(place)
    if own.first and stages[-1].name:
        link_or_copy(_result(folder / stages[-1].name), folder / _CHECKPOINT)


def average_networks(networks: Mapping[FaceNet, float]) -> dict[str, Tensor]:
    """Return the weighted mean of the weights of networks (Wortsman et al., 2022); counters are those of the first.

    Args:
        networks: of equal shape and whitening, with their weights.
    """
    mean: dict[str, Tensor] = {}
    states = [(network.state_dict(), weight) for network, weight in networks.items()]
    for name, first in states[0][0].items():
        if first.is_floating_point():
            mean[name] = sum((weight * state[name] for state, weight in states), 0 * first)
        else:
            mean[name] = first.clone()
    return mean


def _average(stage: Stage, folder: Path, model: MorphableModel) -> None:
    """Write the average of the trained network and those of earlier stages, in the whitening of the trained one."""
    place = folder / stage.name
    trained, _ = load_network(place / _CHECKPOINT, model)
    networks = {trained: 1 - sum(stage.average_with.values())}
    for name, weight in stage.average_with.items():
        earlier = copy.deepcopy(trained)
        missing = start_from(earlier, _result(folder / name))
        if missing:
            raise ConfigError(
                f"stage {stage.name} cannot be averaged with {name}, which has no {missing[0]}"
            )
        networks[earlier] = weight
    state = checkpoints.load(place / _CHECKPOINT)
    state = {name: state[name] for name in ("config", "topology_id")}
    weights = average_networks(networks)
    checkpoints.save(place / _AVERAGED, {**state, "network": weights, "average": None})


def _result(place: Path) -> Path:
    """Return the checkpoint with the result of a stage."""
    averaged = place / _AVERAGED
    return averaged if averaged.is_file() else place / _CHECKPOINT


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
