"""Layers drawn over an image with faces, by name, for images and videos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.attributes.drawing import draw_attributes
from tddfa_ros.attributes.estimate import default_estimator
from tddfa_ros.attributes.track import SmoothedAttributes, single
from tddfa_ros.errors import ConfigError
from tddfa_ros.face import Face
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.rendering import color_depth, colorize, depth_map, parsing_map, pncc
from tddfa_ros.rendering.overlay import OverlayOptions, draw_overlay
from tddfa_ros.rendering.protocols import far_to_near
from tddfa_ros.types import FloatArray, ImageBGR

Painter = Callable[..., ImageBGR]
"""Called with an image (H, W, 3) uint8 BGR, its faces and their model; returns a drawn copy."""

_NOTHING = OverlayOptions(mesh="none", landmarks=False, axes=False, box=False, caption=False)


@dataclass(frozen=True)
class Layer:
    """A named drawing.

    Attributes:
        name: name on the command line.
        help: one line of description.
        paint: draws it.
        needs_device: whether ``paint`` runs a network and takes its ``device``.
    """

    name: str
    help: str
    paint: Painter
    needs_device: bool = False


ATTRIBUTES = "attributes"
"""The layer whose content may be averaged over a track."""

LAYERS: dict[str, Layer] = {}
"""All layers by name."""


def paint_layers(
    image: ImageBGR,
    faces: Sequence[Face],
    model: MorphableModel,
    names: Sequence[str],
    device: str = "auto",
    attributes: Sequence[SmoothedAttributes] | None = None,
) -> ImageBGR:
    """Draw layers over a copy of an image.

    Args:
        image: (H, W, 3) uint8 BGR.
        faces: faces in the image.
        model: their morphable model.
        names: names of layers, bottom to top.
        device: compute device of layers with a network: "auto", "cpu" or "cuda".
        attributes: those of the faces, for the layer "attributes"; None estimates them from this image alone.

    Raises:
        ConfigError: a layer is unknown.
    """
    painted = image.copy()
    for layer in parse_layers(names):
        if layer.name == ATTRIBUTES and attributes is not None:
            painted = draw_attributes(painted, faces, attributes)
            continue
        where = {"device": device} if layer.needs_device else {}
        painted = layer.paint(painted, faces, model, **where)
    return painted


def parse_layers(names: Sequence[str]) -> list[Layer]:
    """Look up layers by name, without duplicates.

    Raises:
        ConfigError: a layer is unknown.
    """
    for name in names:
        if name not in LAYERS:
            raise ConfigError(f"unknown layer '{name}': known are {', '.join(LAYERS)}")
    return [LAYERS[name] for name in dict.fromkeys(names)]


def scene_depth(faces: Sequence[Face], shape: tuple[int, int]) -> FloatArray:
    """Render the depth of all faces as one (H, W) float32 map, px, nearer = larger, NaN outside.

    Depth is relative to each face, so where faces overlap, the larger one counts as nearer.
    """
    scene = np.full(shape, np.nan, dtype=np.float32)
    for face in far_to_near(faces):
        depth = depth_map(face, shape)
        seen = np.isfinite(depth)
        scene[seen] = depth[seen]
    return scene


def _layer(name: str, help_text: str, needs_device: bool = False) -> Callable[[Painter], Painter]:
    def register(paint: Painter) -> Painter:
        LAYERS[name] = Layer(name, help_text, paint, needs_device)
        return paint

    return register


@_layer("mesh", "the dense mesh, shaded and translucent")
def _mesh(image: ImageBGR, faces: Sequence[Face], model: MorphableModel) -> ImageBGR:
    return draw_overlay(image, faces, model, _with(mesh="dense", opacity=0.6))


@_layer("landmarks", "the 68 landmarks, joined to contours")
def _landmarks(image: ImageBGR, faces: Sequence[Face], model: MorphableModel) -> ImageBGR:
    return draw_overlay(image, faces, model, _with(landmarks=True))


@_layer("pose", "a box aligned with the head, its axes, and yaw, pitch and roll")
def _pose(image: ImageBGR, faces: Sequence[Face], model: MorphableModel) -> ImageBGR:
    return draw_overlay(image, faces, model, _with(axes=True, box=True, caption=True))


@_layer("depth", "depth, color-coded per face")
def _depth(image: ImageBGR, faces: Sequence[Face], model: MorphableModel) -> ImageBGR:
    painted = image.copy()
    for face in far_to_near(faces):
        depth = depth_map(face, _shape(image))
        _cover(painted, color_depth(depth), np.isfinite(depth))
    return painted


@_layer(
    "pncc", "projected normalized coordinate code (PNCC): the position on the mean face as a color"
)
def _pncc(image: ImageBGR, faces: Sequence[Face], model: MorphableModel) -> ImageBGR:
    codes = pncc(faces, _shape(image))
    painted = image.copy()
    _cover(painted, codes, codes.max(axis=2) > 0)
    return painted


@_layer("parsing", "face parsing: the region at each pixel, color-coded")
def _parsing(image: ImageBGR, faces: Sequence[Face], model: MorphableModel) -> ImageBGR:
    classes = parsing_map(faces, _shape(image))
    painted = image.copy()
    _cover(painted, colorize(classes), classes > 0)
    return painted


@_layer(ATTRIBUTES, "estimated age, gender presentation and expression below each face", needs_device=True)  # fmt: skip
def _attributes(
    image: ImageBGR, faces: Sequence[Face], model: MorphableModel, device: str = "auto"
) -> ImageBGR:
    found = default_estimator(device).estimate_all(image, faces)
    known = [single(face, one) for face, one in zip(faces, found, strict=True)]
    return draw_attributes(image, faces, known)


def _with(**changes: object) -> OverlayOptions:
    return OverlayOptions(**{**vars(_NOTHING), **changes})  # type: ignore[arg-type]


def _shape(image: ImageBGR) -> tuple[int, int]:
    return image.shape[0], image.shape[1]


def _cover(image: ImageBGR, cover: ImageBGR, where: NDArray[np.bool_]) -> None:
    image[where] = cover[where]
