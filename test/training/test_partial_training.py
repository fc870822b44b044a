"""Frozen weights, initial weights from another run, networks from checkpoints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.tiny_training import tiny

from tddfa_ros.errors import ConfigError, ModelError
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.cache import FaceCache

torch = pytest.importorskip("torch", reason="the extra [training] (torch) is not installed")

from tddfa_ros.training.checkpoint import load_network  # noqa: E402
from tddfa_ros.training.dataset import UvTarget  # noqa: E402
from tddfa_ros.training.initial_weights import start_from  # noqa: E402
from tddfa_ros.training.networks import FaceNet, MobileNetV1, normalize  # noqa: E402
from tddfa_ros.training.trainer import Trainer  # noqa: E402


def states_after(trainer: Trainer) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """The network's state before and after the run."""
    before = {name: value.clone() for name, value in trainer.network.state_dict().items()}
    trainer.run()
    return before, trainer.network.state_dict()


def changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, value in before.items() if not torch.equal(value, after[name])}


def crops(cache: FaceCache, count: int = 6) -> torch.Tensor:
    images = np.asarray(cache.images[:count, 20:140, 20:140]).transpose(0, 3, 1, 2)
    return normalize(torch.from_numpy(np.ascontiguousarray(images)))


# -- partial training ------------------------------------------------------------------------------------------------


def test_frozen_backbone_keeps_weights_and_statistics(
    tiny_model: MorphableModel, tiny_cache: FaceCache, tmp_path: Path
) -> None:
    config = tiny(epochs=1, samples=40, freeze="backbone", parsing=True, uv_position=True)
    trainer = Trainer(config, tiny_cache, tiny_model, tmp_path)
    before, after = states_after(trainer)
    assert any("running_mean" in name for name in before if name.startswith("backbone."))
    moved = changed(before, after)
    assert not [name for name in moved if name.startswith("backbone.")]
    heads = ("param_head.", "landmark_head.", "confidence_head.", "parsing_head.", "uv_head.")
    learned = {name for name, _ in trainer.network.named_parameters() if name.startswith(heads)}
    assert learned <= moved
    assert any("running_mean" in name for name in moved), (
        "the parsing head has trainable batch normalization"
    )
    averaged = trainer.averaged().state_dict()
    assert not [n for n in changed(before, averaged) if n.startswith("backbone.")]


def test_freeze_layers_and_statistics(
    tiny_model: MorphableModel, tiny_cache: FaceCache, tmp_path: Path
) -> None:
    config = tiny(epochs=1, samples=40, freeze_layers=5, freeze_batch_norm=True)
    trainer = Trainer(config, tiny_cache, tiny_model, tmp_path)
    moved = changed(*states_after(trainer))
    assert not [
        name for name in moved if name.startswith(("backbone.layers.0.", "backbone.layers.4."))
    ]
    assert not [name for name in moved if "running_" in name or "num_batches" in name]
    assert {"backbone.layers.5.0.weight", "backbone.layers.5.1.weight"} <= moved


@pytest.mark.parametrize("part", ["pose", "identity", "expression"])
def test_train_only_changes_selected_rows(
    tiny_model: MorphableModel,
    tiny_cache: FaceCache,
    whole_run: Trainer,
    tmp_path: Path,
    part: str,
) -> None:
    rows = {
        "pose": slice(0, 12),
        "identity": tiny_model.layout.shape_slice,
        "expression": tiny_model.layout.expression_slice,
    }[part]
    config = replace(whole_run.config, epochs=1, samples=40, train_only=part, weight_decay=0.1)
    trainer = Trainer(config, tiny_cache, tiny_model, tmp_path, start=whole_run.checkpoint)
    before, after = states_after(trainer)
    assert changed(before, after) == {"param_head.weight", "param_head.bias"}
    averaged = trainer.averaged().state_dict()
    for name in ("param_head.weight", "param_head.bias"):
        for state in (after, averaged):
            same = [torch.equal(a, b) for a, b in zip(state[name], before[name], strict=True)]
            assert not any(same[rows])
            del same[rows]
            assert all(same)


def test_train_only_maps_keeps_everything_else(
    tiny_model: MorphableModel, tiny_cache: FaceCache, tmp_path: Path
) -> None:
    config = tiny(epochs=1, samples=40, parsing=True, uv_position=True, train_only="maps")
    trainer = Trainer(config, tiny_cache, tiny_model, tmp_path)
    before, after = states_after(trainer)
    moved = changed(before, after)
    assert {name.split(".")[0] for name in moved} == {"parsing_head", "uv_head"}
    learned = {n for n, _ in trainer.network.named_parameters() if n.startswith(("pars", "uv"))}
    assert learned <= moved


