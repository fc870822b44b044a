"""Draw all shape attributes at both ends of their ranges."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from tddfa_ros.editing.edited import edit_image
from tddfa_ros.editing.editor import AttributeEditor
from tddfa_ros.errors import ModelError
from tddfa_ros.face import Face
from tddfa_ros.morphable.attributes import Attribute
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.rendering.model_sheet import region_colors, render_head
from tddfa_ros.types import ImageBGR

_CELL = 150  # px
_CAPTION = 20
_COLUMNS = 4  # attributes in a row
_GAP = 10
_PAPER, _INK = (250, 248, 246), (60, 50, 45)
_YAW = 25.0  # degrees of the mean head
_FIELD = 1.15  # of the height of the head in a cell
_AROUND = 1.05  # face sizes on each side of the face in a cell of a photo

Draw = Callable[[dict[str, float]], ImageBGR]


def mean_preview(editor: AttributeEditor) -> ImageBGR:
    """Draw all attributes of a model on its mean head, (H, W, 3) uint8 BGR.

    Raises:
        ModelError: the model has no attributes.
    """
    model = editor.model
    colors = region_colors(model)
    meters = _FIELD * float(np.ptp(model.mean[:, 1]))
    center = ((model.mean.min(0) + model.mean.max(0)) / 2).astype(np.float32)

    average = np.zeros(model.layout.size, np.float32)

    def draw(changes: dict[str, float]) -> ImageBGR:
        return render_head(
            model.head(editor.edit(average, changes)), model.triangles, colors, (_CELL, _CELL),
            meters=meters, center=center, yaw_deg=_YAW,
        )  # fmt: skip

    return _sheet(editor, draw)


def image_preview(editor: AttributeEditor, image: ImageBGR, face: Face) -> ImageBGR:
    """Draw all attributes on a face of an image, (H, W, 3) uint8 BGR.

    Raises:
        ModelError: the model of the face has no attributes.
    """
    middle = face.landmarks68[:, :2].mean(axis=0)
    reach = _AROUND * face.face_size
    scale = _CELL / (2 * reach)
    view = np.array([[scale, 0, 0], [0, scale, 0]])
    view[:, 2] = _CELL / 2 - scale * middle

    def draw(changes: dict[str, float]) -> ImageBGR:
        cell = cv2.warpAffine(
            edit_image(image, face, changes, editor), view, (_CELL, _CELL), flags=cv2.INTER_AREA,
            borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        return np.asarray(cell, dtype=np.uint8)

    return _sheet(editor, draw)


def _sheet(editor: AttributeEditor, draw: Draw) -> ImageBGR:
    attributes = _attributes(editor.model, editor)
    cells = []
    for attribute in attributes:
        ends = [draw({attribute.name: value}) for value in (attribute.low, attribute.high)]
        cells.append(_captioned(np.hstack(ends), attribute))
    while len(cells) % _COLUMNS:
        cells.append(np.full_like(cells[0], _PAPER))
    rows = [np.hstack(cells[i : i + _COLUMNS]) for i in range(0, len(cells), _COLUMNS)]
    return np.asarray(np.vstack(rows), dtype=np.uint8)


def _attributes(model: MorphableModel, editor: AttributeEditor) -> Sequence[Attribute]:
    if editor.attributes is None:
        raise ModelError(f"there are no attribute directions for the model {model.name}")
    return tuple(editor.attributes)


def _captioned(pair: ImageBGR, attribute: Attribute) -> ImageBGR:
    unit = " mm" if attribute.unit == "mm" else ""
    text = f"{attribute.name} {attribute.low:+g} / {attribute.high:+g}{unit}"
    out = np.full((pair.shape[0] + _CAPTION + _GAP, pair.shape[1] + _GAP, 3), _PAPER, np.uint8)
    out[_CAPTION : _CAPTION + pair.shape[0], : pair.shape[1]] = pair
    origin = (4, _CAPTION - 6)
    cv2.putText(out, text, origin, cv2.FONT_HERSHEY_SIMPLEX, 0.42, _INK, 1, cv2.LINE_AA)
    return out
