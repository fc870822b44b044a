"""3D morphable model: mean head, identity and expression bases, topology, texture coordinates, landmarks and regions.

``head = mean + shape_basis a + expression_basis e``, in meters, in the model frame: x to the person's left, y up, z
out of the face, origin at the mean of the mean head's 68 landmarks. The file is one ``.npz`` (docs/architecture.md).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.errors import ModelError
from tddfa_ros.files import atomic_path
from tddfa_ros.morphable.dense import DenseHead
from tddfa_ros.morphable.npz_file import read_npz
from tddfa_ros.morphable.validation import check_arrays
from tddfa_ros.types import POSE_SIZE, FloatArray, IntArray, ParamLayout

FORMAT = "tddfa-morphable-1"
SELLION = 27
"""Index of the sellion (nasion), the origin of the face frame, among the 68 landmarks."""

_HASHED = (
    *("mean", "shape_basis", "expression_basis", "triangles", "coarse_indices", "coarse_triangles"),
    *(
        "uv",
        "landmark_triangles",
        "landmark_weights",
        "regions",
        "region_names",
        "expression_names",
    ),
)
_OPTIONAL = ("parameter_space", "from_space")


@dataclass(frozen=True, eq=False)
class MorphableModel:
    """Morphable head model. Create one with :meth:`load` or :meth:`create`.

    Attributes:
        mean: (N, 3) float32, m.
        shape_basis: (N, 3, S) float32, m per standard deviation of the identity coefficient.
        expression_basis: (N, 3, E) float32, m per unit of expression (ARKit's blend shapes: 0..1).
        triangles: (T, 3) int32, counter-clockwise seen from outside.
        coarse_indices: (M,) int32, the dense vertex of every coarse vertex.
        coarse_triangles: (C, 3) int32 into the coarse vertices.
        uv: (N, 2) float32, v up.
        landmark_triangles, landmark_weights: (68,) int32 and (68, 3) float32, iBUG-68 order, barycentric.
        regions: (N,) uint8 into ``region_names``.
        expression_names: E names.
        name, license, provenance: descriptive texts.
        topology_id: :func:`topology_hash` of everything numeric.
        parameter_space: name of a parameter space that several models and their networks share; empty for a model of its own.
        from_space: (P, P) float32, takes parameters of that space to the model's; (0, 0) for a model of its own.
    """

    mean: FloatArray
    shape_basis: FloatArray
    expression_basis: FloatArray
    triangles: IntArray
    coarse_indices: IntArray
    coarse_triangles: IntArray
    uv: FloatArray
    landmark_triangles: IntArray
    landmark_weights: FloatArray
    regions: NDArray[np.uint8]
    region_names: tuple[str, ...]
    expression_names: tuple[str, ...]
    name: str
    license: str
    provenance: str
    topology_id: str
    parameter_space: str = ""
    from_space: FloatArray = field(default_factory=lambda: np.zeros((0, 0), np.float32))

    def __post_init__(self) -> None:
        check_arrays(vars(self))
        for attribute in fields(self):
            value = getattr(self, attribute.name)
            if isinstance(value, np.ndarray):
                value.setflags(write=False)

    @classmethod
    def create(cls, *, half: bool = True, **values: Any) -> MorphableModel:
        """Build a model from plain arrays: all attributes but ``topology_id``, any numeric dtype.

        Args:
            half: round the bases to what a float16 file holds, so that the ``topology_id`` survives :meth:`save`.

        Raises:
            ModelError: arrays do not fit together, or hold NaN.
        """
        values = dict(values)
        for key in ("mean", "uv", "landmark_weights", "shape_basis", "expression_basis"):
            values[key] = np.array(values[key], dtype=np.float32, order="C")
        for key in ("triangles", "coarse_indices", "coarse_triangles", "landmark_triangles"):
            values[key] = np.array(values[key], dtype=np.int32, order="C")
        if "from_space" in values:
            values["from_space"] = np.array(values["from_space"], dtype=np.float32)
        values["regions"] = np.array(values["regions"], dtype=np.uint8)
        for key in ("region_names", "expression_names"):
            values[key] = tuple(str(name) for name in values[key])
        if half:
            for key in ("shape_basis", "expression_basis"):
                values[key] = _dequantize(*_quantize(values[key], np.float16))
        return cls(topology_id=topology_hash(**{key: values[key] for key in _HASHED}), **values)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> MorphableModel:
        """Read and check a model file.

        Raises:
            ModelError: the file is missing, not a model, damaged, or its content does not match its ``topology_id``.
        """
        values = _read(Path(path))
        stored_id = str(values.pop("topology_id"))
        model = cls.create(half=False, **values)
        if model.topology_id != stored_id:
            raise ModelError(
                f"{path} is damaged: its content hashes to {model.topology_id}, not to {stored_id}"
            )
        return model

    def save(self, path: str | PathLike[str], half: bool = True) -> None:
        """Write the model as a compressed ``.npz``; ``half=False`` keeps bases in float32 (twice the size).

        Raises:
            ModelError: ``half`` would change the model (it was created with ``half=False``).
        """
        dtype: type[np.floating[Any]] = np.float16 if half else np.float32
        stored: dict[str, Any] = {"format": FORMAT}
        for attribute in fields(self):
            stored[attribute.name] = getattr(self, attribute.name)
        for kind in ("shape", "expression"):
            basis = getattr(self, f"{kind}_basis")
            packed, scale = _quantize(basis, dtype)
            if not np.array_equal(_dequantize(packed, scale), basis):
                if half:
                    raise ModelError(
                        f"the {kind} basis of {self.name} has more precision than float16 can hold"
                    )
                packed, scale = basis, np.ones_like(scale)
            stored[f"{kind}_basis"], stored[f"{kind}_scale"] = packed, scale
        with atomic_path(Path(path)) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **stored)

    @property
    def layout(self) -> ParamLayout:
        return ParamLayout(self.shape_basis.shape[2], self.expression_basis.shape[2])

    @property
    def vertex_count(self) -> int:
        return len(self.mean)

    @property
    def sellion(self) -> tuple[int, FloatArray]:
        """Triangle index and (3,) barycentric weights of the sellion, the origin of the face frame."""
        return int(self.landmark_triangles[SELLION]), self.landmark_weights[SELLION]

    def head(self, params: FloatArray) -> FloatArray:
        """Reconstruct heads (..., N, 3), meters, model frame, from parameter vectors (..., P). The pose is ignored."""
        params = self._checked(params)
        out = np.empty((*params.shape[:-1], self.vertex_count, 3), np.float32)
        coefficients = params.reshape(-1, self.layout.size)[:, POSE_SIZE:]
        self._dense(coefficients, out.reshape(-1, self.vertex_count, 3))  # type: ignore[arg-type]
        return out

    def heads(self, params: FloatArray) -> list[FloatArray]:
        """Reconstruct the heads of parameter vectors (n, P) in one product, each as an array (N, 3) of its own; see :meth:`head`."""
        heads = [np.empty((self.vertex_count, 3), np.float32) for _ in params]
        self._dense(self._checked(params)[:, POSE_SIZE:], heads)
        return heads

    def head_landmarks(self, params: FloatArray) -> FloatArray:
        """Reconstruct the 68 landmarks (..., 68, 3) of :meth:`head` only."""
        return self._evaluate(params, *self.landmark_bases)

    def head_coarse(self, params: FloatArray) -> FloatArray:
        """Reconstruct the M coarse vertices (..., M, 3) of :meth:`head` only."""
        return self._evaluate(params, *self._coarse_bases)

    def landmarks_of(self, vertices: FloatArray) -> FloatArray:
        """Compute the 68 landmarks (..., 68, 3) of given vertices (..., N, 3), in the frame of the vertices."""
        corners = vertices[..., self.triangles[self.landmark_triangles], :]
        return np.einsum("...lcx,lc->...lx", corners, self.landmark_weights).astype(np.float32)

    def _evaluate(self, params: FloatArray, mean: FloatArray, basis: FloatArray) -> FloatArray:
        params = self._checked(params)
        out: FloatArray = params.reshape(-1, self.layout.size)[:, POSE_SIZE:] @ basis
        out += mean.reshape(-1)
        return out.reshape(*params.shape[:-1], len(mean), 3)

    def _checked(self, params: FloatArray) -> FloatArray:
        params = np.asarray(params, dtype=np.float32)
        if params.ndim == 0 or params.shape[-1] != self.layout.size:
            raise ModelError(
                f"{self.name} takes {self.layout.size} parameters, got an array of shape {params.shape}"
            )
        return params

    @cached_property
    def _dense(self) -> DenseHead:
        return DenseHead(self.mean, self.shape_basis, self.expression_basis)

    @cached_property
    def landmark_bases(self) -> tuple[FloatArray, FloatArray]:
        """Mean (68, 3), m, and bases (S + E, 204) of the 68 landmarks, which :meth:`head_landmarks` evaluates."""
        corners = self.triangles[self.landmark_triangles]
        weights = self.landmark_weights

        def at_landmarks(basis: FloatArray) -> FloatArray:
            return np.einsum("lcxk,lc->lxk", basis[corners], weights).astype(np.float32)

        mean = at_landmarks(self.mean[..., None])[..., 0]
        return mean, _stacked(at_landmarks(self.shape_basis), at_landmarks(self.expression_basis))

    @cached_property
    def _coarse_bases(self) -> tuple[FloatArray, FloatArray]:
        chosen = self.coarse_indices
        return self.mean[chosen], _stacked(self.shape_basis[chosen], self.expression_basis[chosen])


def _stacked(shape: FloatArray, expression: FloatArray) -> FloatArray:
    """Stack bases (n, 3, S) and (n, 3, E) to one contiguous matrix (S + E, 3n)."""
    both = (basis.reshape(-1, basis.shape[2]) for basis in (shape, expression))
    return np.ascontiguousarray(np.concatenate(list(both), axis=1).T)


def topology_hash(
    *,
    mean: FloatArray,
    shape_basis: FloatArray,
    expression_basis: FloatArray,
    triangles: IntArray,
    coarse_indices: IntArray,
    coarse_triangles: IntArray,
    uv: FloatArray,
    landmark_triangles: IntArray,
    landmark_weights: FloatArray,
    regions: NDArray[np.uint8],
    region_names: tuple[str, ...],
    expression_names: tuple[str, ...],
) -> str:
    """Return the first 16 hex digits of a SHA-256 over everything that defines the meaning of parameters and vertices.

    Two models with the same ID are interchangeable; names, license and provenance do not count. Arrays are hashed as
    little-endian float32, int32 or uint8 with their shapes, bases after de-quantization.
    """
    values: dict[str, Any] = dict(locals())
    digest = hashlib.sha256()
    for key in _HASHED:
        value = values[key]
        if isinstance(value, tuple):
            digest.update(f"{key}:{len(value)}:".encode() + "\0".join(value).encode())
            continue
        array = np.asarray(value)
        kind = {"f": "<f4", "i": "<i4", "u": "u1"}[array.dtype.kind]
        digest.update(f"{key}:{kind}:{array.shape}:".encode())
        digest.update(np.ascontiguousarray(array, dtype=kind).data)
    return digest.hexdigest()[:16]


def _quantize(basis: FloatArray, dtype: type[np.floating[Any]]) -> tuple[NDArray[Any], FloatArray]:
    """Scale every component to a maximum of 1 and convert it to ``dtype``; idempotent on its own output."""
    scale = np.abs(basis).max(axis=(0, 1)).astype(np.float32)
    scale[~(scale > 0)] = 1.0
    return (basis / scale).astype(dtype), scale


def _dequantize(packed: NDArray[Any], scale: FloatArray) -> FloatArray:
    return np.ascontiguousarray(packed.astype(np.float32) * scale.astype(np.float32))


def _read(path: Path) -> dict[str, Any]:
    """Read all fields of a model file as arrays and strings, with bases dequantized."""
    if not path.is_file():
        raise ModelError(f"the morphable model {path} does not exist")
    needed = [f.name for f in fields(MorphableModel) if f.name not in _OPTIONAL]
    needed += ["shape_scale", "expression_scale"]
    stored = read_npz(path, "a morphable model", FORMAT, needed)
    values: dict[str, Any] = {key: stored[key] for key in (*needed, *_OPTIONAL) if key in stored}
    for kind in ("shape", "expression"):
        basis, scale = values[f"{kind}_basis"], values.pop(f"{kind}_scale")
        if basis.ndim != 3 or scale.shape != basis.shape[2:] or basis.dtype.kind != "f":
            raise ModelError(f"{path} has a {kind} basis and scale that do not fit together")
        values[f"{kind}_basis"] = _dequantize(basis, scale)
    for key in ("name", "license", "provenance", "parameter_space"):
        values[key] = str(values.get(key, ""))
    for key in ("region_names", "expression_names"):
        values[key] = tuple(str(name) for name in np.ravel(values[key]))
    return values
