"""UV position map: the place in the crop of every point of the unwrapped surface."""

from __future__ import annotations

import torch
from torch import Tensor


def uv_position_loss(found: Tensor, wanted: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean absolute error over the texels that hold a point of the surface, px; 0 where none does.

    x and y are compared as they are; z relative to its mean over the face, for its origin is arbitrary.

    Args:
        found: (n, 3, u, u), crop frame.
        wanted: (n, 3, u, u); a texel of three zeros, or with a value that is not finite, holds nothing.
        mask: weights of texels, (u, u) or broadcastable to (n, 1, u, u); None = all alike.
    """
    held = wanted.isfinite().all(dim=1, keepdim=True) & (wanted != 0).any(dim=1, keepdim=True)
    weight = held.to(found.dtype) if mask is None else held * mask.to(found.dtype)
    difference = torch.where(held, found - wanted, 0)
    least = torch.finfo(found.dtype).eps
    depth = (difference[:, 2:] * weight).sum(dim=(1, 2, 3), keepdim=True)
    depth = depth / weight.sum(dim=(1, 2, 3), keepdim=True).clamp_min(least)
    error = torch.cat([difference[:, :2], difference[:, 2:] - depth], dim=1).abs()
    return (error.mean(dim=1, keepdim=True) * weight).sum() / weight.sum().clamp_min(least)
