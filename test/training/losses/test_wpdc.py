from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from support.loss_cases import CASES, case_model, faces, mesh, whitening

from tddfa_ros.morphable import MorphableModel

torch = pytest.importorskip("torch", reason="the extra [training] (torch) is not installed")

from tddfa_ros.training.losses.distance_costs import Wpdc  # noqa: E402
from tddfa_ros.training.losses.terms import PosedPoints  # noqa: E402

DoubleArray = NDArray[np.float64]


def std(model: MorphableModel) -> torch.Tensor:
    return torch.from_numpy(whitening(model))


def slow_weights(model: MorphableModel, found: DoubleArray, wanted: DoubleArray) -> DoubleArray:
    """Compute the weights by definition: correct one parameter at a time and measure the displacement of the mesh."""
    out = []
    for one, truth in zip(found, wanted, strict=True):
        before = mesh(model, one)
        moved = []
        for k in range(len(one)):
            fixed = one.copy()
            fixed[k] = truth[k]
            moved.append(0.0 if k == 11 else np.linalg.norm(mesh(model, fixed) - before))
        out.append(np.array(moved) / max(moved))
    return np.array(out)


def slow_loss(weights: DoubleArray, found: DoubleArray, wanted: DoubleArray, std: DoubleArray) -> float:  # fmt: skip
    total = 0.0
    for n in range(len(found)):
        for k in range(found.shape[1]):
            total += weights[n, k] * ((found[n, k] - wanted[n, k]) / std[k]) ** 2
    return total / found.size


@pytest.mark.parametrize("case", CASES)
def test_wpdc_weights_match_vertex_displacement(case: str) -> None:
    model = case_model(case)
    found, wanted = (faces(model, seed, count=1) for seed in (1, 2))
    expected = slow_weights(model, found, wanted)
    loss = Wpdc.over_mesh(model, std(model)).double()
    weights = loss.weights(torch.from_numpy(found), torch.from_numpy(wanted)).numpy()
    np.testing.assert_allclose(weights, expected, rtol=1e-6, atol=1e-9)
    assert weights.max() == 1 and weights[:, 11].max() == 0
    assert (weights > 1e-4).sum() > 20, "many parameters matter"
    assert loss(torch.from_numpy(found), torch.from_numpy(wanted)).item() == pytest.approx(
        slow_loss(expected, found, wanted, whitening(model)), rel=1e-6
    )


@pytest.mark.parametrize("case", CASES)
def test_fwpdc_is_wpdc_over_its_points(case: str) -> None:
    model = case_model(case)
    points = PosedPoints(model, count=40).double()
    found, wanted = (faces(model, seed) for seed in (3, 4))
    expected = []
    for one, truth in zip(found, wanted, strict=True):
        head = (points.base + points.basis @ torch.from_numpy(one[12:])).reshape(-1, 3).numpy()
        basis = points.basis.numpy()
        pose, error = one[:12].reshape(3, 4), np.abs(one - truth)
        scale = (np.linalg.norm(pose[0, :3]) + np.linalg.norm(pose[1, :3])) / 2
        moved = np.zeros(len(one))
        for i in range(3):
            for j in range(3):
                moved[4 * i + j] = error[4 * i + j] * np.linalg.norm(head[:, j])
            moved[4 * i + 3] = error[4 * i + 3] * np.sqrt(len(head))
        for k in range(12, len(one)):
            moved[k] = error[k] * np.linalg.norm(basis[:, k - 12]) * scale
        moved[11] = 0
        expected.append(moved / moved.max())
    loss = Wpdc.over_points(points, std(model)).double()
    weights = loss.weights(torch.from_numpy(found), torch.from_numpy(wanted)).numpy()
    np.testing.assert_allclose(weights, expected, rtol=1e-9)
    assert loss(torch.from_numpy(found), torch.from_numpy(wanted)).item() == pytest.approx(
        slow_loss(np.array(expected), found, wanted, whitening(model)), rel=1e-9
    )


def test_fwpdc_approximates_wpdc() -> None:
    model = case_model("default 40+52")
    found, wanted = (torch.from_numpy(faces(model, seed, count=16)) for seed in (5, 6))
    whole = Wpdc.over_mesh(model, std(model)).double().weights(found, wanted)
    fast = Wpdc.over_points(PosedPoints(model), std(model)).double().weights(found, wanted)
    # the whole mesh has neck and scalp, far from the origin: rotation weighs up to about twice as much against translation
    ratio = (fast / whole)[:, [3, 7]] / (fast / whole)[:, :3].mean(dim=1, keepdim=True)
    assert 1.0 < ratio.median() < 2.5
    assert np.corrcoef(whole[:, 12:].ravel(), fast[:, 12:].ravel())[0, 1] > 0.7


@pytest.mark.parametrize("case", CASES)
def test_weights_have_no_gradient(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = case_model(case)
    loss = Wpdc.over_points(PosedPoints(model, count=20), std(model)).double()
    found, wanted = (torch.from_numpy(faces(model, seed)) for seed in (7, 8))
    found.requires_grad_()
    weights = loss.weights(found, wanted)
    (gradient,) = torch.autograd.grad(loss(found, wanted), found)
    expected = 2 * weights * (found - wanted) / std(model) ** 2 / found.numel()
    torch.testing.assert_close(gradient, expected)
    monkeypatch.setattr(loss, "weights", lambda *_: weights)
    assert torch.autograd.gradcheck(lambda p: loss(p, wanted), found)


def test_loss_of_truth_is_zero_for_any_depth_origin() -> None:
    model = case_model("tiny 40+10")
    loss = Wpdc.over_mesh(model, std(model)).double()
    wanted = torch.from_numpy(faces(model, 9))
    farther = wanted.clone()
    farther[:, 11] += 30
    for found in (wanted, farther):
        found = found.clone().requires_grad_()
        value = loss(found, wanted)
        value.backward()
        assert value.item() == 0
        assert found.grad is not None and (found.grad == 0).all()
