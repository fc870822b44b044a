from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.tiny_training import tiny, write_cache

from tddfa_ros.errors import ConfigError
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.cache import FaceCache, open_cache
from tddfa_ros.training.loss_weights import LossWeights

torch = pytest.importorskip("torch", reason="the extra [training] (torch) is not installed")

from tddfa_ros.training import checkpoint as checkpoints  # noqa: E402
from tddfa_ros.training.loading import validation_rows, whitening  # noqa: E402
from tddfa_ros.training.losses.terms import PosedPoints  # noqa: E402
from tddfa_ros.training.trainer import Trainer  # noqa: E402
from tddfa_ros.training.validation import Validation  # noqa: E402


def log_of(trainer: Trainer) -> list[dict[str, str]]:
    with (trainer.folder / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def state_of(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in trainer.network.state_dict().items()}


# -- learning --------------------------------------------------------------------------------------------------------


def test_losses_decrease(whole_run: Trainer) -> None:
    log = log_of(whole_run)
    assert [line["epoch"] for line in log] == ["1", "2", "3"]
    for term in ("total", "lmk", "vertices", "direct", "confidence"):
        first, second, third = (float(line[term]) for line in log)
        assert third < second < first, term
    assert float(log[2]["total"]) < 0.9 * float(log[0]["total"])


def test_map_losses_decrease(run_of_all_heads: Trainer) -> None:
    first, second = log_of(run_of_all_heads)
    for term, most in (("seg", 0.8), ("uv", 0.95)):  # the UV head starts at the mean map
        assert float(second[term]) < most * float(first[term]), term


def test_ema_network_learns_landmarks_and_confidence(
    whole_run: Trainer, tiny_model: MorphableModel, tiny_cache: FaceCache, tmp_path: Path
) -> None:
    """On 64 faces and 48 negatives of another cache.

    Bounds: seeds 0 to 2 with p_weak 0.5 and 0.8 gave 71 to 87 % of the untrained NME, and an AUC of 0.70 to 0.92 with a standard error of
    0.05; an untrained network has 0.5.
    """
    write_cache(tmp_path / "fresh", tiny_model, 64, negatives=48, seed=11)
    fresh = open_cache(tmp_path / "fresh", tiny_model)
    untrained = Trainer(whole_run.config, tiny_cache, tiny_model, tmp_path / "run")
    validation = Validation(
        fresh,
        tiny_model,
        whole_run.config,
        *validation_rows(fresh, everything=True),
        PosedPoints(tiny_model),
        torch.device("cpu"),
    )
    before, after = validation(untrained.averaged()), validation(whole_run.averaged())
    assert before["auc_confidence"] == 0.5
    assert after["nme_validation"] < 0.93 * before["nme_validation"]
    assert after["nme_direct"] < 0.93 * before["nme_direct"]
    assert after["auc_confidence"] > 0.6


def test_validate_matches_the_log(whole_run: Trainer) -> None:
    logged = float(log_of(whole_run)[-1]["nme_validation"])
    assert whole_run.validate() == pytest.approx(logged, rel=1e-4)


def test_training_updates_all_heads_but_not_whitening(
    run_of_all_heads: Trainer, tiny_model: MorphableModel, tiny_cache: FaceCache, tmp_path: Path
) -> None:
    fresh = Trainer(run_of_all_heads.config, tiny_cache, tiny_model, tmp_path).network.state_dict()
    trained = run_of_all_heads.network.state_dict()
    assert fresh.keys() == trained.keys()
    for name in (
        *("param_head.weight", "landmark_head.weight", "backbone.layers.0.0.weight"),
        *(
            "confidence_head.layers.0.weight",
            "parsing_head.classify.weight",
            "uv_head.linear.weight",
        ),
    ):
        assert (trained[name] - fresh[name]).norm() > 0, name
    mean, std = whitening(tiny_cache.params[tiny_cache.face & ~tiny_cache.held_out])
    assert torch.equal(trained["mean"], mean) and torch.equal(trained["std"], std)


def test_whitening_has_a_floor() -> None:
    params = np.array([[1.0, 5.0], [3.0, 5.0]], np.float32)
    mean, std = whitening(params)
    torch.testing.assert_close(mean, torch.tensor([2.0, 5.0]))
    torch.testing.assert_close(std, torch.tensor([1.0, 0.02]))


def test_untrained_network_predicts_mean_face(
    tiny_model: MorphableModel, tiny_cache: FaceCache, tmp_path: Path
) -> None:
    network = Trainer(tiny(), tiny_cache, tiny_model, tmp_path).network.eval()
    with torch.no_grad():
        found = network(torch.zeros(1, 3, 120, 120))
    assert ((found.params[0] - network.mean) / network.std).abs().max() < 0.5
    low, high = found.landmarks[0].amin(dim=0), found.landmarks[0].amax(dim=0)
    assert (low > 5).all() and (high < 115).all() and (high - low > 50).all()
    assert found.parsing is None and found.uv_position is None


# -- repeatability ---------------------------------------------------------------------------------------------------


def test_result_depends_on_seed_but_not_on_workers(
    tiny_model: MorphableModel, tiny_cache: FaceCache, tmp_path: Path
) -> None:
    """The same seed gives equal weights, with and without data loading processes; another seed does not."""
    short = tiny(epochs=1, samples=16)
    runs = {}
    for name, config in {
        "one": short,
        "loaded": replace(short, workers=1),
        "other": replace(short, seed=1),
    }.items():
        runs[name] = Trainer(config, tiny_cache, tiny_model, tmp_path / name)
        runs[name].run()
    one, loaded, other = (state_of(run) for run in runs.values())
    assert all(torch.equal(value, loaded[name]) for name, value in one.items())
    assert not torch.equal(one["param_head.weight"], other["param_head.weight"])


# -- options ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"input_size": 96, "parsing": True, "uv_position": True},
        {"input_size": 160, "net_stride": 16, "parsing": True},
        {"amp": True, "parsing": True, "uv_position": True},
        {"confidence": False, "negatives": 0.0, "ema_half_life": 0.0, "warmup_epochs": 0.0},
    ],
    ids=lambda options: ",".join(options),
)
def test_options(
    tiny_model: MorphableModel, tiny_cache: FaceCache, tmp_path: Path, options: dict[str, object]
) -> None:
    trainer = Trainer(tiny(epochs=1, samples=16, **options), tiny_cache, tiny_model, tmp_path)
    before = state_of(trainer)
    trainer.run()
    (line,) = log_of(trainer)
    figures = {name: float(value) for name, value in line.items()}
    assert np.isfinite(list(figures.values())).all()
    assert 0 < figures["nme_validation"] < 100
    heads = {"confidence": "confidence", "parsing": "seg", "uv_position": "uv"}
    for head, term in heads.items():
        assert (term in figures) == getattr(trainer.config, head)
    assert ("auc_confidence" in figures) == trainer.config.confidence
    after = trainer.network.state_dict()
    assert all(value.isfinite().all() for value in after.values())
    assert not torch.equal(after["param_head.weight"], before["param_head.weight"])


