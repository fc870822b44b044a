"""Evaluation of the map heads against the rasterized mesh."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.fake_predictor import FakePredictor, numbered_image

from tddfa_ros.evaluation import maps
from tddfa_ros.evaluation.prediction import MapPrediction
from tddfa_ros.evaluation.sets import Sets

UV = np.random.default_rng(0).uniform(20, 100, (8, 8, 3)).astype(np.float32)
MASK = np.ones((8, 8), np.bool_)


def prediction() -> MapPrediction:
    """Half skin, half background; the network finds three quarters of the skin, its map is 3 px to the right and deeper."""
    mesh = np.zeros((120, 120), np.uint8)
    mesh[:, :60] = 1
    found = mesh.copy()
    found[:, 45:60] = 0
    return MapPrediction(found, mesh, UV + np.float32([3, 0, 40]), UV, MASK, 2.0, 60.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    names = np.array([f"{i}.png" for i in range(2)])
    for place in (tmp_path / "eval/aflw2000/crop120", tmp_path / "faces/img"):
        for i, name in enumerate(names):
            numbered_image(place / name, i)
    np.savez(tmp_path / "eval/aflw2000/gt.npz", name=names)
    roi = np.tile([0.0, 0, 120, 120], (2, 1))
    np.savez(tmp_path / "faces/lp.npz", name=names, roi=roi, split=np.array(["train", "val"]))
    return tmp_path


def test_figures_of_known_maps(folder: Path) -> None:
    one = prediction()
    other = replace(one, parsing=one.mesh_parsing, uv_position=UV)
    result = maps.evaluate(FakePredictor(drawn=[one, other]), Sets(folder))
    both, lp = result.rows
    assert (both.name, both.count, lp.count) == ("AFLW2000-3D", 2, 1)
    assert both.figures["IoU skin"] == pytest.approx((45 + 60) / 120)
    assert both.figures["IoU background"] == pytest.approx(120 / (120 + 15))
    assert both.figures["mean IoU"] == pytest.approx((45 + 60) / 120), "of classes that occur"
    assert both.figures["UV mm"] == pytest.approx(3.0, rel=1e-4)
    assert both.figures["UV %"] == pytest.approx(2.5, rel=1e-4)
    assert lp.figures["UV mm"] == pytest.approx(0, abs=1e-6) and lp.figures["mean IoU"] == 1


def test_network_without_map_heads_has_no_figures(folder: Path) -> None:
    for drawn in (None, [replace(prediction(), parsing=None, uv_position=None)] * 2):
        result = maps.evaluate(FakePredictor(drawn=drawn), Sets(folder))
        assert [row.figures for row in result.rows] == [{}, {}]


def test_intersection_over_union() -> None:
    iou = maps.intersection_over_union(np.array([[6, 2, 0], [0, 4, 0], [0, 0, 0]]))
    np.testing.assert_allclose(iou, [6 / 8, 4 / 6, np.nan])


def test_texel_distance_ignores_mean_depth_and_uncovered_texels() -> None:
    moved = UV + np.float32([0, 4, 9])
    moved[0, 0] = 1e6
    mask = MASK.copy()
    mask[0, 0] = False
    np.testing.assert_allclose(maps.texel_distance(moved, UV, mask), np.full(63, 4.0), rtol=1e-4)
