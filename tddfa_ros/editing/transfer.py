"""Give a face the expression of another one: parameters first, then the mesh and the image follow."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

import numpy as np

from tddfa_ros.errors import ConfigError, ModelError
from tddfa_ros.face import Face
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.types import FloatArray

REGIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "brows": ("brow",),
        "eyes": ("eye",),
        "nose": ("nose",),
        "cheeks": ("cheek",),
        "jaw": ("jaw",),
        "mouth": ("mouth", "tongue"),
    }
)
"""Parts of a face -> how the names of their expressions begin."""


def transfer_expression(
    source: Face | FloatArray,
    target: Face,
    strength: float = 1.0,
    neutral: Face | FloatArray | None = None,
    regions: Collection[str] | None = None,
) -> FloatArray:
    """Parameters (P,) of the target with the expression of the source; identity and pose stay the target's.

    Args:
        source: a face, or parameters (P,) of the target's model.
        target: the face that gets the expression.
        strength: 0 leaves the target as it is, 1 takes over all; above 1 exaggerates.
        neutral: the source person at rest. When given, what the source does beyond it is added to what the target does,
            so that a person whose mouth turns up at rest does not make the target smile.
        regions: names of :data:`REGIONS`; None takes the whole face.

    Coefficients stay in 0..1.2 where the model's expressions are ARKit's.

    Raises:
        ConfigError: strength is not a number or negative, a region is unknown or not in the model.
        ModelError: the models have no expression in common, or parameters do not fit the target's model.
    """
    if not (np.isfinite(strength) and strength >= 0):
        raise ConfigError(f"strength must be 0 or more, not {strength}")
    model = target.model
    chosen = _chosen(model, regions)
    theirs, known = _coefficients(source, model)
    own = target.expression_coefficients
    if neutral is None:
        wanted = own + strength * (theirs - own)
    else:
        rest, at_rest_known = _coefficients(neutral, model)
        known = known & at_rest_known
        wanted = own + strength * (theirs - rest)
    if "jawOpen" in model.expression_names:
        wanted = np.clip(wanted, 0, 1.2)
    out = target.params.copy()
    out[model.layout.expression_slice] = np.where(known & chosen, wanted, own)
    return out


def _chosen(model: MorphableModel, regions: Collection[str] | None) -> np.ndarray:
    names = model.expression_names
    if regions is None:
        return np.ones(len(names), dtype=np.bool_)
    unknown = sorted(set(regions) - set(REGIONS))
    if unknown:
        raise ConfigError(
            f"there is no region {', '.join(unknown)}; known are {', '.join(REGIONS)}"
        )
    starts = tuple(start for region in regions for start in REGIONS[region])
    chosen = np.array([name.startswith(starts) for name in names], dtype=np.bool_)
    if not chosen.any():
        raise ConfigError(f"the expressions of {model.name} have no regions of the face")
    return chosen


def _coefficients(face: Face | FloatArray, model: MorphableModel) -> tuple[FloatArray, np.ndarray]:
    """Expression coefficients (E,) in the order of ``model``, and which of them the face has."""
    if not isinstance(face, Face):
        params = np.asarray(face, dtype=np.float32)
        if params.shape != (model.layout.size,):
            raise ModelError(
                f"{model.name} takes {model.layout.size} parameters, got an array of shape {params.shape}"
            )
        return params[model.layout.expression_slice], np.ones(model.layout.expression, np.bool_)
    values = face.expression
    known = np.array([name in values for name in model.expression_names], dtype=np.bool_)
    if not known.any():
        raise ModelError(f"{face.model.name} and {model.name} have no expression in common")
    found = [values.get(name, 0.0) for name in model.expression_names]
    return np.array(found, dtype=np.float32), known
