"""Weights over a run: ``lambda_i(t) = lambda_i * gamma_i ** (t / T)``."""

from __future__ import annotations

from tddfa_ros.training.loss_weights import TERMS, LossWeights


def weights_at(weights: LossWeights, progress: float) -> dict[str, float]:
    """Weight of every term that counts, at ``progress`` t / T of the run in [0, 1]; terms of weight 0 are left out."""
    return {
        term: base * getattr(weights.decay, term) ** progress
        for term in TERMS
        if (base := getattr(weights, term)) > 0
    }
