"""Regression network: parameters of the morphable model and a confidence from face crops."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tddfa_ros.errors import ImageError, ModelError
from tddfa_ros.geometry.pose import to_crop
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.runtime.session import OnnxSession
from tddfa_ros.types import FloatArray, ParamLayout

LANDMARKS = 68

LEAST_CONTRAST = 3.0
"""Standard deviation of a crop that shows something, gray levels; sensor noise alone gives 1 to 3."""

HEAD, AGREEMENT, POSE_ORDER = "head", "agreement", "pose order"
"""What a confidence is computed from; see `RegressionResult`."""


@dataclass(frozen=True, eq=False)
class RegressionResult:
    """Network output for n crops; positions in px of the 120-px crop frame, x right, y down.

    Attributes:
        params: (n, P) parameters in the morphable model's layout.
        landmarks: (n, 68, 3) landmarks of the mesh of ``params``; z nearer = larger.
        landmarks_direct: (n, 68, 2) landmarks regressed without the morphable model; those of the mesh if the network has no
            landmark head.
        confidence: (n,) 0..1 that the crop shows a well-framed face: output of the confidence head; without one, from the agreement
            of both sets of landmarks, or from how close the pose is to a scaled rotation (`pose_disorder`).
        landmark_sigma: (n, 68) standard deviation of each landmark's x and y, px of the crop; None if the network does not predict it.
    """

    params: FloatArray
    landmarks: FloatArray
    landmarks_direct: FloatArray
    confidence: FloatArray
    landmark_sigma: FloatArray | None = None


@dataclass(frozen=True)
class RegressorMetadata:
    """Metadata of a regressor's ONNX file (keys ``tddfa.layout`` ...).

    Attributes:
        layout: numbers of identity and expression coefficients, written ``40,52``.
        input_size: side S of the crops in px.
        agreement: midpoint and width of the logistic curve that turns the disagreement d of the two sets of landmarks (mean distance, crop
            px) into a confidence ``1 / (1 + exp((d - midpoint) / width))``, written ``1.2,0.2`` (key ``tddfa.confidence``); None for a network
            with a confidence head.
        topology_id: of the morphable model the network was trained for; empty if ``parameter_space`` replaces it.
        parameter_space: parameter space shared by several models; empty for the parameters of a single model.
        pose_order: the same curve for `pose_disorder`, used if there is neither a confidence head nor ``agreement``.
    """

    layout: ParamLayout
    input_size: int
    topology_id: str
    agreement: tuple[float, float] | None = None
    parameter_space: str = ""
    pose_order: tuple[float, float] | None = None

    @classmethod
    def parse(cls, metadata: Mapping[str, str], name: str) -> RegressorMetadata:
        """Parse the metadata of the file ``name``; raise ModelError for missing or non-numeric entries."""
        try:
            shape, expression = (int(v) for v in metadata["tddfa.layout"].split(","))
            input_size = int(metadata["tddfa.input_size"])
            parameter_space = metadata.get("tddfa.parameter_space", "")
            topology_id = "" if parameter_space else metadata["tddfa.topology_id"]
            agreement = _curve(metadata, "tddfa.confidence")
            pose_order = _curve(metadata, "tddfa.pose_order")
        except KeyError as error:
            raise ModelError(
                f"{name} is not a face regressor: its metadata lack {error.args[0]}"
            ) from error
        except ValueError as error:
            raise ModelError(f"{name} has metadata that cannot be read: {error}") from error
        if input_size <= 0:
            raise ModelError(f"{name} has metadata out of range: input size {input_size}")
        for curve in (agreement, pose_order):
            if curve is not None and not (curve[1] > 0 and np.isfinite(curve).all()):
                raise ModelError(f"{name} has metadata out of range: confidence {curve}")
        layout = ParamLayout(shape, expression)
        return cls(layout, input_size, topology_id, agreement, parameter_space, pose_order)

    def fits(self, morphable: MorphableModel) -> bool:
        """Return whether the parameters belong to this model or to its parameter space."""
        if self.parameter_space:
            same = self.parameter_space == morphable.parameter_space
        else:
            same = self.topology_id == morphable.topology_id
        return same and self.layout == morphable.layout


def _curve(metadata: Mapping[str, str], key: str) -> tuple[float, float] | None:
    """Parse midpoint and width of a logistic curve; raise ValueError for anything but two numbers."""
    if key not in metadata:
        return None
    midpoint, width = (float(v) for v in metadata[key].split(","))
    return midpoint, width


class Regressor:
    """A regression network for one morphable model.

    Args:
        path: ONNX file; input ``image`` (n, 3, S, S) float32 ``(bgr - 127.5) / 128``; outputs ``params`` (n, P) and optionally
            ``landmarks`` (n, 68, 2), ``confidence`` (n,) in 0..1 and ``landmark_sigma`` (n, 68) px of the crop.
        morphable: model that the parameters belong to.
        device, threads: see `OnnxSession`.

    Attributes:
        outputs: names of the outputs of the network that are used.

    Raises:
        ModelError: the file is not such a network, or was trained for another morphable model.
    """

    def __init__(
        self, path: str | Path, morphable: MorphableModel, device: str = "auto", threads: int = 1
    ) -> None:
        self.morphable = morphable
        self.session = OnnxSession(path, device, threads)
        name = Path(path).name
        self.metadata = RegressorMetadata.parse(self.session.metadata, name)
        missing = {"image", "params"} - {
            *self.session.input_names,
            *self.session.output_names,
        }
        if missing:
            raise ModelError(
                f"{name} is not a face regressor: it has no {', '.join(sorted(missing))}"
            )
        if self.confidence_rule is None:
            raise ModelError(
                f"{name} is not a face regressor: it has no output confidence, and its metadata lack tddfa.confidence"
            )
        if not self.metadata.fits(morphable):
            trained_for = self.metadata.parameter_space or self.metadata.topology_id
            raise ModelError(
                f"{name} was trained for another morphable model ({trained_for}) than {morphable.name} "
                f"({morphable.topology_id}): regression.morphable_model must name that one"
            )
        self.outputs = tuple(
            output
            for output in ("params", "landmarks", "confidence", "landmark_sigma")
            if output in self.session.output_names
        )

    @property
    def confidence_rule(self) -> tuple[str, tuple[float, float]] | None:
        """What the confidence is computed from, with midpoint and width of the logistic curve; None if there is nothing."""
        if "confidence" in self.session.output_names:
            return HEAD, (0.0, 1.0)
        if self.metadata.agreement and "landmarks" in self.session.output_names:
            return AGREEMENT, self.metadata.agreement
        return (POSE_ORDER, self.metadata.pose_order) if self.metadata.pose_order else None

    @property
    def input_size(self) -> int:
        """Side S of the crops, px."""
        return self.metadata.input_size

    def __call__(self, crops: NDArray[np.uint8]) -> RegressionResult:
        """Regress n faces in one batch.

        Args:
            crops: (n, S, S, 3) uint8 BGR; n may be 0.

        Raises:
            ImageError: crops of another shape or type.
        """
        size = self.input_size
        if crops.dtype != np.uint8 or crops.ndim != 4 or crops.shape[1:] != (size, size, 3):
            raise ImageError(
                f"expected crops (n, {size}, {size}, 3) uint8, got {crops.shape} {crops.dtype}"
            )
        found: dict[str, NDArray[np.float32]] = {
            "params": np.zeros((0, self.morphable.layout.size), np.float32),
            "landmarks": np.zeros((0, LANDMARKS, 2), np.float32),
            "confidence": np.zeros(0, np.float32),
        }
        if "landmark_sigma" in self.outputs:
            found["landmark_sigma"] = np.zeros((0, LANDMARKS), np.float32)
        if len(crops):
            values = self.session.run({"image": to_tensor(crops)}, self.outputs)
            found = dict(zip(self.outputs, values, strict=True))
        params = found["params"]
        if self.metadata.parameter_space:
            params = params @ self.morphable.from_space.T
        pose = self.morphable.layout.split(params)[0]
        landmarks = to_crop(self.morphable.head_landmarks(params), pose)
        direct = found.get("landmarks", landmarks[..., :2])
        assert self.confidence_rule is not None
        rule, curve = self.confidence_rule
        if rule == HEAD:
            confidence = found["confidence"]
        elif rule == AGREEMENT:
            confidence = _logistic(_distance(landmarks, direct), *curve)
        else:
            confidence = _logistic(pose_disorder(pose), *curve)
        return RegressionResult(
            params,
            landmarks,
            direct,
            confidence * _has_contrast(crops),
            found.get("landmark_sigma"),
        )


def pose_disorder(pose: FloatArray) -> FloatArray:
    """Return the deviation (n,) of poses (n, 3, 4) from a scaled rotation; 0 = exact.

    It is the root mean square of the differences of the three rows' lengths to their mean and of their mutual cosines.
    """
    linear = np.asarray(pose, np.float64)[..., :3]
    lengths = np.linalg.norm(linear, axis=-1)
    unit = linear / np.maximum(lengths, 1e-12)[..., None]
    cosines = np.einsum("nij,nkj->nik", unit, unit)[:, [0, 0, 1], [1, 2, 2]]
    relative = lengths / np.maximum(lengths.mean(axis=-1, keepdims=True), 1e-12) - 1
    return np.sqrt(np.mean(np.concatenate([cosines, relative], axis=-1) ** 2, axis=-1)).astype(
        np.float32
    )


def _distance(landmarks: FloatArray, direct: FloatArray) -> FloatArray:
    """Return the mean distance (n,) between both sets of landmarks, px."""
    apart = np.linalg.norm(landmarks[..., :2] - direct, axis=-1)
    return np.asarray(apart.mean(axis=-1), np.float32)


def _logistic(disorder: FloatArray, midpoint: float, width: float) -> FloatArray:
    # The clip keeps exp() in float32's range; both ends are 0 and 1 to seven digits.
    logit = np.clip((disorder - midpoint) / width, -80.0, 80.0)
    return (1.0 / (1.0 + np.exp(logit))).astype(np.float32)


def _has_contrast(crops: NDArray[np.uint8]) -> FloatArray:
    """Return 1 for crops with contrast and 0 for blank ones (n,), on which the network output is meaningless."""
    samples = [np.ascontiguousarray(crop[::4, ::4]) for crop in crops]
    spread = [float(cv2.meanStdDev(sample)[1].max()) for sample in samples]
    return np.asarray(np.array(spread) >= LEAST_CONTRAST, dtype=np.float32)


def to_tensor(crops: NDArray[np.uint8]) -> FloatArray:
    """Convert (n, S, S, 3) uint8 to (n, 3, S, S) float32 ``(bgr - 127.5) / 128``, as 3DDFA_V2 does."""
    planes = crops.transpose(0, 3, 1, 2)
    tensor = np.empty(planes.shape, np.float32)
    np.subtract(planes, np.float32(127.5), out=tensor)
    tensor *= 1 / 128
    return tensor