def test_uv_head_starts_at_principal_components(
    tiny_model: MorphableModel, tiny_cache: FaceCache, tmp_path: Path
) -> None:
    config = tiny(uv_position=True)
    trainer = Trainer(config, tiny_cache, tiny_model, tmp_path)
    head, target = trainer.network.uv_head, UvTarget(tiny_model)
    wanted = target(torch.from_numpy(tiny_cache.params[:40]))
    with torch.no_grad():
        flat = ((wanted - head.middle) / 60).flatten(1) - head.basis.bias
        basis = torch.linalg.qr(head.basis.weight[:, :32])[0]
        left = flat - flat @ basis @ basis.T
    assert 60 * left.abs().max() < 1.0, "px: a few components describe all maps"
    assert 60 * flat.abs().max() > 10


# -- warm start ------------------------------------------------------------------------------------------------------


def test_start_from_converts_whitening(
    tiny_model: MorphableModel, tiny_cache: FaceCache, whole_run: Trainer, tmp_path: Path
) -> None:
    params = tiny_cache.params.copy()
    params[:, :12] *= 1.5
    params[:, 12:] += 0.3
    other = replace(tiny_cache, params=params)
    config = replace(whole_run.config, seed=3)
    trainer = Trainer(config, other, tiny_model, tmp_path, start=whole_run.checkpoint)
    network = trainer.network.eval()
    assert not torch.allclose(network.std, whole_run.network.std, rtol=0.1)
    with torch.no_grad():
        found, wanted = network(crops(tiny_cache)), whole_run.averaged()(crops(tiny_cache))
    for mine, theirs in zip(found[:3], wanted[:3], strict=True):
        torch.testing.assert_close(mine, theirs, atol=2e-3, rtol=1e-4)


def test_start_from_reports_new_weights(whole_run: Trainer) -> None:
    mean = whole_run.network.mean.clone()
    torch.manual_seed(5)
    wider = FaceNet(MobileNetV1(0.1875), mean, torch.ones_like(mean), ("confidence",))
    fresh = {name: value.clone() for name, value in wider.state_dict().items()}
    left = start_from(wider, whole_run.checkpoint)
    assert "backbone.layers.0.0.weight" in left and "param_head.weight" in left
    assert "param_head.bias" not in left
    assert changed(fresh, wider.state_dict()).isdisjoint(left)


def test_resumed_run_ignores_initial_weights(
    tiny_model: MorphableModel,
    tiny_cache: FaceCache,
    whole_run: Trainer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = replace(whole_run.config, epochs=1, samples=8)
    for line in ("initialized from", ""):
        trainer = Trainer(config, tiny_cache, tiny_model, tmp_path, start=whole_run.checkpoint)
        out = capsys.readouterr().out
        assert line in out and bool(line) == ("initialized from" in out)
        trainer.run()


# -- networks from checkpoints --------------------------------------------------------------------------------------


def test_load_network_returns_ema_weights(
    tiny_model: MorphableModel, tiny_cache: FaceCache, run_of_all_heads: Trainer
) -> None:
    run = run_of_all_heads
    network, config = load_network(run.checkpoint, tiny_model)
    assert not network.training
    assert (config.width, config.heads) == (
        0.125,
        ("confidence", "landmark_sigma", "parsing", "uv_position"),
    )
    with torch.no_grad():
        found, wanted = network(crops(tiny_cache)), run.averaged()(crops(tiny_cache))
    for mine, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-3, rtol=1e-4)
    assert changed(run.network.state_dict(), network.state_dict()), "not the last weights"


def test_rejects_checkpoint_of_another_model(
    tiny_model: MorphableModel, whole_run: Trainer, tmp_path: Path
) -> None:
    from support.synthetic_model import synthetic_model

    with pytest.raises(ModelError, match="predicts 22 parameters, synthetic has 23"):
        load_network(whole_run.checkpoint, synthetic_model(shape=4, expressions=7))
    other = synthetic_model(shape=4, expressions=6, seed=1)
    with pytest.raises(ModelError, match=f"for the model {tiny_model.topology_id}"):
        load_network(whole_run.checkpoint, other)
    path = tmp_path / "none.pt"
    path.write_bytes(b"no checkpoint")
    with pytest.raises(ConfigError, match=r"none\.pt is not a readable checkpoint"):
        load_network(path, tiny_model)
    with pytest.raises(ConfigError, match=r"none\.pt is not a readable checkpoint"):
        start_from(whole_run.averaged(), path)
