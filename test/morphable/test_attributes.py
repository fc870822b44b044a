"""The committed attribute directions, measured on the mesh."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.synthetic_model import synthetic_model

from tddfa_ros.editing import AttributeEditor, AttributeSet, default_attributes
from tddfa_ros.errors import ModelError
from tddfa_ros.model_store.store import default_store
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.morphable.attributes import DEFAULT_ATTRIBUTES
from tddfa_ros.morphable.measures import MEASURES

MEASURED = (
    *("fullness", "face_width", "face_height", "jaw_width", "chin_width", "chin_height"),
    *("chin_prominence", "brow_height", "eye_width", "eye_spacing", "nose_length", "nose_width"),
    *("nose_prominence", "nose_tip_height", "philtrum_height", "mouth_width", "lip_fullness"),
)
# Coupled measures: those that contain or border on the changed one.
ALONG = {
    "fullness": {"jaw_width", "face_width", "chin_width"},
    "face_width": {
        *("cheek_width", "jaw_width", "chin_width", "eye_width"),
        *("eye_spacing", "nose_width", "mouth_width"),
    },
    "face_height": {
        *("chin_height", "brow_height", "nose_length", "nose_tip_height"),
        *("philtrum_height", "lip_height"),
    },
    "jaw_width": {"cheek_width"},
    "chin_width": {"jaw_width", "cheek_width"},
    "chin_height": {"face_height"},
    "eye_width": {"eye_spacing"},
    "nose_length": {"philtrum_height", "nose_tip_height"},
    "philtrum_height": {"chin_height"},
    "lip_fullness": {"chin_height", "philtrum_height"},
}


@pytest.fixture(scope="module")
def editor() -> AttributeEditor:
    return AttributeEditor(MorphableModel.load(default_store().path("tddfa-head")))


def changes(editor: AttributeEditor, name: str, value: float) -> dict[str, float]:
    """mm by which each measure of the mean head changes, from its reconstructed mesh."""
    model = editor.model
    start = np.zeros(model.layout.size, np.float32)
    ends = []
    for params in (start, editor.edit(start, {name: value})):
        points = model.landmarks_of(model.head(params)).astype(float)
        ends.append({key: measure(points) for key, measure in MEASURES.items()})
    return {key: ends[1][key] - ends[0][key] for key in MEASURES}


@pytest.mark.parametrize("name", MEASURED)
@pytest.mark.parametrize("end", [-1, 1])
def test_attribute_changes_its_measure_in_millimeters(
    editor: AttributeEditor, name: str, end: int
) -> None:
    attribute = editor.attributes[name]
    value = attribute.high if end > 0 else attribute.low
    moved = changes(editor, name, value)
    # 8 %: distances in space are not linear in the coefficients; the derivative at the mean head is what is exact.
    assert moved[attribute.measure] == pytest.approx(value, rel=0.08)
    others = {
        k: v for k, v in moved.items() if k not in ALONG.get(name, set()) | {attribute.measure}
    }
    assert max(map(abs, others.values())) < 0.25 * abs(value), others


def test_every_attribute_with_a_measure_is_tested(editor: AttributeEditor) -> None:
    assert {a.name for a in editor.attributes if a.measure} == set(MEASURED)
    assert {a.unit for a in editor.attributes if a.measure} == {"mm"}


def test_phenotypes_change_expected_measures(editor: AttributeEditor) -> None:
    man = changes(editor, "masculine_proportions", 1)
    assert man["face_height"] > 5 and man["jaw_width"] > 3 and man["nose_length"] > 1
    child = changes(editor, "child_proportions", 1)
    assert child["face_height"] < -10 and child["face_width"] < -10
    # A child's chin and nose are short for its face.
    mean = editor.measure(np.zeros(editor.model.layout.size, np.float32))
    for part in ("nose_length", "chin_height"):
        assert child[part] / mean[part] < 0.5 * child["face_height"] / mean["face_height"]
    old = changes(editor, "age", 1)
    assert old["lip_height"] < -0.5 and old["nose_tip_height"] < -1


def test_directions_are_symmetric(editor: AttributeEditor) -> None:
    from tddfa_ros.rendering.texture import mirror_vertices

    model = editor.model
    partner = mirror_vertices(model.mean)
    for attribute in editor.attributes:
        move = model.shape_basis @ attribute.direction
        mirrored = move[partner] * [-1, 1, 1]
        # Partners are nearest vertices, so seams of the texture leave a little.
        assert np.median(np.abs(move - mirrored)) < 0.02 * np.abs(move).max(), attribute.name


def test_only_representable_attributes_are_offered(editor: AttributeEditor) -> None:
    assert all(0.75 <= a.explained <= 1 for a in editor.attributes)
    assert not {"weight", "muscle", "ear_size"} & {a.name for a in editor.attributes}
    assert all(a.low < 0 < a.high for a in editor.attributes)


def test_ranges_stay_within_plausible_people(editor: AttributeEditor) -> None:
    for attribute in editor.attributes:
        sigma = np.linalg.norm(attribute.direction) * attribute.high
        assert sigma < 4.6 if attribute.measure else sigma < 5.6, attribute.name


def test_rejects_attributes_of_another_model() -> None:
    found = AttributeSet.load(default_store().path(DEFAULT_ATTRIBUTES))
    other = synthetic_model()
    with pytest.raises(ModelError, match=f"belong to the model {found.topology_id}"):
        AttributeEditor(other, found)
    assert default_attributes(other) is None
    assert AttributeEditor(other).attributes is None


def test_file_round_trip(tmp_path: Path, editor: AttributeEditor) -> None:
    editor.attributes.save(tmp_path / "a.npz")
    again = AttributeSet.load(tmp_path / "a.npz")
    assert again.topology_id == editor.model.topology_id
    for one, other in zip(editor.attributes, again, strict=True):
        assert np.array_equal(one.direction, other.direction)
        assert (one.name, one.unit, one.low, one.high) == (
            *(other.name, other.unit, other.low, other.high),
        )


def test_rejects_damaged_files(tmp_path: Path, editor: AttributeEditor) -> None:
    with pytest.raises(ModelError, match="do not exist"):
        AttributeSet.load(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("no zip")
    with pytest.raises(ModelError, match="not a readable"):
        AttributeSet.load(tmp_path / "text.npz")
    with pytest.raises(ModelError, match="format"):
        AttributeSet.load(default_store().path("tddfa-head"))
    editor.attributes.save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as file:
        stored = {key: file[key] for key in file.files}
    for change, sentence in (
        ({"low": stored["low"][:-1]}, "do not fit together"),
        ({"directions": stored["directions"] * np.nan}, "NaN"),
    ):
        np.savez(tmp_path / "b.npz", **{**stored, **change})
        with pytest.raises(ModelError, match=sentence):
            AttributeSet.load(tmp_path / "b.npz")
    del stored["units"]
    np.savez(tmp_path / "b.npz", **stored)
    with pytest.raises(ModelError, match="lacks units"):
        AttributeSet.load(tmp_path / "b.npz")