def test_run_without_ema(tiny_model: MorphableModel, tiny_cache: FaceCache, tmp_path: Path) -> None:
    trainer = Trainer(
        tiny(epochs=1, samples=24, ema_half_life=0.0), tiny_cache, tiny_model, tmp_path
    )
    trainer.run()  # three steps: the EMA is updated every fourth
    averaged = trainer.averaged().state_dict()
    assert all(torch.equal(value, averaged[name]) for name, value in state_of(trainer).items())


def test_meta_joint_logs_selected_loss(
    tiny_model: MorphableModel, tiny_cache: FaceCache, tmp_path: Path
) -> None:
    config = tiny(
        epochs=1, samples=48, meta_joint=3, loss=LossWeights(vertices=0, fwpdc=1, vdc=0.01)
    )
    trainer = Trainer(config, tiny_cache, tiny_model, tmp_path)
    trainer.run()
    (line,) = log_of(trainer)
    shares = [float(line[f"chosen_{name}"]) for name in ("fwpdc", "vdc")]
    assert sum(shares) == pytest.approx(1)
    assert all(share in (0, 0.5, 1) for share in shares), "two look-aheads of three steps"
    for name, share in zip(("fwpdc", "vdc"), shares, strict=True):
        assert (name in line) == (share > 0)
    assert "vertices" not in line and "lmk" in line
    state = checkpoints.load(trainer.checkpoint)
    steps = {int(value["step"]) for value in state["optimizer"]["state"].values()}
    assert (state["average"]["step"], steps) == (6, {6}), (
        "steps of rejected candidates are discarded"
    )


