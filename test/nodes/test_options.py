"""What options of nodes mean together; no ROS in here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tddfa_ros.config import RegressionConfig
from tddfa_ros.model_store.store import ModelStore, default_store
from tddfa_ros.nodes.options import (
    FaceNodeOptions,
    MeshOptions,
    SmoothingNodeOptions,
    VisualizationNodeOptions,
)


def test_model_parameter_overrides_regression_model() -> None:
    regression = RegressionConfig(model="mine.onnx", threads=3)
    options = FaceNodeOptions(regression=regression)
    assert options.pipeline().regression == regression
    short = FaceNodeOptions(model="official-mb05", regression=regression).pipeline().regression
    assert (short.model, short.threads) == ("official-mb05", 3)


@pytest.mark.parametrize("kind", [SmoothingNodeOptions, VisualizationNodeOptions])
def test_all_nodes_select_same_morphable_model(kind: type[MeshOptions], tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="the synthetic network needs it")
    from support.imported import HEAD, NETWORK, imported_cache

    imported_cache(tmp_path)
    store = ModelStore(default_store().manifest, tmp_path)
    for chosen, expected in (
        ({}, "tddfa-head"),
        ({"model": NETWORK}, HEAD),
        ({"model": NETWORK, "morphable_model": "own.npz"}, "own.npz"),
        ({"model": "mine.onnx"}, "tddfa-head"),
    ):
        perception = FaceNodeOptions(
            model=chosen.get("model", ""),
            regression=RegressionConfig(
                morphable_model=chosen.get("morphable_model", "tddfa-head")
            ),
        )
        assert store.morphable_model(kind(**chosen).regression()) == expected
        assert store.morphable_model(perception.pipeline().regression) == expected
