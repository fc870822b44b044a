"""A small morphable model for tests: an ellipsoid head with a nose, 68 plausible landmarks, smooth random bases.

It has the size of a head (15 x 22 x 19 cm) and the conventions of real models: model frame, iBUG-68 order,
counter-clockwise triangles, v up, ARKit's expression names.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.morphable.model import MorphableModel

_SIDES = ("Left", "Right")
ARKIT_NAMES: tuple[str, ...] = (
    *("browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight"),
    *("cheekPuff", "cheekSquintLeft", "cheekSquintRight"),
    *(
        f"eye{what}{side}"
        for what in ("Blink", "LookDown", "LookIn", "LookOut", "LookUp")
        for side in _SIDES
    ),
    *(f"eye{what}{side}" for what in ("Squint", "Wide") for side in _SIDES),
    *("jawForward", "jawLeft", "jawOpen", "jawRight", "mouthClose"),
    *(f"mouth{what}{side}" for what in ("Dimple", "Frown") for side in _SIDES),
    *("mouthFunnel", "mouthLeft"),
    *(f"mouth{what}{side}" for what in ("LowerDown", "Press") for side in _SIDES),
    *(
        "mouthPucker",
        "mouthRight",
        "mouthRollLower",
        "mouthRollUpper",
        "mouthShrugLower",
        "mouthShrugUpper",
    ),
    *(f"mouth{what}{side}" for what in ("Smile", "Stretch", "UpperUp") for side in _SIDES),
    *("noseSneerLeft", "noseSneerRight", "tongueOut"),
)
REGIONS = ("skin", "nose", "neck")
_RADII = np.array([0.075, 0.11, 0.095])


@functools.lru_cache(maxsize=4)
def synthetic_model(
    rows: int = 24, columns: int = 32, shape: int = 40, expressions: int = 52, seed: int = 0
) -> MorphableModel:
    """Return a model of ``(rows - 1) * columns + 2`` vertices; cached by its arguments."""
    rng = np.random.default_rng(seed)
    mean, triangles, uv = _surface(rows, columns)
    landmark_triangles, weights = _landmarks(mean, triangles)
    origin = np.einsum("lcx,lc->lx", mean[triangles[landmark_triangles]], weights).mean(axis=0)
    mean = mean - origin
    coarse_indices, coarse_triangles = _coarse(rows, columns)
    regions = np.zeros(len(mean), dtype=np.uint8)
    regions[_nose(mean + origin) > 0.3] = 1
    regions[mean[:, 1] < -0.09] = 2
    return MorphableModel.create(
        mean=mean,
        shape_basis=_shape_basis(mean, shape, rng),
        expression_basis=_expression_basis(mean, expressions, rng),
        triangles=triangles,
        coarse_indices=coarse_indices,
        coarse_triangles=coarse_triangles,
        uv=uv,
        landmark_triangles=landmark_triangles,
        landmark_weights=weights,
        regions=regions,
        region_names=REGIONS,
        expression_names=ARKIT_NAMES[:expressions],
        name="synthetic",
        license="Apache-2.0",
        provenance="made by test/support/synthetic_model.py",
    )


def frontal_params(
    model: MorphableModel, scale: float = 600.0, x: float = 61.0, y: float = 60.0
) -> NDArray[np.float32]:
    """Return parameters of the mean head in frontal pose: ``scale`` crop px per meter, model origin at (x, y), y up."""
    params = np.zeros(model.layout.size, dtype=np.float32)
    params[:12] = [scale, 0, 0, x, 0, scale, 0, y, 0, 0, scale, 0]
    return params


def random_params(model: MorphableModel, rng: np.random.Generator) -> NDArray[np.float32]:
    """:func:`frontal_params` with a random identity (N(0, 1)) and expression (half of it 0, the rest up to 1)."""
    params = frontal_params(model)
    layout = model.layout
    params[layout.shape_slice] = rng.normal(size=layout.shape)
    active = rng.random(layout.expression) < 0.5
    params[layout.expression_slice] = active * rng.random(layout.expression)
    return params


def _nose(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the nose weight of each point (n, 3) of the ellipsoid, 0..1."""
    spread = (points[:, 0] / 0.012) ** 2 + ((points[:, 1] + 0.005) / 0.022) ** 2
    return np.where(points[:, 2] > 0, np.exp(-spread / 2), 0.0)


def _surface(
    rows: int, columns: int
) -> tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.float64]]:
    """Return vertices, triangles and uv of a latitude-longitude ellipsoid; column 0 is at the back of the head."""
    latitude = np.linspace(-np.pi / 2, np.pi / 2, rows + 1)[1:-1]
    longitude = -np.pi + 2 * np.pi * np.arange(columns) / columns
    lat, lon = np.meshgrid(latitude, longitude, indexing="ij")
    ring = np.stack(
        [np.cos(lat) * np.sin(lon), np.sin(lat), np.cos(lat) * np.cos(lon)], axis=-1
    ).reshape(-1, 3)
    points = np.concatenate([ring, [[0, -1, 0], [0, 1, 0]]]) * _RADII
    points[:, 2] += 0.022 * _nose(points)
    ring_uv = np.stack([(lon / (2 * np.pi) + 0.5), lat / np.pi + 0.5], axis=-1).reshape(-1, 2)
    uv = np.concatenate([ring_uv, [[0.5, 0.0], [0.5, 1.0]]])
    return points, _grid_triangles(len(latitude), columns), uv


