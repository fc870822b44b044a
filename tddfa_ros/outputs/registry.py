"""Output files of an image with faces, by name. Drawings share names and descriptions with :data:`tddfa_ros.outputs.LAYERS`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tddfa_ros.attributes.drawing import draw_attributes
from tddfa_ros.attributes.estimate import default_estimator
from tddfa_ros.attributes.track import SmoothedAttributes, single
from tddfa_ros.errors import ConfigError
from tddfa_ros.export import write_glb, write_obj, write_ply
from tddfa_ros.export.mesh_texture import measured_iris
from tddfa_ros.face import Face
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.outputs.image_io import write_array, write_image
from tddfa_ros.outputs.layers import LAYERS, paint_layers, scene_depth
from tddfa_ros.regression.maps import PARSING, UV_POSITION, MapPredictor, RegressedMaps
from tddfa_ros.rendering import color_depth, parsing_map, pncc, uv_position_map, uv_texture
from tddfa_ros.rendering.irises import with_eyes
from tddfa_ros.rendering.uv_surface import uv_surface
from tddfa_ros.types import ImageBGR


@dataclass(frozen=True, eq=False)
class Scene:
    """An image and its faces.

    Attributes:
        image: (H, W, 3) uint8 BGR.
        faces: at least one.
        model: the morphable model of the faces.
        texture_size: side of textures, px.
        uv_size: side of UV position maps, px.
        device: compute device of outputs with a network: "auto", "cpu" or "cuda".
        map_predictor: heads of the regression network for the outputs that need them; see :attr:`Output.head`.
    """

    image: ImageBGR
    faces: Sequence[Face]
    model: MorphableModel
    texture_size: int = 512
    uv_size: int = 256
    device: str = "auto"
    map_predictor: MapPredictor | None = None

    @cached_property
    def textures(self) -> list[Any]:
        """Texture of each face, with occluded parts mirrored; computed once for all outputs."""
        return [uv_texture(face, self.image, size=self.texture_size) for face in self.faces]

    @cached_property
    def mesh_textures(self) -> list[ImageBGR]:
        """:attr:`textures` with eyeballs painted in the color of the irises of the image, for meshes."""
        out = []
        for texture, face in zip(self.textures, self.faces, strict=True):
            out.append(with_eyes(texture.image, face.model, measured_iris(face, self.image)))
        return out

    @cached_property
    def regressed_maps(self) -> RegressedMaps:
        """Maps that the network regresses for all faces."""
        if self.map_predictor is None:
            raise ConfigError("maps of the network need its map_predictor")
        return self.map_predictor(self.image, np.stack([face.roi for face in self.faces]))

    @cached_property
    def attributes(self) -> list[SmoothedAttributes]:
        """Estimated attributes of each face; the network is loaded on first use."""
        found = default_estimator(self.device).estimate_all(self.image, self.faces)
        return [single(face, one) for face, one in zip(self.faces, found, strict=True)]


Write = Callable[[Path, Scene], list[Path]]
WriteFace = Callable[[Path, Scene, int], list[Path]]


@dataclass(frozen=True)
class Output:
    """A named kind of output files.

    Attributes:
        name: name on the command line.
        help: one line of description.
        endings: endings of the file names after the base name of the image; with the number of the face for files per face.
        write: called with a path without suffix and a scene; writes files whose names begin with that path, and returns them.
        head: output of the regression network that it needs beside the parameters; empty for most.
    """

    name: str
    help: str
    endings: tuple[str, ...]
    write: Write
    head: str = ""


OUTPUTS: dict[str, Output] = {}
"""All outputs by name."""


def parse_outputs(names: Sequence[str]) -> list[Output]:
    """Look up outputs by name, without duplicates.

    Raises:
        ConfigError: an output is unknown.
    """
    for name in names:
        if name not in OUTPUTS:
            raise ConfigError(f"unknown output '{name}': known are {', '.join(OUTPUTS)}, json")
    return [OUTPUTS[name] for name in dict.fromkeys(names)]


def output(name: str, help_text: str, *endings: str, head: str = "") -> Callable[[Write], Write]:
    """Register a function that writes the files of a whole image."""

    def register(write: Write) -> Write:
        OUTPUTS[name] = Output(name, help_text, endings, write, head)
        return write

    return register


def face_output(
    name: str, help_text: str, *endings: str, head: str = ""
) -> Callable[[WriteFace], WriteFace]:
    """Register a function that writes the files of one face, named ``<image>_1...``, ``<image>_2...``."""

    def register(write_face: WriteFace) -> WriteFace:
        def write(stem: Path, scene: Scene) -> list[Path]:
            written: list[Path] = []
            for i in range(len(scene.faces)):
                written += write_face(_extended(stem, f"_{i + 1}"), scene, i)
            return written

        numbered = tuple(f"_1{ending}" for ending in endings)
        OUTPUTS[name] = Output(name, help_text, numbered, write, head)
        return write_face

    return register


def layer_output(name: str, contents: str, *endings: str) -> Callable[[Write], Write]:
    """Register a function that writes a layer of :data:`LAYERS` as files with ``contents``."""
    return output(name, f"{LAYERS[name].help}; {contents}", *endings)


def _drawn_output(name: str) -> None:
    """Register the drawing of a layer over the image."""
    ending = f"_{name}.jpg"

    @layer_output(name, "drawn over the image", ending)
    def write(stem: Path, scene: Scene) -> list[Path]:
        drawn = paint_layers(scene.image, scene.faces, scene.model, [name], scene.device)
        return [write_image(_extended(stem, ending), drawn)]


for _name in ("landmarks", "mesh", "pose"):
    _drawn_output(_name)


@layer_output(
    "depth", "(H, W) float32 px, NaN outside, and the drawing on black", "_depth.npy", "_depth.png"
)
def _depth(stem: Path, scene: Scene) -> list[Path]:
    depth = scene_depth(scene.faces, scene.image.shape[:2])
    colored = write_image(_extended(stem, "_depth.png"), color_depth(depth))
    return [write_array(_extended(stem, "_depth.npy"), depth), colored]


@layer_output("pncc", "black outside", "_pncc.png")
def _pncc(stem: Path, scene: Scene) -> list[Path]:
    codes = pncc(scene.faces, scene.image.shape[:2])
    return [write_image(_extended(stem, "_pncc.png"), codes)]


@layer_output("parsing", "as 8-bit class indices, 0 outside", "_parsing.png")
def _parsing(stem: Path, scene: Scene) -> list[Path]:
    classes = parsing_map(scene.faces, scene.image.shape[:2])
    return [write_image(_extended(stem, "_parsing.png"), classes)]


@layer_output("attributes", "drawn over the image", "_attributes.jpg")
def _attributes(stem: Path, scene: Scene) -> list[Path]:
    drawn = draw_attributes(scene.image, scene.faces, scene.attributes)  # estimated once a scene
    return [write_image(_extended(stem, "_attributes.jpg"), drawn)]


@face_output("uv_texture", "UV texture, occluded parts mirrored", "_uv_texture.png")
def _uv_texture(stem: Path, scene: Scene, face: int) -> list[Path]:
    return [write_image(_extended(stem, "_uv_texture.png"), scene.textures[face].image)]


@face_output(
    "uv_position",
    "UV position map: image px of each texel, (size, size, 3) float32",
    "_uv_position.npy",
)
def _uv_position(stem: Path, scene: Scene, face: int) -> list[Path]:
    positions = uv_position_map(scene.faces[face], size=scene.uv_size)
    return [write_array(_extended(stem, "_uv_position.npy"), positions)]


@output(
    "network_parsing",
    "face parsing regressed by the network, as parsing",
    "_network_parsing.png",
    head=PARSING,
)
def _network_parsing(stem: Path, scene: Scene) -> list[Path]:
    classes = scene.regressed_maps.parsing_image(scene.image.shape)
    return [write_image(_extended(stem, "_network_parsing.png"), classes)]


@face_output(
    "network_uv_position",
    "UV position map regressed by the network, as uv_position, (32, 32, 3)",
    "_network_uv_position.npy",
    head=UV_POSITION,
)
def _network_uv_position(stem: Path, scene: Scene, face: int) -> list[Path]:
    regressed = scene.regressed_maps.uv_position
    assert regressed is not None
    covered = uv_surface(scene.model, regressed.shape[1]).mask
    positions = np.where(covered[..., None], regressed[face], 0).astype(np.float32)
    return [write_array(_extended(stem, "_network_uv_position.npy"), positions)]


@face_output("obj", "textured mesh in meters", ".obj", ".mtl", ".png")
def _obj(stem: Path, scene: Scene, face: int) -> list[Path]:
    path, texture = _extended(stem, ".obj"), scene.mesh_textures[face]
    return write_obj(path, scene.faces[face], texture=texture)


@face_output("ply", "mesh with vertex colors in meters", ".ply")
def _ply(stem: Path, scene: Scene, face: int) -> list[Path]:
    path, texture = _extended(stem, ".ply"), scene.mesh_textures[face]
    return list(write_ply(path, scene.faces[face], texture=texture))


@face_output("glb", "textured mesh with expressions as morph targets, in meters", ".glb")
def _glb(stem: Path, scene: Scene, face: int) -> list[Path]:
    path, texture = _extended(stem, ".glb"), scene.mesh_textures[face]
    return list(write_glb(path, scene.faces[face], texture=texture))


def _extended(stem: Path, ending: str) -> Path:
    """Append to the name; ``with_suffix`` would cut a stem such as ``photo.v2``."""
    return stem.with_name(stem.name + ending)
