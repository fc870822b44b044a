from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.synthetic_model import synthetic_model
from support.tiny_training import tiny, write_cache

torch = pytest.importorskip("torch", reason="the extra [training] (torch) is not installed")

from tddfa_ros.errors import ConfigError  # noqa: E402
from tddfa_ros.training import checkpoint as checkpoints  # noqa: E402
from tddfa_ros.training import stages as stages_module  # noqa: E402
from tddfa_ros.training.cache import open_cache  # noqa: E402
from tddfa_ros.training.config import Stage, load_stages  # noqa: E402
from tddfa_ros.training.stages import run_stages  # noqa: E402


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "epochs: 3\naugment: {blur: 0.5}\nstages:\n  - {name: first, batch: 8}\n"
        "  - {name: second, epochs: 1, refine: 0.4, augment: {noise: 0.25}}\n"
    )
    return path


def test_stages_override_common_options(recipe: Path) -> None:
    first, second = load_stages(recipe, {"seed": 7})
    assert (first.name, first.config.epochs, first.config.batch, first.refine) == (
        "first",
        3,
        8,
        0.0,
    )
    assert (second.config.epochs, second.refine) == (1, 0.4)
    assert (second.config.augment.blur, second.config.augment.noise) == (0.5, 0.25)
    assert first.config.seed == second.config.seed == 7


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ("3", "must be a list of stages"),
        ("[{epochs: 1}]", "stage 1 of .* needs a name"),
        ("[{name: ../x}]", "needs a name"),
        ("[{name: a}, {name: a}]", "two stages of the same name"),
        ("[{name: a, refine: 0.5}]", "first stage cannot refine labels"),
        ("[{name: a}, {name: b, refine: 2}]", "refine of stage b must lie between 0 and 1"),
        ("[{name: a, epoch: 1}]", "did you mean epochs"),
        ("[{name: a, average_with: {b: 0.5}}, {name: b}]", "names 'b', which is not an earlier"),
        ("[{name: a}, {name: b, average_with: 0.5}]", "must map names of stages to weights"),
        ("[{name: a}, {name: b, average_with: {a: 1}}]", "weight of a must lie between 0 and 1"),
        ("[{name: a}, {name: b}, {name: c, average_with: {a: .5, b: .5}}]", "sum of the weights"),
    ],
)
def test_rejects_invalid_stages(tmp_path: Path, stages: str, message: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(f"stages: {stages}\n")
    with pytest.raises(ConfigError, match=message):
        load_stages(path)


def test_stages_start_from_previous_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        stages_module, "_LIMIT", 1000.0
    )  # an untrained network agrees with no label
    model = synthetic_model()
    write_cache(tmp_path / "cache", model, count=48, negatives=12)
    cache = open_cache(tmp_path / "cache", model)
    # the second stage trains the heads only, so its backbone shows where it began
    stages = (
        Stage("one", tiny(epochs=1, samples=32)),
        Stage("two", tiny(epochs=1, samples=32, freeze="backbone"), refine=0.5),
    )
    run = tmp_path / "run"
    run_stages(stages, cache, model, run, refinable=tmp_path / "cache")
    one, two, last = (
        checkpoints.averaged(checkpoints.load(path / "checkpoint.pt"))
        for path in (run / "one", run / "two", run)
    )
    name = "backbone.layers.0.0.weight"
    torch.testing.assert_close(two[name], one[name])
    torch.testing.assert_close(last["param_head.weight"], two["param_head.weight"])
    assert not torch.equal(two["param_head.weight"], one["param_head.weight"])
    refined = open_cache(run / "two" / "cache", model)
    assert (refined.params != cache.params).any()
    stamp = (run / "one" / "checkpoint.pt").stat().st_mtime_ns
    run_stages(stages, cache, model, run, refinable=tmp_path / "cache")
    assert (run / "one" / "checkpoint.pt").stat().st_mtime_ns == stamp, "done stages are skipped"


