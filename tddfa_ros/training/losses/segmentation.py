"""Face parsing: cross entropy per pixel."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tddfa_ros.training.data.parsing import IGNORE


def segmentation_loss(
    logits: Tensor, target: Tensor, class_weights: Tensor | None = None
) -> Tensor:
    """Cross entropy, averaged over labelled pixels by the weight of their class; 0 where no pixel is labelled.

    Args:
        logits: (n, C, h, w).
        target: (n, h, w) int64 class ids, :data:`~tddfa_ros.training.data.parsing.IGNORE` where unknown.
        class_weights: (C,); None = all alike.
    """
    weights = logits.new_ones(logits.shape[1]) if class_weights is None else class_weights
    entropy = nn.functional.cross_entropy(
        logits, target, weights, ignore_index=IGNORE, reduction="sum"
    )
    counted = weights[target[target != IGNORE]].sum()
    return entropy / counted.clamp_min(torch.finfo(logits.dtype).eps)


def balanced_weights(pixels: Sequence[int], most: float = 10.0) -> Tensor:
    """Weights (C,) from the number of pixels of each class: median frequency balancing (Eigen and Fergus 2015).

    A class of the median size weighs 1, one of half that size 2; no class weighs more than ``most``. A class without pixels weighs 1.
    """
    counts = torch.as_tensor(list(pixels), dtype=torch.float64)
    present = counts > 0
    if not present.any():
        return torch.ones(len(counts))
    middle = counts[present].quantile(0.5)
    weights = torch.where(present, middle / counts.clamp_min(1), torch.ones_like(counts))
    return weights.clamp_max(most).float()
