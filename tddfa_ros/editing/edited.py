"""Edit a face of an image by named attributes and expressions: shape, expression and skin."""

from __future__ import annotations

from collections.abc import Mapping

from tddfa_ros.editing.ageing import age_skin
from tddfa_ros.editing.editor import AttributeEditor
from tddfa_ros.editing.rerender import Rerenderer
from tddfa_ros.face import Face
from tddfa_ros.types import ImageBGR

AGE = "age"
"""The attribute that changes the skin too."""


def edit_image(
    image: ImageBGR, face: Face, changes: Mapping[str, float], editor: AttributeEditor | None = None
) -> ImageBGR:
    """Return a copy of the image with the changes of :meth:`AttributeEditor.edit`; ``age`` changes shape and skin.

    Args:
        image: (H, W, 3) uint8 BGR.
        face: the face in the image.
        changes: name of an attribute or expression -> value.
        editor: of the face's model; None = that of the package.

    Raises:
        ConfigError: a name is unknown, or a value is outside its range. ImageError: the image is invalid, or the face is outside it.
    """
    editor = editor or AttributeEditor(face.model)
    params = editor.edit(face.params, changes)
    skin = age_skin(image, face, changes.get(AGE, 0.0))
    return Rerenderer(skin, face)(params)
