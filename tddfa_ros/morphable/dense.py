"""Dense reconstruction with less work: identities are kept, and zeros of the expression basis are skipped."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.types import FloatArray

KEPT_IDENTITIES = 64
"""Heads without expression that are kept; each takes 12 bytes per vertex."""

# Products of a vertex and an expression; a further matrix product costs as much.
_LEAST_SAVING = 10000
# Of the products of the whole basis; one with fewer zeros is not split.
_WORTHWHILE = 0.8


@dataclass(frozen=True, eq=False)
class _Zone:
    """Vertices that are moved by the same expressions, with a contiguous part (e, 3n) of the basis; columns ``place`` of the product."""

    expressions: NDArray[np.intp]
    basis: FloatArray
    place: slice


class DenseHead:
    """Evaluates ``mean + shape_basis a + expression_basis e`` for all vertices of a model.

    The part of the identity is computed once per identity: smoothing keeps the coefficients of a track equal over many frames. An
    expression moves a part of the head only: four fifths of the default basis are zeros. Vertices that are moved by the same
    expressions form a zone, and each zone is one dense product for all faces. For one face of 16,247 vertices the zones take 0.6 times
    as long as a product with all zeros; a sparse matrix takes 1.3 times as long.

    Thread-safe.

    Args:
        mean: (N, 3), m.
        shape_basis: (N, 3, S), m.
        expression_basis: (N, 3, E), m.
    """

    def __init__(
        self, mean: FloatArray, shape_basis: FloatArray, expression_basis: FloatArray
    ) -> None:
        self._mean = mean
        self._shape_size = shape_basis.shape[2]
        self._shape_basis = _transposed(shape_basis)
        self._zones: list[_Zone] = []
        self._order: NDArray[np.intp] | None = None
        self._set_zones(expression_basis)
        self._kept: dict[bytes, FloatArray] = {}  # least recently used first
        self._lock = threading.Lock()

    def __call__(self, coefficients: FloatArray, out: Sequence[FloatArray]) -> None:
        """Write a head (N, 3), m, model frame, to ``out`` per row of the coefficients (n, S + E), identity first."""
        for start in range(0, len(coefficients), KEPT_IDENTITIES):  # bounds the temporary memory
            part = slice(start, start + KEPT_IDENTITIES)
            shapes, expressions = np.split(coefficients[part], [self._shape_size], axis=1)
            moved = self._displacements(expressions)
            if len(coefficients) > KEPT_IDENTITIES:  # a data set rather than the faces of an image
                neutral: Sequence[FloatArray] = list(self._neutral(shapes))
            else:
                neutral = self.neutral(shapes)
            for head, rows, base in zip(out[part], moved, neutral, strict=True):
                if self._order is None:
                    np.add(rows[:-1], base, out=head)
                else:
                    rows.take(self._order, axis=0, out=head, mode="clip")
                    head += base

    def neutral(self, shapes: FloatArray) -> list[FloatArray]:
        """Return the heads (N, 3) without expression of up to KEPT_IDENTITIES identities (n, S); read-only."""
        keys = [row.tobytes() for row in shapes]
        with self._lock:
            found = {key: self._kept.pop(key) for key in keys if key in self._kept}
            self._kept.update(found)
        missing = [i for i, key in enumerate(keys) if key not in found]
        if not missing:
            return [found[key] for key in keys]
        for i, head in zip(missing, self._neutral(shapes[missing]), strict=True):
            # A copy of its own, so that one kept head does not hold the others.
            found[keys[i]] = head if len(missing) == 1 else head.copy()
            found[keys[i]].setflags(write=False)
        with self._lock:
            self._kept.update(found)
            for key in list(self._kept)[: max(0, len(self._kept) - KEPT_IDENTITIES)]:
                del self._kept[key]
        return [found[key] for key in keys]

    def _neutral(self, shapes: FloatArray) -> FloatArray:
        flat = shapes @ self._shape_basis
        flat += self._mean.reshape(-1)
        return flat.reshape(len(shapes), -1, 3)

    def _displacements(self, expressions: FloatArray) -> FloatArray:
        """Return the movement of the vertices of all zones (n, rows + 1, 3); the last row is zero, for vertices that never move."""
        last = self._zones[-1].place.stop if self._zones else 0
        moved = np.empty((len(expressions), last + 3), np.float32)
        moved[:, last:] = 0.0
        for zone in self._zones:
            np.matmul(expressions[:, zone.expressions], zone.basis, out=moved[:, zone.place])
        return moved.reshape(len(expressions), -1, 3)

    def _set_zones(self, basis: FloatArray) -> None:
        """Split the basis to zones; ``_order`` is the row of the product that each vertex is found in, None = its own."""
        zones = find_zones((basis != 0).any(axis=1))
        count = len(basis)
        if sum(len(v) * len(e) for v, e in zones) > _WORTHWHILE * count * basis.shape[2]:
            zones = [(np.arange(count), np.arange(basis.shape[2]))]
        else:
            self._order = np.full(count, sum(len(vertices) for vertices, _ in zones))
        first = 0
        for vertices, expressions in zones:
            end = first + len(vertices)
            part = _transposed(basis[vertices][:, :, expressions])
            self._zones.append(_Zone(expressions, part, slice(3 * first, 3 * end)))
            if self._order is not None:
                self._order[vertices] = np.arange(first, end)
            first = end


def find_zones(
    moved: NDArray[np.bool_],
) -> Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Group vertices by the expressions that move them, so that the zones hold few zeros.

    Starting with all vertices that move, the zone that saves most is split into the vertices that one expression moves and the others,
    until a split saves less than a further matrix product costs.

    Args:
        moved: (N, E) whether an expression moves a vertex.

    Returns:
        Per zone its vertices and their expressions; a vertex that never moves is in none.
    """
    zones = [_best_split(moved, np.flatnonzero(moved.any(axis=1)))]
    while True:
        saving, vertices, column = zone = max(zones, key=lambda zone: zone[0])
        if saving < _LEAST_SAVING:
            break
        inside = moved[vertices, column]
        zones.remove(zone)
        zones += [_best_split(moved, vertices[inside]), _best_split(moved, vertices[~inside])]
    return [(v, np.flatnonzero(moved[v].any(axis=0))) for _, v, _ in zones if len(v)]


def _best_split(
    moved: NDArray[np.bool_], vertices: NDArray[np.intp]
) -> tuple[float, NDArray[np.intp], int]:
    """Return how many products the best split of a zone saves, the zone, and the expression that splits it."""
    if not len(vertices) or not moved.shape[1]:
        return 0.0, vertices, 0
    part = moved[vertices].astype(np.float32)
    together = part.T @ part  # vertices that two expressions move
    alone = np.diagonal(together)
    inside = alone * (together > 0).sum(axis=1)
    outside = (len(vertices) - alone) * (alone - together > 0).sum(axis=1)
    saving = len(vertices) * np.count_nonzero(alone) - inside - outside
    column = int(np.argmax(saving))
    return float(saving[column]), vertices, column


def _transposed(basis: FloatArray) -> FloatArray:
    """Copy a basis (n, 3, k) to a contiguous matrix (k, 3n)."""
    return np.ascontiguousarray(basis.reshape(-1, basis.shape[2]).T)
