"""Contact sheets of the editing tools."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tddfa_ros.editing import AttributeEditor
from tddfa_ros.face import Face
from tddfa_ros.model_store.store import default_store
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.rendering import rasterize

CELL = 60


@pytest.fixture(scope="module")
def script(repo_root: Path) -> dict[str, Any]:
    return runpy.run_path(str(repo_root / "scripts/contact_sheets.py"))


@pytest.fixture(scope="module")
def face() -> tuple[np.ndarray, Face]:
    model = MorphableModel.load(default_store().path("tddfa-head"))
    params = np.zeros(model.layout.size, np.float32)
    params[:12] = np.array([[560, 0, 0, 61], [0, 560, 0, 62], [0, 0, 560, 0]]).ravel()
    roi = np.array([60.0, 60.0, 180.0, 180.0])
    found = Face(roi, 1.0, params, roi, model)
    colors = np.tile(np.float32([120, 150, 200]), (len(model.mean), 1))
    raster = rasterize(found.vertices, model.triangles, colors, (240, 240))
    image = np.where(raster.mask[..., None], raster.values, 60).astype(np.uint8)
    return image, found


def test_sheet_has_one_row_per_face_and_one_column_per_edit(
    script: dict[str, Any], face: tuple[np.ndarray, Face]
) -> None:
    edits = {"same": {}, "jawOpen 1": {"jawOpen": 1.0}}
    sheet = script["edit_sheet"]([face, face], edits, CELL)
    height = CELL + script["CAPTION"]
    assert sheet.shape == (2 * height, 3 * CELL, 3)
    cells = [
        sheet[script["CAPTION"] : height, i * CELL : (i + 1) * CELL].astype(int) for i in range(3)
    ]
    assert np.array_equal(cells[0], script["close_up"](*face, CELL))
    assert np.array_equal(cells[1], cells[0])
    assert np.abs(cells[2] - cells[0]).max() > 50
    assert np.array_equal(sheet[:height], sheet[height:])


def test_sheets_name_expressions_and_attributes_of_the_model(
    script: dict[str, Any], face: tuple[np.ndarray, Face]
) -> None:
    names = set(AttributeEditor(face[1].model).controls)
    for edits in script["SHEETS"].values():
        for changes in edits.values():
            assert set(changes) <= names


def test_rejects_unknown_sheets(
    script: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        script["main"]([str(tmp_path), "jawz"])
    assert "unknown sheet jawz" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
