"""Write a cartoon avatar with a rig of its own as GLB, to try ``tddfa avatar --rig`` without a download.

    python scripts/make_sample_avatar.py OUTPUT.glb

The avatar is made of simple shapes and in the public domain (CC0). It is in centimeters below a scaled root node, its head turns about a joint
named "Head", and its five meshes have different subsets of ARKit's blend shapes, some written with ``_L`` and ``_R``.
"""

from __future__ import annotations

import argparse
import json
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.errors import TddfaError
from tddfa_ros.files import atomic_path
from tddfa_ros.rendering.shading import vertex_normals
from tddfa_ros.targets import check_targets

Points = NDArray[np.float32]
FLOAT, UINT = 5126, 5125
SKIN, DARK, LIP = (0.93, 0.55, 0.36), (0.05, 0.02, 0.03), (0.70, 0.16, 0.17)
WHITE, IRIS, HAIR = (0.92, 0.92, 0.92), (0.08, 0.30, 0.42), (0.10, 0.05, 0.04)
EYE = np.array([3.6, 2.0, 8.3])  # cm, the left one; its radius is 2
SIDES = {"_L": 1.0, "_R": -1.0}


@dataclass
class Shape:
    """A mesh: vertices (n, 3) cm, triangles (t, 3), a color (3,) linear, and displacements (n, 3) by name."""

    vertices: Points
    triangles: NDArray[np.int32]
    color: tuple[float, float, float]
    targets: dict[str, Points] = field(default_factory=dict)


def grid(rows: int, columns: int) -> NDArray[np.int32]:
    """Return the triangles of a grid of vertices, row by row, seen from outside counter-clockwise."""
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(columns - 1), indexing="ij")
    a = (i * columns + j).ravel()
    b, c, d = a + 1, a + columns, a + columns + 1
    return np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)]).astype(np.int32)


def sphere(
    radii: tuple[float, float, float], top: float = 0.0, bottom: float = np.pi, steps: int = 48
) -> tuple[Points, NDArray[np.int32]]:
    """Return a part of an ellipsoid between two polar angles from +y."""
    polar, around = np.meshgrid(
        np.linspace(top, bottom, steps), np.linspace(-np.pi, np.pi, 2 * steps), indexing="ij"
    )
    way = np.stack([np.sin(polar) * np.sin(around), np.cos(polar), np.sin(polar) * np.cos(around)])
    points = (way.reshape(3, -1).T * radii).astype(np.float32)
    return points, grid(steps, 2 * steps)


def joined(name_to_shape: Mapping[str, Shape]) -> Shape:
    """Return shapes of one color as one; a target moves only the shapes that have it."""
    shapes = list(name_to_shape.values())
    starts = np.cumsum([0, *(len(s.vertices) for s in shapes)])
    names = dict.fromkeys(name for s in shapes for name in s.targets)
    targets = {
        name: np.concatenate([s.targets.get(name, np.zeros_like(s.vertices)) for s in shapes])
        for name in names
    }
    triangles = np.concatenate([s.triangles + b for s, b in zip(shapes, starts, strict=False)])
    vertices = np.concatenate([s.vertices for s in shapes])
    return Shape(vertices, triangles.astype(np.int32), shapes[0].color, targets)


def skull() -> Shape:
    """The head: its chin drops with the jaw, its cheeks rise with a smile."""
    points, triangles = sphere((8.6, 11.5, 9.6))
    x, y, z = points.T
    nose = np.exp(-((x / 1.5) ** 2) - ((y + 0.6) / 1.9) ** 2) * (z > 0)
    points[:, 2] += (2.2 * nose).astype(np.float32)
    below = np.clip((-y - 3) / 7, 0, 1) * np.clip((z + 3) / 6, 0, 1)
    targets = {"jawOpen": np.stack([0 * x, -2.6 * below, -0.5 * below], 1)}
    for side, sign in SIDES.items():
        cheek = np.exp(-(((x - sign * 4.6) / 2.4) ** 2) - ((y + 2.4) / 2.2) ** 2) * (z > 0)
        targets[f"mouthSmile{side}"] = np.stack([0 * x, 0.5 * cheek, 0.7 * cheek], 1)
        targets[f"cheekSquint{side}"] = np.stack([0 * x, 0.6 * cheek, 0.3 * cheek], 1)
    return Shape(points, triangles, SKIN, {k: v.astype(np.float32) for k, v in targets.items()})


