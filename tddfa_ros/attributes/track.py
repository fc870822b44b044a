"""Average the attributes of a tracked face over time, and decide when they are known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from tddfa_ros.attributes.estimate import Attributes, attributes_record
from tddfa_ros.attributes.expressions import Expression
from tddfa_ros.face import Face, TrackedFace
from tddfa_ros.types import DoubleArray

UNKNOWN = "unknown"

_MEMORY_S = 20.0
"""Time constant of age and gender presentation, which do not change; old evidence fades in case the track switches to another person."""

_EXPRESSION_MEMORY_S = 0.3
"""Time constant of the expression."""

_MIN_WEIGHT = 0.25
"""Weight of the best estimates from which age and gender presentation are known: one frontal, neutral face has 1."""

_AGE_INTERVAL = 40
"""Width of the 80 % interval, years, beyond which the age is unknown."""

_GENDER_KNOWN, _GENDER_KEPT = 0.7, 0.6
"""Probabilities from which a gender presentation is reported, and down to which it is kept."""

_EXPRESSION_KNOWN, _EXPRESSION_KEPT = 0.5, 0.4
"""The same of an expression."""

_FRONTAL, _TURNED = 20.0, 50.0
"""Angles of the head to the camera, degrees: up to the first, weight 1; from the second, 0."""

_LEAST_NEUTRAL = 0.1
"""Weight of a face with a strong expression, which moves the estimated age by decades."""

_ABSENCE_S = 60.0

_FLOOR = 1e-4
"""Smallest probability, so that no single frame excludes a value."""


@dataclass(frozen=True, eq=False)
class SmoothedAttributes:
    """Attributes of a face and what of them is known.

    Attributes:
        attributes: averaged over the track.
        confidence: 0..1, how well the best frames so far suit estimates of age and gender presentation: faces that are frontal, at rest and
            regressed with confidence.
        age_known: whether the age interval is worth reporting.
        gender: "feminine", "masculine", or "unknown".
        expression: one of the seven, or "unknown"; None without ARKit coefficients.
    """

    attributes: Attributes
    confidence: float
    age_known: bool
    gender: str
    expression: str | None


def estimate_weight(face: Face, expression: Expression | None) -> float:
    """Return the weight 0..1 of an estimate of age or gender presentation.

    It is the product of the confidence of the face, of its frontalness (see :data:`_FRONTAL`), and of the probability that it is neutral, at least
    :data:`_LEAST_NEUTRAL`. A smile counts as half neutral: most people smile in the images of training.
    """
    yaw, pitch, _ = face.yaw_pitch_roll
    angle = float(np.hypot(yaw, pitch))
    frontal = np.clip((_TURNED - angle) / (_TURNED - _FRONTAL), 0, 1)
    rest = 1.0
    if expression is not None:
        p = expression.probabilities
        rest = max(p["neutral"] + 0.5 * p["happiness"], _LEAST_NEUTRAL)
    return float(np.clip(face.confidence, 0, 1) * frontal * rest)


class AttributeTrack:
    """Running averages of the attributes of one track.

    The averages are weighted means of log probabilities with exponential forgetting, renormalized: successive frames show the same image of the same
    person, so their errors are not independent and their likelihoods are not multiplied.

    Attributes:
        seconds: time of the last frame.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._age: DoubleArray | None = None
        self._feminine = np.zeros(2)
        self._expression: DoubleArray | None = None
        self._weight = 0.0
        self._confidence = 0.0
        self._gender = UNKNOWN
        self._named = UNKNOWN

    def add(self, found: Attributes, weight: float, seconds: float) -> SmoothedAttributes:
        """Add the estimate of a frame.

        Args:
            found: of this frame only.
            weight: of age and gender presentation, 0..1; see :func:`estimate_weight`.
            seconds: time of the frame; a time before the last one counts as the same.
        """
        elapsed = max(seconds - self.seconds, 0.0)
        self.seconds = max(seconds, self.seconds)
        age = _log(found.age_probabilities)
        feminine = _log(np.array([1 - found.feminine, found.feminine]))
        kept = self._weight * np.exp(-elapsed / _MEMORY_S)
        self._weight = kept + weight
        first = self._age is None
        share = 1.0 if first else weight / self._weight if self._weight > 0 else 0.0
        self._age = age if self._age is None else self._age + share * (age - self._age)
        self._feminine = feminine if first else self._feminine + share * (feminine - self._feminine)
        self._confidence = max(self._confidence * np.exp(-elapsed / _MEMORY_S), weight)
        return self._smoothed(found, elapsed)

    def state(self) -> dict[str, Any]:
        """Return the state as plain numbers, for :meth:`restored`."""
        return {
            name: values.tolist() if isinstance(values, np.ndarray) else values
            for name, values in vars(self).items()
        }

    @classmethod
    def restored(cls, state: dict[str, Any]) -> AttributeTrack:
        """Return a track with the state of another one."""
        track = cls()
        for name, value in state.items():
            setattr(track, name, np.array(value) if isinstance(value, list) else value)
        return track

    def _smoothed(self, found: Attributes, elapsed: float) -> SmoothedAttributes:
        assert self._age is not None
        mean = replace(
            found,
            age_probabilities=_normalized(self._age).astype(np.float32),
            feminine=float(_normalized(self._feminine)[1]),
            expression=self._smoothed_expression(found.expression, elapsed),
        )
        enough = self._confidence >= _MIN_WEIGHT
        sides = {"masculine": 1 - mean.feminine, "feminine": mean.feminine}
        self._gender = _decided(sides, self._gender, _GENDER_KNOWN, _GENDER_KEPT)
        low, high = mean.age_interval()
        return SmoothedAttributes(
            mean,
            float(self._confidence),
            bool(enough and high - low <= _AGE_INTERVAL),
            self._gender if enough else UNKNOWN,
            None if mean.expression is None else self._named,
        )

    def _smoothed_expression(self, found: Expression | None, elapsed: float) -> Expression | None:
        if found is None:
            return None
        values = _log(np.array([*found.probabilities.values()]))
        share = 1 - np.exp(-elapsed / _EXPRESSION_MEMORY_S)
        before = self._expression
        self._expression = values if before is None else before + share * (values - before)
        smoothed = _normalized(self._expression).tolist()
        named = dict(zip(found.probabilities, smoothed, strict=True))
        self._named = _decided(named, self._named, _EXPRESSION_KNOWN, _EXPRESSION_KEPT)
        return Expression(max(named, key=named.__getitem__), MappingProxyType(named))


