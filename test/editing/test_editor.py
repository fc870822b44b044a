"""Editing parameters by name."""

from __future__ import annotations

import numpy as np
import pytest
from support.synthetic_model import frontal_params, synthetic_model

from tddfa_ros.editing import (
    Attribute,
    AttributeEditor,
    AttributeSet,
    edit_params,
    measure_face,
    parse_changes,
)
from tddfa_ros.errors import ConfigError, ModelError
from tddfa_ros.model_store.store import default_store
from tddfa_ros.morphable import MorphableModel

DIRECTION = np.linspace(-1, 1, 40).astype(np.float32)


@pytest.fixture
def editor() -> AttributeEditor:
    model = synthetic_model()
    wide = Attribute("wide", "mm", "", "wider", -2.0, 3.0, 1.0, DIRECTION)
    return AttributeEditor(model, AttributeSet(model.topology_id, (wide,)))


def test_attributes_are_relative_and_expressions_absolute(editor: AttributeEditor) -> None:
    layout = editor.model.layout
    start = frontal_params(editor.model)
    start[layout.shape_slice] = 0.5
    start[layout.expression_slice] = 0.25
    kept = start.copy()
    edited = editor.edit(start, {"wide": 2, "jawOpen": 0.75})
    assert np.array_equal(start, kept)
    assert np.allclose(edited[layout.shape_slice], 0.5 + 2 * DIRECTION)
    jaw = editor.model.expression_names.index("jawOpen")
    expected = np.full(52, 0.25)
    expected[jaw] = 0.75
    assert np.allclose(edited[layout.expression_slice], expected)
    assert np.array_equal(edited[:12], start[:12])
    again = edit_params(start, {"wide": 2, "jawOpen": 0.75}, editor.model, editor.attributes)
    assert np.array_equal(again, edited)


def test_edits_batches(editor: AttributeEditor) -> None:
    rows = np.stack([frontal_params(editor.model)] * 3)
    edited = editor.edit(rows, {"wide": -1})
    assert edited.shape == rows.shape
    assert np.allclose(edited[:, editor.model.layout.shape_slice], -DIRECTION)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"wide": 3.5}, "wide takes -2 to 3"),
        ({"jawOpen": -0.1}, "jawOpen takes 0 to 1.2"),
        ({"wide": float("nan")}, "wide takes"),
        ({"jawopen": 1}, "did you mean jawOpen"),
        ({"xyzzy": 1}, "tddfa edit --list"),
    ],
)
def test_rejects_unknown_names_and_ranges(
    editor: AttributeEditor, changes: dict[str, float], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        editor.edit(frontal_params(editor.model), changes)


def test_rejects_parameters_of_wrong_size(editor: AttributeEditor) -> None:
    with pytest.raises(ModelError, match="takes 104"):
        editor.edit(np.zeros(62, np.float32), {"wide": 1})


def test_no_limits_without_arkit_expressions() -> None:
    model = synthetic_model(expressions=10)
    editor = AttributeEditor(model)
    name = model.expression_names[0]
    edited = editor.edit(np.zeros(model.layout.size, np.float32), {name: -7.5})
    assert edited[model.layout.expression_slice][0] == -7.5


def test_measures_ignore_expression_and_scale_with_size() -> None:
    editor = AttributeEditor(synthetic_model())
    params = frontal_params(editor.model)
    neutral = editor.measure(params)
    params[editor.model.layout.expression_slice] = 0.5
    assert editor.measure(params) == neutral
    points = editor.model.head_landmarks(frontal_params(editor.model))
    twice = measure_face(2 * points)
    assert all(twice[k] == pytest.approx(2 * v, abs=1e-3) for k, v in neutral.items())
    eyes = 1e3 * np.linalg.norm(points[39] - points[42])
    assert neutral["eye_spacing"] == pytest.approx(eyes, abs=1e-3)


def test_parses_changes() -> None:
    assert parse_changes(("age=+1", "jawOpen=.5", "nose_width = -2e0")) == {
        "age": 1.0,
        "jawOpen": 0.5,
        "nose_width": -2.0,
    }
    for texts, sentence in (
        (("age",), "name=number"),
        (("=1",), "name=number"),
        (("age=old",), "name=number"),
        (("age=nan",), "name=number"),
        (("age=1", "age=2"), "set twice"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            parse_changes(texts)


@pytest.mark.parametrize(
    ("old", "new"),
    [("childlike", "child_proportions"), ("masculine", "masculine_proportions")],
)
def test_names_the_new_name_of_a_renamed_attribute(old: str, new: str) -> None:
    editor = AttributeEditor(MorphableModel.load(default_store().path("tddfa-head")))
    with pytest.raises(ConfigError, match=f"{old} is now called {new}"):
        editor.edit(np.zeros(editor.model.layout.size, np.float32), {old: 1})