def mouth(color: tuple[float, float, float], grow: float, ahead: float) -> Shape:
    """An ellipse in front of the face: the lips, and the opening between them."""
    rings, spokes = 6, 49
    r, a = np.meshgrid(np.linspace(0, 1, rings), np.linspace(0, 2 * np.pi, spokes), indexing="ij")
    u, v = (r * np.cos(a)).ravel(), (r * np.sin(a)).ravel()
    wide, high = 2.9 + grow, 0.12 + grow
    x, y = wide * u, -5.2 + high * v
    front = 9.6 * np.sqrt(np.clip(1 - (x / 8.6) ** 2 - (y / 11.5) ** 2, 0, 1)) + 0.25 + ahead
    points = np.stack([x, y, front], 1).astype(np.float32)
    down = np.clip(0.5 - 0.5 * v, 0, 1)  # 1 at the lower lip
    targets = {
        "mouthFunnel": np.stack([-0.45 * x, 0.7 * v, 0.4 * r.ravel()], 1),
        "mouthPucker": np.stack([-0.5 * x, 0.35 * v, 0.5 * r.ravel()], 1),
        "jawOpen": np.stack([-0.12 * x, -2.5 * down, -0.45 * down], 1),
    }
    for side, sign in SIDES.items():
        corner = np.clip(sign * u, 0, 1) ** 2
        targets[f"mouthSmile{side}"] = np.stack([sign * corner, 1.5 * corner, -0.5 * corner], 1)
        targets[f"mouthFrown{side}"] = np.stack([0 * x, -1.2 * corner, 0.1 * corner], 1)
    shape = Shape(points, grid(rings, spokes)[:, ::-1], color)
    shape.targets = {name: value.astype(np.float32) for name, value in targets.items()}
    return shape


def eyes() -> tuple[Shape, Shape, Shape]:
    """White balls, irises that look about, and lids that turn over them."""
    balls, irises, lids = {}, {}, {}
    for side, sign in SIDES.items():
        center = (EYE * [sign, 1, 1]).astype(np.float32)
        points, triangles = sphere((2.0, 2.0, 2.0), steps=24)
        balls[side] = Shape(points + center, triangles, WHITE)
        disc, triangles = sphere((2.12, 2.12, 2.12), 0, 0.5, steps=16)
        forward = disc[:, [0, 2, 1]] * np.array([1, -1, 1], np.float32)  # +y to +z
        looks = {}
        outward = {"Out": sign, "In": -sign}
        for name, x, y in (
            *(("Up", 0.0, 0.5), ("Down", 0.0, -0.5)),
            *((name, 0.5 * way, 0.0) for name, way in outward.items()),
        ):
            look = turned(forward, -y, x) - forward
            look[:, 2] *= 0.4  # a sum of targets must not sink into the eyeball
            looks[f"eyeLook{name}{side}"] = look
        irises[side] = Shape(forward + center, triangles, IRIS, looks)
        half, triangles = sphere((2.3, 2.3, 2.3), 0, np.pi / 2, steps=24)
        opened = turned(half, -0.75, 0.0)
        close = {f"eyeBlink{side}": turned(half, 0.75, 0.0) - opened}
        close[f"eyeWide{side}"] = turned(half, -1.05, 0.0) - opened
        lids[side] = Shape(opened + center, triangles, SKIN, close)
    return joined(balls), joined(irises), joined(lids)


def turned(points: Points, pitch: float, yaw: float) -> Points:
    """Rotate points about x (rad, forward is down), then about y (to the left)."""
    (a, b), (c, d) = (np.cos(pitch), np.sin(pitch)), (np.cos(yaw), np.sin(yaw))
    about_x = np.array([[1, 0, 0], [0, a, -b], [0, b, a]])
    about_y = np.array([[c, 0, d], [0, 1, 0], [-d, 0, c]])
    return (points @ (about_y @ about_x).T).astype(np.float32)


def brows() -> Shape:
    """Two bars that rise and sink."""
    bars = {}
    for side, sign in SIDES.items():
        points, triangles = sphere((1.9, 0.32, 0.4), steps=16)
        inner = np.clip(0.5 - points[:, 0] * sign / 3.8, 0, 1)
        lift = np.zeros_like(points)
        lift[:, 1] = 1.1 * inner
        raised, down = np.zeros_like(points), np.zeros_like(points)
        raised[:, 1], down[:, 1] = 1.0 * (1 - inner), -0.9
        bars[side] = Shape(points + np.float32([3.7 * sign, 5.3, 8.4]), triangles, HAIR)
        bars[side].targets = {
            "browInnerUp": lift,
            f"browDown{side}": down,
            f"browOuterUp{side}": raised,
        }
    return joined(bars)


