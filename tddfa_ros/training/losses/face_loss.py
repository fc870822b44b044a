"""The loss of a batch: the weighted sum of its terms."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.loss_weights import LossWeights, weights_at
from tddfa_ros.training.losses.distance_costs import Wpdc, vertex_distance_cost
from tddfa_ros.training.losses.terms import (
    LIDS,
    PosedPoints,
    clip_jitter,
    coefficient_distance,
    confidence_loss,
    crop_pixels,
    gap_distance,
    lid_distance,
    point_distance,
    robust,
    segmentation_loss,
    sigma_loss,
    uv_position_loss,
)
from tddfa_ros.training.networks import Predictions

_Term = Callable[[], Tensor]
_TARGETS = ("params", "parsing", "uv_position", "clip")


class FaceLoss(nn.Module):
    """``L = sum of lambda_i(t) L_i`` over the terms of :class:`LossWeights` whose weight is not 0.

    ``seg``, ``uv``, ``sigma`` and ``confidence`` need the head of the network and the target in the batch; ``lids`` needs the eyeBlink
    coefficients of the model. All terms but ``confidence`` use only rows with a face: those with ``batch["face"]`` 1, or all without that key.

    Args:
        model: morphable model.
        std: (P,) of the whitening.
        weights: of the terms.
        points: posed landmarks and vertices, to share them between losses; None: new ones.
        class_weights: (C,) of face parsing.
        uv_mask: (u, u), 1 where a texel has a surface point.

    Attributes:
        points: posed landmarks and sampled vertices.
        weights: of the terms.
    """

    def __init__(
        self,
        model: MorphableModel,
        std: Tensor,
        weights: LossWeights,
        *,
        points: PosedPoints | None = None,
        class_weights: Tensor | None = None,
        uv_mask: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.points = PosedPoints(model) if points is None else points
        self.weights = weights
        names = model.expression_names
        first = model.layout.expression_slice.start
        self._lids = [first + names.index(name) for name in LIDS if name in names]
        self.register_buffer("std", std, persistent=False)
        self.register_buffer("class_weights", class_weights, persistent=False)
        self.register_buffer("uv_mask", uv_mask, persistent=False)
        self.std: Tensor
        self.class_weights: Tensor | None
        self.uv_mask: Tensor | None
        if weights.wpdc > 0:
            self.wpdc = Wpdc.over_mesh(model, std)
        if weights.fwpdc > 0:
            self.fwpdc = Wpdc.over_points(self.points, std)

    def forward(
        self, predictions: Predictions, batch: Mapping[str, Tensor], progress: float = 0.0
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the loss.

        Args:
            predictions: of the network, for n crops.
            batch: targets ``params`` (n, P) and optionally ``face`` (n,), ``clip`` (n,), ``parsing`` (n, h, w), ``uv_position`` (n, 3, u, u).
            progress: t / T, the completed share of the run.

        Returns:
            The total and, for the log, each term without its weight, detached.
        """
        with torch.autocast(predictions.params.device.type, enabled=False):
            exact = _each(predictions, _exact)
            choices = self._terms(exact, batch)
            total, terms = _zero_of_all_heads(exact), {}
            for name, weight in weights_at(self.weights, progress).items():
                if name in choices:
                    value = choices[name]()
                    total = total + weight * value
                    terms[name] = value.detach()
        return total, terms

    def _terms(self, every: Predictions, batch: Mapping[str, Tensor]) -> dict[str, _Term]:
        """Return a function per term that can be computed for this batch."""
        found, target = _faces(every, batch)
        params, wanted = found.params, target["params"]
        posed, truth = self.points(params), self.points(wanted)
        depth, std = self.weights.depth, self.std
        terms: dict[str, _Term] = {
            "vertices": lambda: point_distance(posed[:, 68:], truth[:, 68:], depth),
            "lmk": lambda: point_distance(posed[:, :68], truth[:, :68], depth),
            "direct": lambda: robust(found.landmarks - crop_pixels(truth[:, :68])),
            "coefficients": lambda: coefficient_distance(params, wanted, std),
            "gaps": lambda: gap_distance(posed[:, :68], truth[:, :68]),
            "vdc": lambda: vertex_distance_cost(self.points, params, wanted),
            "wpdc": lambda: self.wpdc(params, wanted),
            "fwpdc": lambda: self.fwpdc(params, wanted),
        }
        if self._lids:
            terms["lids"] = lambda: lid_distance(params, wanted, std, self._lids)
        if "clip" in target:
            clip, pixels = target["clip"], crop_pixels(truth[:, :68])
            terms["steady"] = lambda: (
                clip_jitter(crop_pixels(posed[:, :68]), pixels, clip)
                + clip_jitter(found.landmarks, pixels, clip)
            )
        sigma = found.landmark_sigma
        if sigma is not None:
            terms["sigma"] = lambda: sigma_loss(
                crop_pixels(posed[:, :68]), crop_pixels(truth[:, :68]), sigma
            )
        parsing, maps, logits = found.parsing, found.uv_position, every.confidence
        if parsing is not None and "parsing" in target:
            terms["seg"] = lambda: segmentation_loss(parsing, target["parsing"], self.class_weights)
        if maps is not None and "uv_position" in target:
            terms["uv"] = lambda: uv_position_loss(maps, target["uv_position"], self.uv_mask)
        if len(params) == 0:
            terms = dict.fromkeys(terms, lambda: params.new_zeros(()))
        if logits is not None and "face" in batch:
            terms["confidence"] = lambda: confidence_loss(logits, batch["face"])
        return terms


def _each(predictions: Predictions, change: Callable[[Tensor], Tensor]) -> Predictions:
    return Predictions._make(None if p is None else change(p) for p in predictions)


def _exact(prediction: Tensor) -> Tensor:
    """Convert half to single precision: float16 resolves 120 px to 0.06 px only."""
    half = prediction.dtype in (torch.float16, torch.bfloat16)
    return prediction.float() if half else prediction


def _faces(
    predictions: Predictions, batch: Mapping[str, Tensor]
) -> tuple[Predictions, dict[str, Tensor]]:
    """Select the rows of predictions and targets with a face."""
    targets = {name: batch[name] for name in _TARGETS if name in batch}
    if "face" not in batch:
        return predictions, targets
    rows = batch["face"] > 0.5
    found = _each(predictions, lambda p: p[rows])
    return found, {name: target[rows] for name, target in targets.items()}


def _zero_of_all_heads(predictions: Predictions) -> Tensor:
    """Return 0 with a gradient path to every head: DDP waits for the gradients of all heads, also of those without a target in this batch."""
    return sum((p.flatten()[0] * 0 for p in predictions if p is not None), torch.zeros(()))