def _grid_triangles(rings: int, columns: int) -> NDArray[np.int32]:
    j, i = np.meshgrid(np.arange(rings - 1), np.arange(columns), indexing="ij")
    a, b = (j * columns + i).ravel(), (j * columns + (i + 1) % columns).ravel()
    c, d = a + columns, b + columns
    south, north = rings * columns, rings * columns + 1
    k = np.arange(columns)
    last, after = (rings - 1) * columns, (k + 1) % columns
    caps = [
        np.stack([np.full(columns, south), after, k], axis=1),
        np.stack([last + k, last + after, np.full(columns, north)], axis=1),
    ]
    sides = [np.stack([a, b, d], axis=1), np.stack([a, d, c], axis=1)]
    return np.concatenate([*sides, *caps]).astype(np.int32)


def _coarse(rows: int, columns: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return every second ring and column, and both poles."""
    rings = np.arange(0, rows - 1, 2)
    kept = (rings[:, None] * columns + np.arange(0, columns, 2)).ravel()
    poles = [(rows - 1) * columns, (rows - 1) * columns + 1]
    return np.concatenate([kept, poles]).astype(np.int32), _grid_triangles(len(rings), columns // 2)


def landmark_template() -> NDArray[np.float64]:
    """Return iBUG-68 on a frontal face, (68, 2) x, y in meters; x to the person's left."""
    jaw_angle = np.linspace(np.pi, 2 * np.pi, 17)
    jaw = np.stack([0.066 * np.cos(jaw_angle), 0.012 + 0.095 * np.sin(jaw_angle)], axis=1)
    brow = np.array(
        [[-0.052, 0.036], [-0.044, 0.043], [-0.034, 0.045], [-0.023, 0.043], [-0.013, 0.039]]
    )
    bridge = np.array([[0, 0.027], [0, 0.017], [0, 0.006], [0, -0.005]])
    nostrils = np.array(
        [[-0.014, -0.017], [-0.007, -0.019], [0, -0.021], [0.007, -0.019], [0.014, -0.017]]
    )
    eye = np.array(
        [
            [-0.043, 0.024],
            [-0.036, 0.028],
            [-0.027, 0.028],
            [-0.019, 0.023],
            [-0.027, 0.020],
            [-0.036, 0.020],
        ]
    )
    outer_angle = np.pi - 2 * np.pi * np.arange(12) / 12
    outer = np.stack([0.024 * np.cos(outer_angle), -0.045 + 0.011 * np.sin(outer_angle)], axis=1)
    inner_angle = np.pi - 2 * np.pi * np.arange(8) / 8
    inner = np.stack([0.018 * np.cos(inner_angle), -0.045 + 0.003 * np.sin(inner_angle)], axis=1)
    mirror = np.array([-1.0, 1.0])
    other_brow, other_eye = brow[::-1] * mirror, eye[[3, 2, 1, 0, 5, 4]] * mirror
    return np.concatenate([jaw, brow, other_brow, bridge, nostrils, eye, other_eye, outer, inner])


def _landmarks(
    mean: NDArray[np.float64], triangles: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Project the template along z onto the surface: triangle and barycentric weights."""
    corners = mean[triangles]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    front = np.flatnonzero((normal[:, 2] > 1e-12) & (corners[:, :, 2].min(axis=1) > -0.02))
    a, b, c = np.moveaxis(corners[front][:, :, :2], 1, 0)
    p = landmark_template()[:, None]

    def area(
        u: NDArray[np.float64], v: NDArray[np.float64], w: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        return np.asarray((v - u)[..., 0] * (w - u)[..., 1] - (v - u)[..., 1] * (w - u)[..., 0])

    weights = (
        np.stack([area(p, b, c), area(p, c, a), area(p, a, b)], axis=-1)
        / area(a, b, c)[None, :, None]
    )
    best = weights.min(axis=-1).argmax(axis=1)
    chosen = np.clip(weights[np.arange(68), best], 0, 1)
    return front[best].astype(np.int32), chosen / chosen.sum(axis=1, keepdims=True)


def _shape_basis(
    mean: NDArray[np.float64], count: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Width, height and depth by 4 % each, then smooth waves of 1 mm."""
    basis = np.zeros((len(mean), 3, count))
    for k in range(count):
        if k < 3:
            basis[:, k, k] = 0.04 * mean[:, k]
            continue
        wave = mean @ rng.normal(scale=25.0, size=3) + rng.uniform(0, 2 * np.pi)
        direction = rng.normal(size=3)
        basis[:, :, k] = 0.001 * np.sin(wave)[:, None] * direction / np.linalg.norm(direction)
    return basis


def _expression_basis(
    mean: NDArray[np.float64], count: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Bumps of up to 6 mm with a radius of 3 cm on the front of the face; ``jawOpen`` lowers all below the mouth."""
    basis = np.zeros((len(mean), 3, count))
    for k, name in enumerate(ARKIT_NAMES[:count]):
        if name == "jawOpen":
            amount = np.clip((-0.03 - mean[:, 1]) / 0.05, 0, 1) * (mean[:, 2] > -0.06)
            basis[:, 1, k] = -0.02 * amount
            continue
        x, y = rng.uniform([-0.04, -0.05], [0.04, 0.05])
        distance = np.hypot(mean[:, 0] - x, mean[:, 1] - y) / 0.03
        amount = np.where(mean[:, 2] > -0.05, np.clip(1 - distance, 0, None) ** 2, 0)
        direction = rng.normal(size=3)
        basis[:, :, k] = 0.006 * amount[:, None] * direction / np.linalg.norm(direction)
    return basis
