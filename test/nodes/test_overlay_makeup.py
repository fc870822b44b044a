"""The overlay with a makeup preset; no ROS is needed."""

from __future__ import annotations

import pytest
from support.painted import changed, face_at, portrait

from tddfa_ros.errors import ConfigError
from tddfa_ros.nodes.options import OverlayOptions, VisualizationNodeOptions
from tddfa_ros.nodes.visualization_node import OverlayPainter
from tddfa_ros.rendering.overlay import draw_overlay
from tddfa_ros.schema import from_dict


def test_overlay_without_makeup_draws_the_mesh() -> None:
    face = face_at()
    image = portrait(face)
    drawn = OverlayPainter(face.model).draw(image, [face])
    assert (drawn == draw_overlay(image, [face], face.model)).all()


def test_overlay_with_makeup_draws_nothing_else() -> None:
    face = face_at()
    image = portrait(face)
    touched = changed(image, OverlayPainter(face.model, "evening").draw(image, [face]))
    lip = face.landmarks68[57].astype(int)
    assert touched[lip[1], lip[0]]
    nose = face.landmarks68[30].astype(int)
    assert not touched[nose[1], nose[0]], "no mesh, no landmarks"


def test_rejects_unknown_makeup_preset() -> None:
    assert VisualizationNodeOptions().overlay == OverlayOptions(makeup="")
    with pytest.raises(ConfigError, match="there is no makeup preset 'nix'"):
        from_dict(VisualizationNodeOptions, {"overlay": {"makeup": "nix"}})
