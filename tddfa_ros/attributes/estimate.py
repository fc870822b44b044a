"""Estimates of age, gender presentation and expression for faces of one image. Off unless it is asked for: see docs/guide/attributes.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.attributes.expressions import Expression, basic_expression, has_action_units
from tddfa_ros.errors import ModelError
from tddfa_ros.face import Face
from tddfa_ros.geometry.roi import crop_batch, roi_from_landmarks
from tddfa_ros.model_store.store import default_store
from tddfa_ros.runtime.session import OnnxSession
from tddfa_ros.types import FloatArray, ImageBGR, RealArray, check_image

DEFAULT_MODEL = "tddfa-attributes"
"""Name in the manifest."""

TASK = "attributes"
"""What the network's metadata say under ``tddfa.task``."""

_ZOOMS = (1.0, 0.9)
"""Sides of the squares that are looked at, each as it is and mirrored; a small network changes its mind between them."""

_OUTPUTS = ("age", "feminine")
_SMILING = "smiling"


@dataclass(frozen=True, eq=False)
class Attributes:
    """What a face looks like, as a guess with its uncertainty; not what a person is.

    Attributes:
        age_probabilities: (101,) float32, of 0, 1, ... 100 years (the last: or more); sums to 1.
        feminine: 0..1, the probability that people would label the face female rather than male.
        expression: None where the morphable model has no ARKit coefficients.
        smiling: 0..1, None where the network was not trained for it.
    """

    age_probabilities: FloatArray
    feminine: float
    expression: Expression | None
    smiling: float | None = None

    @property
    def age(self) -> float:
        """Expected age, years."""
        return float(self.age_probabilities @ self._years)

    @property
    def age_std(self) -> float:
        """Standard deviation of the distribution of ages, years."""
        return float(np.sqrt(self.age_probabilities @ (self._years - self.age) ** 2))

    def age_interval(self, share: float = 0.8) -> tuple[int, int]:
        """The ages, years, between which this share of the distribution lies, half of the rest on either side."""
        cumulated = np.cumsum(self.age_probabilities)
        tail = (1 - share) / 2
        low, high = np.searchsorted(cumulated, (tail, 1 - tail))
        return int(low), int(min(high, len(cumulated) - 1))

    @property
    def gender_presentation(self) -> tuple[str, float]:
        """("feminine" or "masculine", its probability)."""
        if self.feminine >= 0.5:
            return "feminine", self.feminine
        return "masculine", 1 - self.feminine

    @property
    def _years(self) -> FloatArray:
        return np.arange(len(self.age_probabilities), dtype=np.float32)


class AttributeEstimator:
    """A small network beside the face network, on the same part of the image.

    Args:
        model: a name in the manifest, or an ONNX file as ``tddfa train-attributes`` writes it.
        device, threads: see `OnnxSession`.

    Raises:
        ModelError: the model is missing, or is no such network.
    """

    def __init__(
        self, model: str | Path = DEFAULT_MODEL, device: str = "auto", threads: int = 1
    ) -> None:
        path = default_store().path(str(model))
        self.session = OnnxSession(path, device, threads)
        self.input_size = _input_size(self.session, path.name)
        found = self.session.output_names
        self._names = (*_OUTPUTS, _SMILING) if _SMILING in found else _OUTPUTS

    def estimate(self, image: ImageBGR, face: Face) -> Attributes:
        """The attributes of one face; see :meth:`estimate_all`."""
        return self.estimate_all(image, [face])[0]

    def estimate_all(self, image: ImageBGR, faces: Sequence[Face]) -> list[Attributes]:
        """The attributes of faces of one image, in their order.

        The network sees the square around the landmarks, which does not depend on how the face was found or tracked, four times: as it is and
        nearer, and both mirrored. Their mean is given.

        Args:
            image: (H, W, 3) uint8 BGR, in which the faces were found.
            faces: any number.

        Raises:
            ImageError: the image cannot be used, or the landmarks of a face are not finite.
        """
        check_image(image)
        if not faces:
            return []
        rois = np.stack([roi_from_landmarks(face.landmarks68) for face in faces])
        found = self.estimate_rois(image, rois)
        return [
            Attributes(
                found["age"][i],
                float(found["feminine"][i]),
                _expression(face),
                float(found[_SMILING][i]) if _SMILING in found else None,
            )
            for i, face in enumerate(faces)
        ]

    def estimate_rois(self, image: ImageBGR, rois: RealArray) -> dict[str, FloatArray]:
        """Mean over the views of squares (n, 4) ``x0, y0, x1, y1``, image px; as :meth:`estimate_crops`."""
        middle, half = (rois[:, :2] + rois[:, 2:]) / 2, (rois[:, 2:] - rois[:, :2]) / 2
        seen = []
        for zoom in _ZOOMS:
            square = np.concatenate([middle - zoom * half, middle + zoom * half], axis=1)
            crops = crop_batch(image, square, self.input_size)
            seen += [self.estimate_crops(crops), self.estimate_crops(crops[:, :, ::-1])]
        return {name: np.mean([views[name] for views in seen], axis=0) for name in self._names}

    def estimate_crops(self, crops: NDArray[np.uint8]) -> dict[str, FloatArray]:
        """What the network says about crops (n, S, S, 3) uint8 BGR: ``age`` (n, 101), ``feminine`` (n,), perhaps ``smiling`` (n,)."""
        tensor = np.ascontiguousarray(crops.transpose(0, 3, 1, 2)).astype(np.float32)
        values = self.session.run({"image": (tensor - 127.5) / 128}, self._names)
        return dict(zip(self._names, values, strict=True))


@cache
def default_estimator(device: str = "auto") -> AttributeEstimator:
    """The estimator that outputs and layers share, one for each device, loaded when the first of them needs it."""
    return AttributeEstimator(device=device)


def attributes_record(attributes: Attributes) -> dict[str, Any]:
    """Plain numbers and names for JSON; ages in years."""
    low, high = attributes.age_interval()
    presentation, probability = attributes.gender_presentation
    expression = attributes.expression
    record: dict[str, Any] = {
        "age": round(attributes.age, 1),
        "age_std": round(attributes.age_std, 1),
        "age_interval_80": [low, high],
        "gender_presentation": {"name": presentation, "probability": round(probability, 4)},
        "expression": None,
    }
    if expression is not None:
        record["expression"] = {
            "name": expression.name,
            "probabilities": {name: round(p, 4) for name, p in expression.probabilities.items()},
        }
    if attributes.smiling is not None:
        record["smiling"] = round(attributes.smiling, 4)
    return record


def _expression(face: Face) -> Expression | None:
    return basic_expression(face.expression) if has_action_units(face.expression) else None


def _input_size(session: OnnxSession, name: str) -> int:
    missing = {"image", *_OUTPUTS} - {*session.input_names, *session.output_names}
    if missing or session.metadata.get("tddfa.task") != TASK:
        raise ModelError(f"{name} is no network for attributes: 'tddfa train-attributes' makes one")
    try:
        return int(session.metadata["tddfa.input_size"])
    except (KeyError, ValueError) as error:
        raise ModelError(f"{name} does not say how large its crops are") from error
