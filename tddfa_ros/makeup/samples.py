"""Sample try-on objects from procedural geometry: glasses and a hat.

Sizes fit an adult head; the origin of the glasses is the bridge of the nose, that of the hat the top of the head.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tddfa_ros.errors import ConfigError
from tddfa_ros.export.mesh import package
from tddfa_ros.files import atomic_path
from tddfa_ros.makeup.objects import PURPOSE, TryOnObject, object_of_scene
from tddfa_ros.types import DoubleArray, IntArray

_FRAME, _LENS = (38, 22, 20, 255), (70, 90, 110, 56)
_FELT, _BAND = (46, 52, 84, 255), (150, 36, 44, 255)
_SIDES = 12  # of a tube
_RIM = 1.6  # mm, radius of the frame


def sample_names() -> tuple[str, ...]:
    """Return the names of the sample objects."""
    return tuple(_SAMPLES)


def sample_anchor(name: str) -> str:
    """Return the place on the head of a sample."""
    return _SAMPLES[name][1]


def sample_object(name: str) -> TryOnObject:
    """Build a sample object.

    Raises:
        ConfigError: the sample is unknown. TddfaError: trimesh is not installed.
    """
    return object_of_scene(_scene(name), name)


def write_sample(name: str, path: Path) -> Path:
    """Write a sample object as a GLB file.

    Raises:
        ConfigError: the sample is unknown. TddfaError: the file cannot be written, or trimesh is not installed.
    """
    content = _scene(name).export(file_type="glb")
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    return path


def _scene(name: str) -> Any:
    if name not in _SAMPLES:
        raise ConfigError(f"unknown sample '{name}': known are {', '.join(_SAMPLES)}")
    return _SAMPLES[name][0](package("trimesh", PURPOSE))


def _glasses(trimesh: Any) -> Any:
    """Build glasses 140 mm wide: two rims with lenses, a bridge, and temples that bend behind the ears."""
    scene = trimesh.Scene()
    frame = []
    for side in (-1.0, 1.0):
        rim = _rim(side)
        frame.append(_tube(rim, _RIM, closed=True))
        lens = np.concatenate([[rim.mean(axis=0)], rim])
        ring = 1 + np.arange(len(rim))
        fan = np.stack([np.zeros_like(ring), ring, np.roll(ring, -1)], axis=1).astype(np.int32)
        _add(scene, trimesh, (lens, fan), _LENS, f"lens_{side:+.0f}")
        hinge = [[58.5, 9, -1.5], [64, 10, -3], [69, 10.5, -6], [72, 10.5, -12]]
        temple = [[73.5, 10.5, -40], [74, 11, -70], [74.5, 10, -80], [75, 5, -88], [75, -6, -95]]
        path = np.array([*hinge, *temple, [74, -16, -99]]) * [side, 1, 1]
        frame.append(_tube(_resampled(path), 1.4, closed=False))
    bridge = np.array([[-8, 5, 3.0], [-4, 7.5, 4.6], [0, 8.3, 5.0], [4, 7.5, 4.6], [8, 5, 3.0]])
    frame.append(_tube(_resampled(bridge), 1.6, closed=False))
    for i, tube in enumerate(frame):
        _add(scene, trimesh, tube, _FRAME, f"frame_{i}")
    return scene


def _rim(side: float) -> DoubleArray:
    """Return points (k, 3) of one rim: a superellipse, slightly wider at the top, curved around the face."""
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    c, s = np.cos(angle), np.sin(angle)
    x = 25.5 * np.sign(c) * np.abs(c) ** 0.72
    y = 19.0 * np.sign(s) * np.abs(s) ** 0.80
    x = x * (1 + 0.06 * y / 19)
    z = 4.0 - 0.0022 * (x + 33) ** 2 + 0.03 * y
    return np.stack([side * (x + 33.5), y + 2.5, z], axis=1)


def _hat(trimesh: Any) -> Any:
    """Build a felt hat with a band: a profile revolved around an ellipse for a head circumference of 58 cm and hair."""
    profile = [
        *((0.97, 0.0, _FELT), (1.25, 0.5, _FELT), (1.46, 6.0, _FELT), (1.48, 8.0, _FELT)),
        *((1.45, 9.0, _FELT), (1.25, 4.0, _FELT), (1.02, 3.5, _FELT), (1.025, 4.0, _BAND)),
        *((1.02, 28.0, _BAND), (1.0, 28.5, _FELT), (0.98, 50.0, _FELT), (0.93, 72.0, _FELT)),
        *((0.84, 86.0, _FELT), (0.68, 94.0, _FELT), (0.40, 95.0, _FELT), (0.0, 92.0, _FELT)),
    ]
    angle = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    ring = np.stack([82 * np.sin(angle), np.zeros_like(angle), 106 * np.cos(angle)], axis=1)
    points = np.concatenate([ring * factor + [0, height, 0] for factor, height, _ in profile])
    colors = np.repeat([color for *_, color in profile], len(angle), axis=0)
    tilt = np.deg2rad(-9)  # higher above the forehead than at the nape
    turn = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    placed = points @ turn.T + [0, -64, -6]
    scene = trimesh.Scene()
    mesh = trimesh.Trimesh(
        0.001 * placed, _grid(len(profile), len(angle)), process=False, vertex_colors=colors
    )
    scene.add_geometry(mesh, "hat")
    return scene


def _tube(path: DoubleArray, radius: float, closed: bool) -> tuple[DoubleArray, IntArray]:
    """Return vertices and triangles of an open tube around a path (k, 3)."""
    around = np.roll(path, -1, axis=0) - np.roll(path, 1, axis=0)
    ahead = around if closed else np.gradient(path, axis=0)
    ahead = ahead / np.linalg.norm(ahead, axis=1, keepdims=True)
    # Rotation-minimizing normals: each is the previous one, orthogonalized.
    side = np.zeros_like(path)
    last = np.cross(ahead[0], [0.3, 0.9, 0.32])
    for i, direction in enumerate(ahead):
        last = last - (last @ direction) * direction
        last = last / np.linalg.norm(last)
        side[i] = last
    other = np.cross(ahead, side)
    angle = np.linspace(0, 2 * np.pi, _SIDES, endpoint=False)[None, :, None]
    rings = path[:, None] + radius * (
        np.cos(angle) * side[:, None] + np.sin(angle) * other[:, None]
    )
    rows = [*rings, rings[0]] if closed else list(rings)
    return np.concatenate(rows), _grid(len(rows), _SIDES)


def _grid(rings: int, sides: int) -> IntArray:
    """Return triangles between adjacent rings of ``sides`` vertices."""
    j, i = np.meshgrid(np.arange(rings - 1), np.arange(sides), indexing="ij")
    a, b = (j * sides + i).ravel(), (j * sides + (i + 1) % sides).ravel()
    c, d = a + sides, b + sides
    return np.concatenate([np.stack([a, b, d], 1), np.stack([a, d, c], 1)]).astype(np.int32)


def _resampled(path: DoubleArray, steps: int = 8) -> DoubleArray:
    """Resample a smooth curve through points (k, 3)."""
    from scipy.interpolate import PchipInterpolator

    at = np.arange(len(path))
    fine = np.linspace(0, len(path) - 1, steps * (len(path) - 1) + 1)
    return np.asarray(PchipInterpolator(at, path)(fine))


def _add(
    scene: Any,
    trimesh: Any,
    mesh: tuple[DoubleArray, IntArray],
    color: tuple[int, ...],
    name: str,
) -> None:
    """Add a mesh in mm, of one color, to a scene in m."""
    material = trimesh.visual.material.PBRMaterial(
        baseColorFactor=color,
        alphaMode="BLEND" if color[3] < 255 else "OPAQUE",
        doubleSided=True,
        name=name,
    )
    visual = trimesh.visual.TextureVisuals(material=material)
    scene.add_geometry(
        trimesh.Trimesh(0.001 * mesh[0], mesh[1], visual=visual, process=False), name
    )


_SAMPLES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "glasses": (_glasses, "nose_bridge"),
    "hat": (_hat, "head_top"),
}
