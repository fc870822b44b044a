"""The overlay's picture: faces drawn on it, or, with a look, faces that wear it. No ROS in here."""

from __future__ import annotations

from collections.abc import Sequence

from tddfa_ros.face import Face
from tddfa_ros.makeup.artist import Makeup
from tddfa_ros.makeup.reading import load_look
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.rendering.overlay import draw_overlay
from tddfa_ros.types import ImageBGR


class OverlayPainter:
    """Draws overlays.

    Args:
        model: of the faces.
        look: a name or a file, see :func:`load_look`; empty = none.

    Raises:
        ConfigError, ImageError, ModelError: the look cannot be used.
    """

    def __init__(self, model: MorphableModel, look: str = "") -> None:
        self.look = look
        self._model = model
        self._makeup = Makeup(model, load_look(look)) if look else None

    def draw(self, image: ImageBGR, faces: Sequence[Face]) -> ImageBGR:
        """A copy of the picture, (H, W, 3) uint8 BGR: mesh, landmarks and pose; with a look the make-up and nothing over it."""
        if self._makeup is None:
            return draw_overlay(image, faces, self._model)
        return self._makeup.apply(image, faces)
