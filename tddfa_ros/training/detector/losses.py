"""Assignment of cells to faces and the loss of the detector.

Assignment: task-aligned (Feng et al., "TOOD", 2021, section 3.2): of the cells inside a face, those with the highest ``score^a * IoU^b``. The
target of the score is the IoU (Zhang et al., "VarifocalNet", 2021; Li et al., "Generalized Focal Loss", 2020). Box: complete IoU (Zheng et al. 2020).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from tddfa_ros.detection.tddfa_detect import STRIDES
from tddfa_ros.training.detector.config import DetectorConfig

_MOST_CELLS = 9  # per face
_SCORE_POWER, _IOU_POWER = 0.5, 4.0
_LEAST_SIDES, _MOST_SIDES = (0.0, 1.6, 2.2), (5.0, 6.5, math.inf)
"""Smallest and largest mean side of a face, in strides, that cells of each stride may detect; the ranges overlap."""
_INNER = 0.4  # distance of a cell from the center of its face, in sides
_NEAREST = 0.71  # or in strides: at least one cell of every face


class Targets(NamedTuple):
    """Labels of a batch, padded to the largest number of faces.

    Attributes:
        boxes: (n, g, 4) ``x0, y0, x1, y1`` px.
        points: (n, g, 5, 2) px, NaN where unknown.
        kind: (n, g) 1 face, 2 ignored region, 0 padding.
    """

    boxes: Tensor
    points: Tensor
    kind: Tensor


class Cells(NamedTuple):
    """Cells of all strides.

    Attributes:
        centers: (c, 2) px, x and y.
        strides: (c,) px.
        level: (c,) index of the stride.
    """

    centers: Tensor
    strides: Tensor
    level: Tensor


def cells_of(maps: Sequence[Tensor]) -> Cells:
    """Return the cells of output maps (n, 15, h, w)."""
    centers, strides, level = [], [], []
    for number, (stride, values) in enumerate(zip(STRIDES, maps, strict=True)):
        height, width = values.shape[2:]
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        centers.append((torch.stack([x, y], dim=-1).reshape(-1, 2) + 0.5) * stride - 0.5)
        strides.append(torch.full((height * width,), float(stride)))
        level.append(torch.full((height * width,), number))
    parts = (torch.cat(centers), torch.cat(strides), torch.cat(level))
    return Cells(*(part.to(maps[0].device) for part in parts))


def flattened(maps: Sequence[Tensor]) -> Tensor:
    """Return output maps as (n, c, 15)."""
    return torch.cat([values.flatten(2) for values in maps], dim=2).transpose(1, 2)


def boxes_of(values: Tensor, cells: Cells) -> Tensor:
    """Decode boxes (..., c, 4) px from values (..., c, 15)."""
    stride = cells.strides[:, None]
    center = cells.centers + values[..., 1:3] * stride
    half = values[..., 3:5].clamp(max=6.0).exp() * stride / 2
    return torch.cat([center - half, center + half], dim=-1)


def pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """Return the IoU (n, g, c) of boxes (n, g, 4) and (n, c, 4)."""
    a, b = a[:, :, None], b[:, None]
    shared = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(
        0
    )
    common = shared.prod(-1)
    areas = [(box[..., 2:] - box[..., :2]).prod(-1) for box in (a, b)]
    return common / (areas[0] + areas[1] - common).clamp(min=1e-6)


def assign(values: Tensor, cells: Cells, targets: Targets) -> tuple[Tensor, Tensor, Tensor]:
    """Assign cells to faces.

    Args:
        values: (n, c, 15).
        cells: of the maps.
        targets: labels.

    Returns:
        Face (n, c) of each cell, -1 for none; target (n, c) of the score; weight (n, c), 0 for cells in ignored regions.
    """
    with torch.no_grad():
        return _assigned(values, cells, targets)


def _assigned(values: Tensor, cells: Cells, targets: Targets) -> tuple[Tensor, Tensor, Tensor]:
    n, c = values.shape[:2]
    kind, boxes = targets.kind, targets.boxes
    weight = torch.ones(n, c, device=values.device)
    if boxes.shape[1] == 0:
        return torch.full((n, c), -1, device=values.device), torch.zeros_like(weight), weight
    overlap = pairwise_iou(boxes, boxes_of(values, cells))
    sides = boxes[..., 2:] - boxes[..., :2]
    mean_side = sides.mean(-1, keepdim=True)
    middle = (boxes[..., 2:] + boxes[..., :2]) / 2
    away = (cells.centers[None, None] - middle[:, :, None]).abs()
    inner = (away <= _INNER * sides[:, :, None]).all(-1)
    near = (away <= _NEAREST * cells.strides[:, None]).all(-1)
    ratio = mean_side / cells.strides
    least, most = (
        torch.tensor(v, device=values.device)[cells.level] for v in (_LEAST_SIDES, _MOST_SIDES)
    )
    valid = (inner | near) & (ratio >= least) & (ratio <= most) & (kind == 1)[..., None]
    score = values[..., 0].sigmoid()[:, None]
    # the second factor prefers cells near the center while the boxes are still useless
    metric = score**_SCORE_POWER * (overlap + 0.02) ** _IOU_POWER
    metric = metric * torch.exp(-((away / mean_side[..., None]) ** 2).sum(-1)) * valid
    count = min(_MOST_CELLS, c)
    top = metric.topk(count, dim=-1)
    # as many cells as the face is large: dynamic k of SimOTA (Ge et al., "YOLOX", 2021)
    wanted = (
        (torch.where(valid, overlap, 0.0).topk(count, dim=-1).values.sum(-1)).clamp(min=1).ceil()
    )
    order = torch.arange(count, device=values.device)
    chosen = (order < wanted[..., None]) & (top.values > 0)
    picked = torch.zeros_like(metric).scatter_(-1, top.indices, chosen.float()) * metric
    best, face = picked.max(dim=1)
    positive = best > 0
    face = torch.where(positive, face, -1)
    own = overlap.gather(1, face.clamp(min=0)[:, None])[:, 0]
    # at least a small target, so that the scores of hard faces rise before their boxes fit
    quality = torch.where(positive, own.clamp(min=0.2), 0.0)
    ignored = ((away <= 0.5 * sides[:, :, None]).all(-1) & (kind == 2)[..., None]).any(1)
    return face, quality, torch.where(ignored & ~positive, 0.0, weight)


class DetectorLoss:
    """Loss of one batch.

    Args:
        config: weights of the terms.
    """

    def __init__(self, config: DetectorConfig) -> None:
        self._config = config

    def __call__(
        self, maps: Sequence[Tensor], targets: Targets
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and its terms, detached."""
        values, cells = flattened(maps).float(), cells_of(maps)
        face, quality, weight = assign(values, cells, targets)
        logit = values[..., 0]
        score = logit.sigmoid()
        plain = functional.binary_cross_entropy_with_logits(logit, quality, reduction="none")
        # varifocal: faces weigh by their target, background by its score
        focus = torch.where(face >= 0, torch.ones_like(quality), 0.75 * score.detach() ** 2)
        total_quality = quality.sum().clamp(min=1.0)
        terms = {"score": (plain * focus * weight).sum() / total_quality}
        image, cell = torch.nonzero(face >= 0, as_tuple=True)
        own = face[image, cell]
        share = quality[image, cell].clamp(min=0.3)
        found = values[image, cell]
        stride, center = cells.strides[cell, None], cells.centers[cell]
        wanted = targets.boxes[image, own]
        middle = center + found[:, 1:3] * stride
        sides = found[:, 3:5].clamp(max=6.0).exp() * stride
        norm = share.sum().clamp(min=1.0)
        terms["box"] = (complete_iou_loss(middle, sides, wanted) * share).sum() / norm
        terms["roi"] = (roi_loss(middle, sides, wanted) * share).sum() / norm
        points = targets.points[image, own]
        seen = torch.isfinite(points).all(-1).all(-1)
        size = (wanted[:, 2:] - wanted[:, :2]).mean(-1)[:, None, None]
        placed = center[:, None] + found[:, 5:].reshape(-1, 5, 2) * stride[:, None]
        away = torch.where(seen[:, None, None], (placed - points.nan_to_num()) / size, 0.0)
        terms["points"] = (
            functional.smooth_l1_loss(
                away, torch.zeros_like(away), beta=0.05, reduction="none"
            ).mean((1, 2))
            * share
        ).sum() / norm
        c = self._config
        total = (
            terms["score"]
            + c.box_weight * terms["box"]
            + c.roi_weight * terms["roi"]
            + c.points_weight * terms["points"]
        )
        return total, {name: value.detach() for name, value in terms.items()}


