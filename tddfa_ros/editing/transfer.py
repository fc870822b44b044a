"""Transfer the expression of one face to the parameters of another."""

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
"""Region of the face -> prefixes of its expression names."""

_LID_NOISE = (0.10, 0.25)  # change of eyeBlink that is ignored, and that counts fully


def transfer_expression(
    source: Face | FloatArray,
    target: Face,
    strength: float = 1.0,
    neutral: Face | FloatArray | None = None,
    regions: Collection[str] | None = None,
) -> FloatArray:
    """Return the parameters (P,) of the target with the expression of the source; identity and pose are kept.

    Args:
        source: a face, or parameters (P,) of the target's model.
        target: the face to change.
        strength: 0 = target unchanged, 1 = full expression of the source, above 1 = exaggerated.
        neutral: the source person at rest. If given, the difference from it is added to the target's expression, so that the
            resting face of the source does not appear on the target.
        regions: names of :data:`REGIONS`; None = the whole face.

    ARKit coefficients are clipped to 0..1.2. Small differences of eyeBlink, which are measured at rest too, leave the target's lids as they
    are.

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
        wanted = np.clip(wanted, np.minimum(own, 0), np.maximum(own, 1.2))
        wanted = _with_steady_lids(wanted, own, model)
    out = target.params.copy()
    out[model.layout.expression_slice] = np.where(known & chosen, wanted, own)
    return out


def _with_steady_lids(wanted: FloatArray, own: FloatArray, model: MorphableModel) -> FloatArray:
    """Return the wanted coefficients (E,) with those of blinks kept where they hardly change; a continuous function."""
    lids = np.array([name.startswith("eyeBlink") for name in model.expression_names])
    change = wanted - own
    none, full = _LID_NOISE
    share = np.clip((np.abs(change) - none) / (full - none), 0, 1)
    return np.asarray(np.where(lids, own + share * change, wanted), dtype=np.float32)


def _chosen(model: MorphableModel, regions: Collection[str] | None) -> np.ndarray:
    names = model.expression_names
    if regions is None:
        return np.ones(len(names), dtype=np.bool_)
    unknown = sorted(set(regions) - set(REGIONS))
    if unknown:
        raise ConfigError(f"unknown region {', '.join(unknown)}; known are {', '.join(REGIONS)}")
    starts = tuple(start for region in regions for start in REGIONS[region])
    chosen = np.array([name.startswith(starts) for name in names], dtype=np.bool_)
    if not chosen.any():
        raise ConfigError(f"the expressions of {model.name} have no regions of the face")
    return chosen


def _coefficients(face: Face | FloatArray, model: MorphableModel) -> tuple[FloatArray, np.ndarray]:
    """Return expression coefficients (E,) in the order of ``model``, and a mask of those the face has."""
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