def test_refine_needs_a_cache(tmp_path: Path) -> None:
    model = synthetic_model()
    write_cache(tmp_path / "cache", model, count=24)
    stages = (Stage("one", tiny()), Stage("two", tiny(), refine=0.5))
    with pytest.raises(ConfigError, match="only labels of --cache can be refined"):
        run_stages(stages, open_cache(tmp_path / "cache", model), model, tmp_path / "run")


def test_average_with_earlier_stages(tmp_path: Path) -> None:
    model = synthetic_model()
    write_cache(tmp_path / "cache", model, count=48, negatives=12)
    cache = open_cache(tmp_path / "cache", model)
    short = tiny(epochs=1, samples=64)
    mixed = tiny(epochs=1, samples=64, learning_rate=0.01)
    stages = (
        Stage("one", short),
        Stage("two", mixed, average_with={"one": 0.4}),
        Stage("three", mixed, average_with={"one": 0.2, "two": 0.3}),
    )
    run = tmp_path / "run"
    run_stages(stages, cache, model, run)
    one = checkpoints.averaged(checkpoints.load(run / "one/checkpoint.pt"))
    two, three = (
        checkpoints.averaged(checkpoints.load(run / name / "checkpoint.pt"))
        for name in ("two", "three")
    )
    result = checkpoints.averaged(checkpoints.load(run / "two/averaged.pt"))
    last = checkpoints.averaged(checkpoints.load(run / "checkpoint.pt"))
    for name in ("backbone.layers.3.0.weight", "param_head.weight", "landmark_head.bias"):
        assert not torch.equal(one[name], two[name])
        torch.testing.assert_close(result[name], 0.6 * two[name] + 0.4 * one[name])
        expected = 0.5 * three[name] + 0.2 * one[name] + 0.3 * result[name]
        torch.testing.assert_close(last[name], expected)
    network, _ = checkpoints.load_network(run / "checkpoint.pt", model)
    assert not network.training


def test_averages_in_the_whitening_of_the_trained_network(tmp_path: Path) -> None:
    model = synthetic_model()
    write_cache(tmp_path / "cache", model, count=48)
    cache = open_cache(tmp_path / "cache", model)
    run_stages((Stage("one", tiny(epochs=1, samples=16)),), cache, model, tmp_path / "run")
    params = cache.params.copy()
    params[:, 12:] *= 2
    other = replace(cache, params=params)
    frozen = tiny(epochs=1, samples=16, learning_rate=1e-7, weight_decay=0.0)
    stages = (
        Stage("one", tiny(epochs=1, samples=16)),
        Stage("two", frozen, average_with={"one": 0.5}),
    )
    run_stages(stages, other, model, tmp_path / "run")
    values = []
    for path in ("one/checkpoint.pt", "checkpoint.pt"):
        network, _ = checkpoints.load_network(tmp_path / "run" / path, model)
        with torch.no_grad():
            head = network.param_head(torch.ones(1, network.param_head.in_features))
        values.append(head * network.std + network.mean)
    torch.testing.assert_close(values[1], values[0], rtol=1e-3, atol=1e-3)


def test_whole_default_recipe_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages_module, "_LIMIT", 1e6)
    model = synthetic_model()
    write_cache(tmp_path / "cache", model, count=48, negatives=12)
    recipe = Path(__file__).resolve().parents[2] / "config/training/mb05.yaml"
    small = {
        "width": 0.125, "input_size": 96, "epochs": 1, "samples": 16, "batch": 8, "warmup_epochs": 0.5, "threads": 1, "workers": 0, "device": "cpu",
    }  # fmt: skip
    stages = load_stages(recipe, small)
    assert {name for stage in stages for name in stage.average_with} == {"weak", "framing_end"}
    cache = open_cache(tmp_path / "cache", model)
    run_stages(stages, cache, model, tmp_path / "run", refinable=tmp_path / "cache")
    made = sorted(path.parent.name for path in (tmp_path / "run").glob("*/averaged.pt"))
    assert made == ["framing", "framing_end", "robust_end"]
    network, config = checkpoints.load_network(tmp_path / "run/checkpoint.pt", model)
    assert config.freeze_layers == 13
    assert all(bool(value.isfinite().all()) for value in network.state_dict().values())