def complete_iou_loss(middle: Tensor, sides: Tensor, wanted: Tensor) -> Tensor:
    """Return ``1 - CIoU`` (m,) of boxes with centers and sides (m, 2) against boxes (m, 4) (Zheng et al. 2020, eq. 10 and 11)."""
    low, high = middle - sides / 2, middle + sides / 2
    common = (
        (torch.minimum(high, wanted[:, 2:]) - torch.maximum(low, wanted[:, :2])).clamp(0).prod(-1)
    )
    true_sides = wanted[:, 2:] - wanted[:, :2]
    union = sides.prod(-1) + true_sides.prod(-1) - common
    hull = torch.maximum(high, wanted[:, 2:]) - torch.minimum(low, wanted[:, :2])
    true_middle = (wanted[:, 2:] + wanted[:, :2]) / 2
    distance = ((middle - true_middle) ** 2).sum(-1) / (hull**2).sum(-1).clamp(min=1e-6)
    angles = [torch.atan(side[:, 0] / side[:, 1].clamp(min=1e-6)) for side in (sides, true_sides)]
    ratio = 4 / math.pi**2 * (angles[0] - angles[1]) ** 2
    iou = common / union.clamp(min=1e-6)
    with torch.no_grad():
        alpha = ratio / (1 - iou + ratio).clamp(min=1e-6)
    return 1 - iou + distance + alpha * ratio


def roi_loss(middle: Tensor, sides: Tensor, wanted: Tensor) -> Tensor:
    """Return the error (m,) of center and mean side relative to the mean side, smooth L1 with a knee at 5 %: the ROI follows from these."""
    true_side = (wanted[:, 2:] - wanted[:, :2]).mean(-1, keepdim=True)
    true_middle = (wanted[:, 2:] + wanted[:, :2]) / 2
    size = torch.log(sides.mean(-1, keepdim=True) / true_side)
    error = torch.cat([(middle - true_middle) / true_side, size], dim=-1)
    return functional.smooth_l1_loss(
        error, torch.zeros_like(error), beta=0.05, reduction="none"
    ).sum(-1)
