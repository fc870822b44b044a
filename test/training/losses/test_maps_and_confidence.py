from __future__ import annotations

import math

import numpy as np
import pytest

from tddfa_ros.training.data.frames import IGNORE

torch = pytest.importorskip("torch", reason="the extra [training] (torch) is not installed")

from tddfa_ros.training.losses.terms import (  # noqa: E402
    balanced_weights,
    confidence_loss,
    segmentation_loss,
    uv_position_loss,
)


def parsing(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (2, 4, 5, 6) and classes (2, 5, 6), a third of them not labeled."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 4, (2, 5, 6))
    classes[rng.random(classes.shape) < 1 / 3] = IGNORE
    return torch.from_numpy(rng.normal(size=(2, 4, 5, 6))), torch.from_numpy(classes)


@pytest.mark.parametrize("weights", [None, [1.0, 0.5, 2.0, 0.0]])
def test_segmentation_is_weighted_cross_entropy_of_labeled_pixels(weights: list[float] | None) -> None:  # fmt: skip
    logits, classes = parsing()
    total, counted = 0.0, 0.0
    for n in range(2):
        for y in range(5):
            for x in range(6):
                wanted = int(classes[n, y, x])
                if wanted == IGNORE:
                    continue
                shares = [math.exp(v) for v in logits[n, :, y, x].tolist()]
                weight = 1.0 if weights is None else weights[wanted]
                total -= weight * math.log(shares[wanted] / sum(shares))
                counted += weight
    given = None if weights is None else torch.tensor(weights, dtype=torch.float64)
    found = segmentation_loss(logits, classes, given)
    assert found.item() == pytest.approx(total / counted, rel=1e-9)


def test_segmentation_limits_and_gradient() -> None:
    logits, classes = parsing(1)
    sure = 60 * torch.nn.functional.one_hot(classes.clamp_max(3), 4).permute(0, 3, 1, 2).double()
    assert segmentation_loss(sure, classes).item() < 1e-9
    assert segmentation_loss(logits, torch.full_like(classes, IGNORE)).item() == 0
    assert segmentation_loss(0 * logits, classes).item() == pytest.approx(math.log(4))
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda v: segmentation_loss(v, classes), logits)


def test_balanced_weights() -> None:
    assert balanced_weights([100, 200, 400]).tolist() == [2.0, 1.0, 0.5]
    assert balanced_weights([100, 1, 100, 0]).tolist() == [1.0, 10.0, 1.0, 1.0]
    assert balanced_weights([100, 1, 100], most=3).tolist() == [1.0, 3.0, 1.0]
    assert balanced_weights([0, 0]).tolist() == [1.0, 1.0]


NOTHING_THERE = ((0, 1, 2), (1, 2, 0), (1, 0, 3))


def maps() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Found and wanted maps (2, 3, 4, 4), with some empty texels, and a mask (4, 4)."""
    rng = np.random.default_rng(3)
    found, wanted = rng.uniform(0, 120, (2, 2, 3, 4, 4))
    wanted[0, :, 1, 2] = np.nan
    wanted[1, 2, 2, 0] = np.nan
    wanted[1, :, 0, 3] = 0
    mask = np.ones((4, 4))
    mask[3] = 0
    return torch.from_numpy(found), torch.from_numpy(wanted), torch.from_numpy(mask)


@pytest.mark.parametrize("masked", [True, False])
def test_uv_position_is_mean_error_over_surface_texels(masked: bool) -> None:
    found, wanted, mask = maps()
    errors = []
    for n in range(2):
        texels = [
            (found[n, :, y, x] - wanted[n, :, y, x]).tolist()
            for y in range(4)
            for x in range(4)
            if (not masked or mask[y, x] == 1) and (n, y, x) not in NOTHING_THERE
        ]
        middle = sum(texel[2] for texel in texels) / len(texels)
        for dx, dy, dz in texels:
            errors += [abs(dx), abs(dy), abs(dz - middle)]
    assert len(errors) == 3 * (2 * (12 if masked else 16) - 3)
    value = uv_position_loss(found, wanted, mask if masked else None)
    assert value.item() == pytest.approx(sum(errors) / len(errors), rel=1e-9)


def test_uv_position_limits_and_gradient() -> None:
    found, wanted, mask = maps()
    assert uv_position_loss(wanted.nan_to_num(7.0), wanted, mask).item() == 0
    nearer = wanted.nan_to_num(7.0)
    nearer[:, 2] += 30
    assert uv_position_loss(nearer, wanted, mask).item() == pytest.approx(0, abs=1e-12)
    nearer[:, 1] += 30
    assert uv_position_loss(nearer, wanted, mask).item() == pytest.approx(10)
    assert uv_position_loss(found, torch.full_like(wanted, torch.nan), mask).item() == 0
    found.requires_grad_()
    assert torch.autograd.gradcheck(lambda v: uv_position_loss(v, wanted, mask), found)
    uv_position_loss(found, wanted, mask).backward()
    assert found.grad is not None
    assert found.grad.isfinite().all() and (found.grad[0, :, 1, 2] == 0).all()


def test_confidence_is_binary_cross_entropy() -> None:
    logits = torch.tensor([2.0, -1.0, 0.0, 3.0], dtype=torch.float64, requires_grad=True)
    face = torch.tensor([1.0, 0.0, 1.0, 0.0])
    total = 0.0
    for logit, truth in zip(logits.tolist(), face.tolist(), strict=True):
        share = 1 / (1 + math.exp(-logit))
        total -= math.log(share if truth == 1 else 1 - share)
    assert confidence_loss(logits, face).item() == pytest.approx(total / 4, rel=1e-9)
    assert torch.autograd.gradcheck(lambda v: confidence_loss(v, face), logits)
    assert confidence_loss(100 * (2 * face - 1), face).item() < 1e-40
    assert confidence_loss(torch.tensor([1e4]), torch.tensor([0.0])).item() == 1e4
