"""Estimate perceived age, gender presentation and expression of faces; off by default, see docs/guide/attributes.md."""

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
"""Name of the network in the manifest."""

TASK = "attributes"
"""Value of the network's metadata key ``tddfa.task``."""

_ZOOMS = (1.0, 0.9)
"""Relative sides of the crops for test-time augmentation, each also mirrored; a small network varies between them."""

_OUTPUTS = ("age", "feminine")
_SMILING = "smiling"


@dataclass(frozen=True, eq=False)
class Attributes:
    """Perceived attributes of a face with their uncertainty; not facts about a person.

    Attributes:
        age_probabilities: (101,) float32, probabilities of 0, 1, ... 100 years (the last: or more); sum 1.
        feminine: 0..1, the probability that people would label the face female rather than male.
        expression: basic expression; None if the morphable model has no ARKit coefficients.
        smiling: 0..1; None if the network was not trained for it.
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
        """Return the central interval of ages, years, with this share of the distribution."""
        cumulated = np.cumsum(self.age_probabilities)
        tail = (1 - share) / 2
        low, high = np.searchsorted(cumulated, (tail, 1 - tail))
        return int(low), int(min(high, len(cumulated) - 1))

    @property
    def gender_presentation(self) -> tuple[str, float]:
        """Most probable gender presentation, "feminine" or "masculine", and its probability."""
        if self.feminine >= 0.5:
            return "feminine", self.feminine
        return "masculine", 1 - self.feminine

    @property
    def _years(self) -> FloatArray:
        return np.arange(len(self.age_probabilities), dtype=np.float32)


class AttributeEstimator:
    """A small network for crops around faces.

    Args:
        model: a name in the manifest, or an ONNX file of ``tddfa train-attributes``.
        device: see :class:`OnnxSession`.
        threads: see :class:`OnnxSession`.

    Raises:
        ModelError: the model is missing, or is not an attribute network.
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
        """Estimate the attributes of one face; see :meth:`estimate_all`."""
        return self.estimate_all(image, [face])[0]

    def estimate_all(self, image: ImageBGR, faces: Sequence[Face]) -> list[Attributes]:
        """Estimate the attributes of faces of one image, in their order.

        The network runs on the square around the landmarks, which does not depend on detection or tracking, at two scales, each also
        mirrored; the results are averaged.

        Args:
            image: (H, W, 3) uint8 BGR.
            faces: faces of the image.

        Raises:
            ImageError: the image is invalid, or the landmarks of a face are not finite.
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
        """Return the mean over the augmented crops of squares (n, 4) ``x0, y0, x1, y1``, image px; see :meth:`estimate_crops`."""
        middle, half = (rois[:, :2] + rois[:, 2:]) / 2, (rois[:, 2:] - rois[:, :2]) / 2
        seen = []
        for zoom in _ZOOMS:
            square = np.concatenate([middle - zoom * half, middle + zoom * half], axis=1)
            crops = crop_batch(image, square, self.input_size)
            seen += [self.estimate_crops(crops), self.estimate_crops(crops[:, :, ::-1])]
        return {name: np.mean([views[name] for views in seen], axis=0) for name in self._names}

    def estimate_crops(self, crops: NDArray[np.uint8]) -> dict[str, FloatArray]:
        """Run the network on crops (n, S, S, 3) uint8 BGR: ``age`` (n, 101), ``feminine`` (n,), and ``smiling`` (n,) if trained."""
        tensor = np.ascontiguousarray(crops.transpose(0, 3, 1, 2)).astype(np.float32)
        values = self.session.run({"image": (tensor - 127.5) / 128}, self._names)
        return dict(zip(self._names, values, strict=True))


@cache
def default_estimator(device: str = "auto") -> AttributeEstimator:
    """Return the estimator shared by outputs and layers, one per device, loaded on first use."""
    return AttributeEstimator(device=device)


def attributes_record(attributes: Attributes) -> dict[str, Any]:
    """Return a JSON record; ages in years."""
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
        raise ModelError(f"{name} is not an attribute network; 'tddfa train-attributes' trains one")
    try:
        return int(session.metadata["tddfa.input_size"])
    except (KeyError, ValueError) as error:
        raise ModelError(f"{name} has no crop size in its metadata") from error
