"""Fit made-up colours to the light of a photograph, as its skin shows it."""

from __future__ import annotations

import numpy as np

from tddfa_ros.types import FloatArray

_SKIN = np.array([128, 152, 192], np.float32)  # BGR of skin under which made-up colours look right
_COLOURFUL = 0.22  # difference of red and blue over red, of skin in a colour photograph
_DIM, _BRIGHT = 0.2, 1.15


def relit(colours: FloatArray, skin: FloatArray) -> FloatArray:
    """Colours (..., 3) BGR 0..255 as they would look where skin has the colour ``skin`` (3,); grey in a grey picture."""
    brightness = np.clip(skin.mean() / _SKIN.mean(), _DIM, _BRIGHT)
    colourful = np.clip((skin[2] - skin[0]) / max(float(skin[2]), 1.0) / _COLOURFUL, 0, 1)
    tint = (skin / max(float(skin.mean()), 1.0)) / (_SKIN / _SKIN.mean())
    grey = colours.mean(axis=-1, keepdims=True)
    own = grey + colourful * (colours - grey)
    return np.asarray(own * brightness * (1 + colourful * (tint - 1)), dtype=np.float32)
