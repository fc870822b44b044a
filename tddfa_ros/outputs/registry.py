"""Everything that can be made of a picture of faces, by name: one function each, picture and faces in, files out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tddfa_ros.attributes.drawing import draw_attributes
from tddfa_ros.attributes.estimate import Attributes, default_estimator
from tddfa_ros.errors import ConfigError
from tddfa_ros.export import write_glb, write_obj, write_ply
from tddfa_ros.face import Face
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.outputs.layers import paint_layers, scene_depth
from tddfa_ros.outputs.writing import write_array, write_image
from tddfa_ros.rendering import color_depth, parsing_map, pncc, uv_position_map, uv_texture
from tddfa_ros.types import ImageBGR


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture and the faces in it.

    Attributes:
        image: (H, W, 3) uint8 BGR.
        faces: at least one.
        model: the morphable model of the faces.
        texture_size, uv_size: sides of textures and of UV position maps, px.
        device: where the networks of outputs run: "auto", "cpu" or "cuda".
    """

    image: ImageBGR
    faces: Sequence[Face]
    model: MorphableModel
    texture_size: int = 512
    uv_size: int = 256
    device: str = "auto"

    @cached_property
    def textures(self) -> list[Any]:
        """The texture of each face, hidden parts mirrored; computed once for all outputs that need it."""
        return [uv_texture(face, self.image, size=self.texture_size) for face in self.faces]

    @cached_property
    def attributes(self) -> list[Attributes]:
        """The estimated attributes of each face; the network is loaded when the first output asks for them."""
        return default_estimator(self.device).estimate_all(self.image, self.faces)


Write = Callable[[Path, Scene], list[Path]]
WriteFace = Callable[[Path, Scene, int], list[Path]]


@dataclass(frozen=True)
class Output:
    """Something that can be made of a picture.

    Attributes:
        name: as users call it.
        help: one line.
        endings: of the names of its files, after the name of the picture; what is made per face begins with the number of the face.
        write: makes the files for a scene and returns them. Their names begin with the path it is given, which has no suffix.
    """

    name: str
    help: str
    endings: tuple[str, ...]
    write: Write


OUTPUTS: dict[str, Output] = {}
"""All outputs by name."""


def parse_outputs(names: Sequence[str]) -> list[Output]:
    """Look outputs up by name; repeated ones come once.

    Raises:
        ConfigError: there is no such output.
    """
    for name in names:
        if name not in OUTPUTS:
            raise ConfigError(f"unknown output '{name}': known are {', '.join(OUTPUTS)}, json")
    return [OUTPUTS[name] for name in dict.fromkeys(names)]


def output(name: str, help_text: str, *endings: str) -> Callable[[Write], Write]:
    """Register a function that makes one file or more for a whole picture."""

    def register(write: Write) -> Write:
        OUTPUTS[name] = Output(name, help_text, endings, write)
        return write

    return register


def face_output(name: str, help_text: str, *endings: str) -> Callable[[WriteFace], WriteFace]:
    """Register a function that makes files for one face; they are called ``<picture>_1...``, ``<picture>_2...``."""

    def register(write_face: WriteFace) -> WriteFace:
        def write(stem: Path, scene: Scene) -> list[Path]:
            written: list[Path] = []
            for i in range(len(scene.faces)):
                written += write_face(_extended(stem, f"_{i + 1}"), scene, i)
            return written

        numbered = tuple(f"_1{ending}" for ending in endings)
        OUTPUTS[name] = Output(name, help_text, numbered, write)
        return write_face

    return register


@output("landmarks", "the 68 landmarks drawn on the picture", "_landmarks.jpg")
def _landmarks(stem: Path, scene: Scene) -> list[Path]:
    return [_painted(stem, scene, "landmarks", ".jpg")]


@output("mesh", "the dense mesh drawn on the picture", "_mesh.jpg")
def _mesh(stem: Path, scene: Scene) -> list[Path]:
    return [_painted(stem, scene, "mesh", ".jpg")]


@output("pose", "a box that turns with the head, axes, yaw, pitch and roll", "_pose.jpg")
def _pose(stem: Path, scene: Scene) -> list[Path]:
    return [_painted(stem, scene, "pose", ".jpg")]


@output(
    "depth",
    "depth, (H, W) float32 px, NaN outside; the same in colors",
    "_depth.npy",
    "_depth.png",
)
def _depth(stem: Path, scene: Scene) -> list[Path]:
    depth = scene_depth(scene.faces, scene.image.shape[:2])
    picture = write_image(_extended(stem, "_depth.png"), color_depth(depth))
    return [write_array(_extended(stem, "_depth.npy"), depth), picture]


@output("pncc", "projected normalised coordinates, black outside", "_pncc.png")
def _pncc(stem: Path, scene: Scene) -> list[Path]:
    codes = pncc(scene.faces, scene.image.shape[:2])
    return [write_image(_extended(stem, "_pncc.png"), codes)]


@output("parsing", "the class of each pixel, 8 bits, 0 outside", "_parsing.png")
def _parsing(stem: Path, scene: Scene) -> list[Path]:
    classes = parsing_map(scene.faces, scene.image.shape[:2])
    return [write_image(_extended(stem, "_parsing.png"), classes)]


@output("attributes", "estimated age, gender presentation, expression", "_attributes.jpg")
def _attributes(stem: Path, scene: Scene) -> list[Path]:
    picture = draw_attributes(scene.image, scene.faces, scene.attributes)
    return [write_image(_extended(stem, "_attributes.jpg"), picture)]


@face_output("uv_texture", "the face unrolled, hidden parts mirrored", "_uv_texture.png")
def _uv_texture(stem: Path, scene: Scene, face: int) -> list[Path]:
    return [write_image(_extended(stem, "_uv_texture.png"), scene.textures[face].image)]


@face_output("uv_position", "image px of each texel, (size, size, 3) float32", "_uv_position.npy")
def _uv_position(stem: Path, scene: Scene, face: int) -> list[Path]:
    positions = uv_position_map(scene.faces[face], size=scene.uv_size)
    return [write_array(_extended(stem, "_uv_position.npy"), positions)]


@face_output("obj", "the textured mesh, metres", ".obj", ".mtl", ".png")
def _obj(stem: Path, scene: Scene, face: int) -> list[Path]:
    path, texture = _extended(stem, ".obj"), scene.textures[face]
    return write_obj(path, scene.faces[face], texture=texture)


@face_output("ply", "the mesh with colors, metres", ".ply")
def _ply(stem: Path, scene: Scene, face: int) -> list[Path]:
    path, texture = _extended(stem, ".ply"), scene.textures[face]
    return list(write_ply(path, scene.faces[face], texture=texture))


@face_output("glb", "the textured mesh with the expressions as morph targets, metres", ".glb")
def _glb(stem: Path, scene: Scene, face: int) -> list[Path]:
    path, texture = _extended(stem, ".glb"), scene.textures[face]
    return list(write_glb(path, scene.faces[face], texture=texture))


def _painted(stem: Path, scene: Scene, layer: str, suffix: str) -> Path:
    picture = paint_layers(scene.image, scene.faces, scene.model, [layer], scene.device)
    return write_image(_extended(stem, f"_{layer}{suffix}"), picture)


def _extended(stem: Path, ending: str) -> Path:
    """Not ``with_suffix``: a stem such as ``photo.v2`` has something that looks like one."""
    return stem.with_name(stem.name + ending)
