"""Checkpoints of older versions, with handmade states."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.disk import full_disk
from support.tiny_training import tiny

from tddfa_ros.errors import ConfigError, TddfaError
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.cache import FaceCache

torch = pytest.importorskip("torch", reason="the extra [training] (torch) is not installed")

from tddfa_ros.training import checkpoint as checkpoints  # noqa: E402
from tddfa_ros.training.initial_weights import start_from  # noqa: E402
from tddfa_ros.training.trainer import Trainer  # noqa: E402


def old_state(state: dict[str, Any], color: float) -> dict[str, Any]:
    """The same state with the keys of version 0.2."""
    augment = {**state["config"]["augment"], "colour": color}
    del augment["color"]
    old = {**state, "config": {**state["config"], "augment": augment}}
    old["optimiser"], old["clock"] = old.pop("optimizer"), old.pop("train_state")
    return old


def test_full_disk_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    """torch.save on a path reports a full disk as an internal error."""
    path = tmp_path / "a.pt"
    checkpoints.save(path, {"config": {}, "network": {}, "step": 1})
    with full_disk(5000), pytest.raises(TddfaError, match=r"^cannot write .*a\.pt: File too large"):
        checkpoints.save(path, {"config": {}, "network": {"w": torch.zeros(5000)}, "step": 2})
    assert checkpoints.load(path)["step"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["a.pt"]


def test_load_renames_old_keys(tmp_path: Path) -> None:
    path = tmp_path / "old.pt"
    config = {"width": 0.5, "augment": {"colour": 0.3, "blur": 0.1}}
    torch.save({"config": config, "network": {}, "optimiser": {"lr": 1}, "clock": {}}, path)
    state = checkpoints.load(path)
    assert state["config"] == {"width": 0.5, "augment": {"color": 0.3, "blur": 0.1}}
    assert state["optimizer"] == {"lr": 1} and state["train_state"] == {}
    assert not {"optimiser", "clock"} & set(state)


def test_old_checkpoint_resumes_exports_and_initializes(
    tiny_model: MorphableModel, tiny_cache: FaceCache, tmp_path: Path
) -> None:
    config = tiny(epochs=1, samples=16)
    config = replace(config, augment=replace(config.augment, color=0.25))
    run = Trainer(config, tiny_cache, tiny_model, tmp_path)
    run.run()
    state = checkpoints.load(run.checkpoint)
    torch.save(old_state(state, color=0.25), run.checkpoint)

    network, found = checkpoints.load_network(run.checkpoint, tiny_model)
    assert found.width == config.width
    for name, value in network.state_dict().items():
        assert torch.equal(value, run.averaged().state_dict()[name]), name
    other = Trainer(tiny(seed=4), tiny_cache, tiny_model, tmp_path / "other").network
    assert start_from(other, run.checkpoint) == []

    resumed = Trainer(replace(config, epochs=2), tiny_cache, tiny_model, tmp_path)
    resumed.run()
    assert checkpoints.load(run.checkpoint)["train_state"]["epoch"] == 2

    torch.save(old_state(state, color=0.75), run.checkpoint)
    with pytest.raises(ConfigError, match="augment"):
        Trainer(config, tiny_cache, tiny_model, tmp_path).run()


def test_missing_options_get_the_former_behavior() -> None:
    config = {"width": 0.25, "augment": {"blur": 0.0}}
    complete = checkpoints.complete_config(config)
    assert complete["width"] == 0.25 and complete["augment"]["blur"] == 0.0
    assert complete["landmark_sigma"] is False, "older networks have no such head"
    assert complete["augment"]["color"] == tiny().augment.__class__().color
    assert set(complete) == set(asdict(tiny()))
    assert np.isfinite(complete["loss"]["decay"]["lmk"])