class AttributeTracks:
    """The :class:`AttributeTrack` of each face of a video, by track ID; a face absent for a minute starts over."""

    def __init__(self) -> None:
        self._tracks: dict[str, AttributeTrack] = {}

    def add(
        self, faces: Iterable[TrackedFace], found: Iterable[Attributes]
    ) -> list[SmoothedAttributes]:
        """Add the estimates of the faces of a frame; return the averages in their order."""
        faces = list(faces)
        now = max((face.stamp for face in faces), default=0.0)
        self._tracks = {i: t for i, t in self._tracks.items() if now - t.seconds <= _ABSENCE_S}
        return [
            self._tracks.setdefault(face.id, AttributeTrack()).add(
                one, estimate_weight(face, one.expression), face.stamp
            )
            for face, one in zip(faces, found, strict=True)
        ]

    def state(self) -> dict[str, Any]:
        """Return the state as plain numbers."""
        return {name: track.state() for name, track in self._tracks.items()}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a :meth:`state`."""
        self._tracks = {name: AttributeTrack.restored(one) for name, one in state.items()}


def single(face: Face, found: Attributes) -> SmoothedAttributes:
    """Return what is known from one image: a track of one frame."""
    return AttributeTrack().add(found, estimate_weight(face, found.expression), 0.0)


def smoothed_record(found: SmoothedAttributes) -> dict[str, Any]:
    """Return a JSON record: that of :func:`~.estimate.attributes_record`, the confidence, and what is known."""
    return attributes_record(found.attributes) | {
        "confidence": round(found.confidence, 4),
        "known": {
            "age": found.age_known,
            "gender_presentation": found.gender,
            "expression": found.expression,
        },
    }


def _decided(probabilities: dict[str, float], held: str, known: float, kept: float) -> str:
    """Return the name with a probability of at least ``known``; else ``held`` while it has at least ``kept``; else unknown."""
    best = max(probabilities, key=probabilities.__getitem__)
    if probabilities[best] >= known:
        return best
    return held if probabilities.get(held, 0.0) >= kept else UNKNOWN


def _log(probabilities: Any) -> DoubleArray:
    return np.log(np.maximum(np.asarray(probabilities, np.float64), _FLOOR))


def _normalized(log: DoubleArray) -> DoubleArray:
    values = np.exp(log - log.max())
    return np.asarray(values / values.sum())