# -- output ----------------------------------------------------------------------------------------------------------


def test_overlays(whole_run: Trainer) -> None:
    """All eight held-out faces, doubled, with green lines and red dots on them."""
    for epoch in (1, 3):
        image = cv2.imread(str(whole_run.folder / "overlays" / f"epoch_{epoch:03d}.png"))
        assert image.shape == (240, 8 * 240, 3)
        blue, green, red = np.moveaxis(image.astype(int), 2, 0)
        assert ((green - np.maximum(blue, red)) > 60).mean() > 0.005
        assert ((red - np.maximum(blue, green)) > 60).mean() > 0.005


def test_tensorboard_events(whole_run: Trainer) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    files = (whole_run.folder / "tensorboard").iterdir()  # one per start of the run
    assert max(file.stat().st_size for file in files) > 1000


def test_run_does_not_consume_global_random_state(
    tiny_model: MorphableModel, tiny_cache: FaceCache, tmp_path: Path
) -> None:
    """Neither data loading nor validation draws from the global generator, so a resumed run gets the same numbers."""
    trainer = Trainer(tiny(epochs=1, samples=16), tiny_cache, tiny_model, tmp_path)
    state = torch.get_rng_state()
    trainer.run()
    assert torch.equal(torch.get_rng_state(), state)


# -- data ------------------------------------------------------------------------------------------------------------


def test_validation_cache_replaces_held_out_faces(
    tiny_model: MorphableModel, tiny_cache: FaceCache, tmp_path: Path
) -> None:
    write_cache(tmp_path / "val", tiny_model, 5, negatives=4, seed=8)
    validation = open_cache(tmp_path / "val", tiny_model)
    # one step of all 96 faces, eight of which are held out otherwise
    config = tiny(epochs=1, samples=0, batch=96, learning_rate=1e-7, ema_half_life=0.0)
    with pytest.raises(ConfigError, match="88 faces to train on, fewer than one batch of 96"):
        Trainer(config, tiny_cache, tiny_model, tmp_path / "run")
    trainer = Trainer(config, tiny_cache, tiny_model, tmp_path / "run", validation=validation)
    everyone = replace(validation, held_out=np.ones(9, np.bool_))
    other = Trainer(tiny(), tiny_cache, tiny_model, tmp_path / "other", validation=everyone)
    other.network.load_state_dict(trainer.network.state_dict())
    trainer.run()
    assert len(log_of(trainer)) == 1
    assert trainer.validate() > 0
    image = cv2.imread(str(trainer.folder / "overlays/epoch_001.png"))
    drawn = [image[:, 240 * i : 240 * (i + 1)].any() for i in range(8)]
    assert drawn == [True] * 5 + [False] * 3, "all faces of the validation cache and no others"


def test_rejects_too_little_data(
    tiny_model: MorphableModel, tiny_cache: FaceCache, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="50 faces to train on, fewer than one batch of 64"):
        Trainer(tiny(samples=50, batch=64), tiny_cache, tiny_model, tmp_path)
    nobody = replace(tiny_cache, held_out=np.ones(len(tiny_cache), np.bool_))
    with pytest.raises(ConfigError, match="no face to train on"):
        Trainer(tiny(), nobody, tiny_model, tmp_path)


def test_cache_without_negatives_and_maps(tiny_model: MorphableModel, tmp_path: Path) -> None:
    write_cache(tmp_path / "cache", tiny_model, 24)
    cache = open_cache(tmp_path / "cache", tiny_model)
    trainer = Trainer(tiny(epochs=1, samples=8, parsing=True), cache, tiny_model, tmp_path / "run")
    trainer.run()
    (line,) = log_of(trainer)
    assert "seg" not in line and "auc_confidence" not in line
    assert np.isfinite(float(line["total"]))
