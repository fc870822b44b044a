"""Write GLB (binary glTF 2.0): a textured face with expressions as morph targets, optionally animated."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from tddfa_ros.errors import ConfigError
from tddfa_ros.export.animation import FaceAnimation
from tddfa_ros.export.gltf_buffer import GltfBuffer
from tddfa_ros.export.mesh import Mesh, package, png, texture_image
from tddfa_ros.export.parts import neutral_parts
from tddfa_ros.files import atomic_path
from tddfa_ros.names import printable
from tddfa_ros.rendering.shading import vertex_normals
from tddfa_ros.rendering.texture import Texture
from tddfa_ros.types import FloatArray, ImageBGR

_CLAMP, _LINEAR, _MIPMAPS = 33071, 9729, 9987


@runtime_checkable
class MorphableFace(Protocol):
    """The part of a ``Face`` that is exported."""

    @property
    def params(self) -> FloatArray: ...

    @property
    def model(self) -> Any: ...


def write_glb(
    path: str | Path,
    face_or_mesh: MorphableFace | Mesh,
    texture: Texture | ImageBGR | None = None,
    animation: FaceAnimation | None = None,
) -> list[Path]:
    """Write a face as GLB.

    A face is written as its neutral head in the model frame (meters, y up, looking along +z, as in glTF) with one morph target per
    expression, named in ``mesh.extras.targetNames`` as Blender, Unity and three.js read them; the weights at rest are the face's own expression. Only
    vertices that an expression moves are stored (sparse accessors). An animation moves the weights, and the node in front of a camera at the
    origin. Models with the inside of a mouth get the meshes ``upper_teeth`` and ``lower_teeth`` as children of the face; the lower teeth have the same morph
    targets, so set the weights of every mesh that has them. A mesh is written unchanged.

    Args:
        path: the ``.glb`` file; its folder is created.
        texture: UV texture, BGR, row 0 at v = 1; None = light gray.
        animation: animation of the same model; None = static.

    Returns:
        The written file.

    Raises:
        ModelError: mesh and texture do not fit together. ConfigError: the animation does not fit the model.
        TddfaError: the file cannot be written, or pygltflib is not installed.
    """
    lib = package("pygltflib", "GLB files")
    path = Path(path)
    mesh = face_or_mesh if isinstance(face_or_mesh, Mesh) else neutral_mesh(face_or_mesh)
    image = texture_image(mesh, texture)
    gltf = lib.GLTF2(asset=lib.Asset(generator="tddfa_ros", version="2.0"))
    buffer = GltfBuffer(lib)
    primitive = _primitive(lib, buffer, mesh)
    drawn = lib.Mesh(name=printable(path.stem), primitives=[primitive])
    gltf.meshes, gltf.nodes = [drawn], [lib.Node(name=printable(path.stem), mesh=0)]
    gltf.scenes, gltf.scene = [lib.Scene(nodes=[0])], 0
    gltf.materials = [_material(lib, image is not None)]
    if not isinstance(face_or_mesh, Mesh):
        _add_expressions(lib, buffer, drawn, face_or_mesh)
        _add_parts(lib, buffer, gltf, face_or_mesh)
    if image is not None:
        view = buffer.add(png(image))
        gltf.images = [lib.Image(bufferView=view, mimeType="image/png", name="texture")]
        gltf.samplers = [
            lib.Sampler(magFilter=_LINEAR, minFilter=_MIPMAPS, wrapS=_CLAMP, wrapT=_CLAMP)
        ]
        gltf.textures = [lib.Texture(source=0, sampler=0)]
    if animation is not None:
        moving = [i for i, mesh in enumerate(gltf.meshes) if mesh.weights]
        gltf.animations = [_animation(lib, buffer, animation, len(drawn.weights or []), moving)]
        _rest(gltf.nodes[0], animation)
    buffer.finish(gltf)
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"".join(gltf.save_to_bytes()))
    return [path]


def neutral_mesh(face: MorphableFace) -> Mesh:
    """Return the head of a face without pose and expression, m, model frame."""
    model = face.model
    params = np.array(face.params, dtype=np.float32)
    params[model.layout.expression_slice] = 0
    return Mesh(model.head(params), model.triangles, model.uv)


def _primitive(lib: Any, buffer: GltfBuffer, mesh: Mesh) -> Any:
    attributes = lib.Attributes(
        POSITION=buffer.vectors(mesh.vertices, bounds=True),
        NORMAL=buffer.vectors(_unit_normals(mesh)),
    )
    if mesh.uv is not None:
        # glTF counts v from the top
        flipped = np.stack([mesh.uv[:, 0], 1 - mesh.uv[:, 1]], axis=1)
        attributes.TEXCOORD_0 = buffer.vectors(flipped)
    return lib.Primitive(
        attributes=attributes, indices=buffer.triangles(mesh.triangles), material=0
    )


def _unit_normals(mesh: Mesh) -> FloatArray:
    """Return unit normals, as the format requires, including unused vertices."""
    normals = vertex_normals(mesh.vertices, mesh.triangles)
    normals[~normals.any(axis=1)] = (0, 0, 1)
    return normals


def _add_expressions(lib: Any, buffer: GltfBuffer, drawn: Any, face: MorphableFace) -> None:
    _add_targets(lib, buffer, drawn, face, face.model.expression_basis)


def _add_targets(
    lib: Any, buffer: GltfBuffer, drawn: Any, face: MorphableFace, basis: FloatArray
) -> None:
    """Add the displacements (N, 3, E) of the expressions of a face to a mesh, with the names and weights of the face."""
    model = face.model
    drawn.primitives[0].targets = [
        lib.Attributes(POSITION=buffer.sparse_vectors(basis[:, :, i]))
        for i in range(basis.shape[2])
    ]
    drawn.weights = model.layout.split(face.params)[2].astype(float).tolist()
    drawn.extras = {"targetNames": list(model.expression_names)}


def _material(lib: Any, textured: bool) -> Any:
    surface = lib.PbrMetallicRoughness(metallicFactor=0.0, roughnessFactor=0.9)
    if textured:
        surface.baseColorTexture = lib.TextureInfo(index=0)
    else:
        surface.baseColorFactor = [0.8, 0.8, 0.8, 1.0]
    return lib.Material(
        name="face", pbrMetallicRoughness=surface, doubleSided=True, alphaCutoff=None
    )


def _add_parts(lib: Any, buffer: GltfBuffer, gltf: Any, face: MorphableFace) -> None:
    """Add the teeth as children of the face; the lower ones with the same morph targets, most of which do not move them."""
    for part in neutral_parts(face):
        number = len(gltf.meshes)
        colors = np.ascontiguousarray(_linear(part.colors[:, ::-1]))
        attributes = lib.Attributes(
            POSITION=buffer.vectors(part.mesh.vertices, bounds=True),
            NORMAL=buffer.vectors(_unit_normals(part.mesh)),
            COLOR_0=buffer.vectors(colors),
        )
        drawn = lib.Mesh(
            name=part.name,
            primitives=[
                lib.Primitive(
                    attributes=attributes, indices=buffer.triangles(part.mesh.triangles), material=1
                )
            ],
        )
        if part.targets is not None:
            _add_targets(lib, buffer, drawn, face, part.targets)
        gltf.meshes.append(drawn)
        gltf.nodes.append(lib.Node(name=part.name, mesh=number))
        gltf.nodes[0].children = [*(gltf.nodes[0].children or []), number]
    if len(gltf.meshes) > 1:
        enamel = lib.PbrMetallicRoughness(metallicFactor=0.0, roughnessFactor=0.35)
        gltf.materials.append(
            lib.Material(
                name="teeth", pbrMetallicRoughness=enamel, doubleSided=True, alphaCutoff=None
            )
        )


def _linear(srgb: FloatArray) -> FloatArray:
    """Convert sRGB 0..1 to linear light, as vertex colors are stored (IEC 61966-2-1)."""
    low, high = srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4
    return np.where(srgb <= 0.04045, low, high).astype(np.float32)


def _animation(
    lib: Any, buffer: GltfBuffer, animation: FaceAnimation, targets: int, moving: list[int]
) -> Any:
    """Add channels of the weights of the ``moving`` nodes and, if present, of rotation and translation of the first."""
    if animation.weights.shape[1] != targets:
        raise ConfigError(
            f"an animation with {animation.weights.shape[1]} weights does not fit {targets} expressions"
        )
    times = buffer.scalars(animation.times, bounds=True)
    outputs = {"weights": buffer.scalars(animation.weights.ravel())}
    if animation.rotations is not None:
        outputs["rotation"] = buffer.vectors(animation.rotations)
    if animation.translations is not None:
        outputs["translation"] = buffer.vectors(animation.translations)
    out = lib.Animation(name="performance")
    for index, (path, accessor) in enumerate(outputs.items()):
        out.samplers.append(
            lib.AnimationSampler(input=times, output=accessor, interpolation="LINEAR")
        )
        for node in moving if path == "weights" else [0]:
            target = lib.AnimationChannelTarget(node=node, path=path)
            out.channels.append(lib.AnimationChannel(sampler=index, target=target))
    return out


def _rest(node: Any, animation: FaceAnimation) -> None:
    """Move the head to the start of the animation, for viewers that fit the view before playing."""
    if animation.rotations is not None:
        node.rotation = animation.rotations[0].astype(float).tolist()
    if animation.translations is not None:
        node.translation = animation.translations[0].astype(float).tolist()
