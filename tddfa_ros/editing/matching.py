"""Strengthen a transferred expression until the network measures it in the redrawn image.

A network shrinks expressions toward the mean, those of the lips most, so that coefficients of a source drawn on a target are measured there as
less than in the source. The difference is added to what is drawn, and measured again.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tddfa_ros.face import Face
from tddfa_ros.types import FloatArray, ImageBGR

ROUNDS = 2
_LARGEST = 0.35  # change of a coefficient in all rounds
_OPEN = 0.15  # jawOpen from which the lips are drawn as they are, too
_HIGHEST = 1.2  # of a coefficient of ARKit
_FREE = (
    "eyeBlink",
    "eyeLook",
    "jawOpen",
    "mouthLowerDown",
    "mouthUpperUp",
    "mouthFunnel",
    "tongue",
)
"""Drawn as they are: the measure of lids and gaze is coarse, and what opens the mouth would show more of its synthetic interior."""

Draw = Callable[[FloatArray], ImageBGR]
"""Parameters (P,) -> the target's image redrawn, such as a :class:`tddfa_ros.editing.Rerenderer`."""

Measure = Callable[[ImageBGR], FloatArray]
"""Image -> parameters (P,) of the face in the target's ROI."""


def matched_params(
    draw: Draw, target: Face, params: FloatArray, measure: Measure, rounds: int = ROUNDS
) -> FloatArray:
    """Return parameters (P,) whose redrawn image measures closest to the expression of ``params``.

    Args:
        draw: of the target's image.
        target: the face in that image.
        params: (P,) parameters with the expression to reach, of :func:`transfer_expression`.
        measure: the network that fitted ``target``.
        rounds: measurements; 0 returns ``params``. Each costs one redrawn image and one pass of the network.

    Coefficients equal to those of the target, and those of lids, gaze and the opening of the mouth, are not changed; nor are
    those of the lips of an open mouth.
    """
    model = target.model
    part = model.layout.expression_slice
    wanted = np.array(params[part], dtype=np.float32)
    changed = np.abs(wanted - target.params[part]) > 1e-4
    changed &= [not name.startswith(_FREE) for name in model.expression_names]
    if "jawOpen" in model.expression_names:
        opening = max(float(wanted[model.expression_names.index("jawOpen")]), 0.0)
        if opening > _OPEN:
            changed &= [not name.startswith("mouth") for name in model.expression_names]
    if not changed.any():
        return params
    arkit = "jawOpen" in model.expression_names
    best, least = params, np.inf
    drawn = params.copy()
    for last in [*[False] * rounds, True]:
        missing = np.where(changed, wanted - measure(draw(drawn))[part], 0)
        error = float(np.abs(missing).mean())
        if error < least:
            best, least = drawn.copy(), error
        if last:
            break
        added = np.clip(drawn[part] + missing - wanted, -_LARGEST, _LARGEST)
        drawn[part] = np.clip(wanted + added, 0, _HIGHEST) if arkit else wanted + added
    return best
