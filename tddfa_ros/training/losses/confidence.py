"""Confidence: is there a face in the crop."""

from __future__ import annotations

from torch import Tensor, nn


def confidence_loss(logits: Tensor, face: Tensor) -> Tensor:
    """Mean binary cross entropy of logits (n,) against ``face`` (n,), 1 a face and 0 none."""
    return nn.functional.binary_cross_entropy_with_logits(logits, face.to(logits.dtype))