def avatar() -> dict[str, Shape]:
    """Return the meshes of the avatar by name."""
    balls, irises, lids = eyes()
    cap, triangles = sphere((9.1, 11.9, 10.2), 0, 1.05)
    hair = Shape(turned(cap, -0.42, 0.0), triangles, HAIR)
    out = {"Brows": brows(), "Mouth": mouth(DARK, 0.0, 0.12), "Lips": mouth(LIP, 0.45, 0.0)}
    return out | {"Lids": lids, "Irises": irises, "Eyeballs": balls, "Skull": skull(), "Hair": hair}


def to_glb(shapes: Mapping[str, Shape]) -> bytes:
    """Encode meshes as GLB below the nodes Root (scaled to meters) > Hips > Neck > Head."""
    content, views, accessors = bytearray(), [], []

    def add(values: NDArray[Any], kind: str, component: int, bounds: bool = False) -> int:
        data = values.tobytes()
        views.append({"buffer": 0, "byteOffset": len(content), "byteLength": len(data)})
        content.extend(data + b"\0" * (-len(data) % 4))
        entry: dict[str, Any] = {"bufferView": len(views) - 1, "componentType": component}
        entry |= {"count": len(values), "type": kind}
        if bounds:
            entry |= {"min": values.min(0).tolist(), "max": values.max(0).tolist()}
        accessors.append(entry)
        return len(accessors) - 1

    meshes, materials = [], []
    for name, shape in shapes.items():
        vertices = shape.vertices.astype(np.float32)
        normals = vertex_normals(vertices, shape.triangles)
        normals[~normals.any(axis=1)] = (0, 0, 1)
        primitive: dict[str, Any] = {
            "attributes": {
                "POSITION": add(vertices, "VEC3", FLOAT, bounds=True),
                "NORMAL": add(normals.astype(np.float32), "VEC3", FLOAT),
            },
            "indices": add(shape.triangles.astype(np.uint32).ravel(), "SCALAR", UINT),
            "material": len(materials),
        }
        mesh: dict[str, Any] = {"name": name, "primitives": [primitive]}
        if shape.targets:
            primitive["targets"] = [
                {"POSITION": add(d.astype(np.float32), "VEC3", FLOAT, bounds=True)}
                for d in shape.targets.values()
            ]
            mesh["extras"] = {"targetNames": list(shape.targets)}
        meshes.append(mesh)
        surface = {"baseColorFactor": [*shape.color, 1.0], "metallicFactor": 0.0}
        surface["roughnessFactor"] = 0.3 if name == "Eyeballs" else 0.8
        materials.append({"name": name, "pbrMetallicRoughness": surface, "doubleSided": True})
    first = 4
    nodes: list[dict[str, Any]] = [
        {"name": "Root", "scale": [0.01, 0.01, 0.01], "children": [1]},
        {"name": "Hips", "translation": [0, 95, 0], "children": [2]},
        {"name": "Neck", "translation": [0, 50, -2], "children": [3]},
        {"name": "Head", "translation": [0, 14, 2]},
    ]
    nodes[3]["children"] = [first + i for i in range(len(meshes))]
    nodes += [{"name": mesh["name"], "mesh": i} for i, mesh in enumerate(meshes)]
    document = {
        "asset": {"version": "2.0", "copyright": "CC0", "generator": Path(__file__).name},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        **{"nodes": nodes, "meshes": meshes, "materials": materials},
        **{"accessors": accessors, "bufferViews": views},
        "buffers": [{"byteLength": len(content)}],
    }
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    chunks += struct.pack("<I4s", len(content), b"BIN\0") + bytes(content)
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def write_avatar(path: Path) -> Path:
    """Write the avatar."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(to_glb(avatar()))
    return path


def main(arguments: list[str] | None = None) -> None:
    """Write the file that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("output", type=Path, help="the .glb file to write")
    parser.add_argument("--overwrite", action="store_true", help="overwrite an existing file")
    options = parser.parse_args(arguments)
    try:
        check_targets([options.output], (), overwrite=options.overwrite)
        print(write_avatar(options.output))
    except TddfaError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
