"""How well the predicted uncertainty of the landmarks explains their errors."""

from __future__ import annotations

import torch
from torch import Tensor

_SQRT2 = 2.0**0.5


def sigma_loss(landmarks: Tensor, wanted: Tensor, sigma: Tensor) -> Tensor:
    """Mean negative log-likelihood of a Laplace distribution with standard deviation ``sigma`` (n, L), of landmarks (n, L, 2), px.

    The landmarks are taken as they are (detached), so that the term trains the uncertainty and never trades accuracy for it
    (Kendall and Gal, 2017, with the mean fixed).
    """
    distance = (landmarks.detach() - wanted).abs().mean(dim=2)
    return (torch.log(sigma) + _SQRT2 * distance / sigma).mean()
