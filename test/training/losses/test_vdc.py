from __future__ import annotations

import pytest
from support.loss_cases import CASES, case_model, faces

torch = pytest.importorskip("torch", reason="the extra [training] (torch) is not installed")

from tddfa_ros.training.losses.distance_costs import vertex_distance_cost  # noqa: E402
from tddfa_ros.training.losses.terms import PosedPoints  # noqa: E402


@pytest.mark.parametrize("case", CASES)
def test_vdc_is_the_mean_squared_distance_with_the_true_depth_offset(case: str) -> None:
    model = case_model(case)
    points = PosedPoints(model, count=20).double()
    found, wanted = (torch.from_numpy(faces(model, seed)) for seed in (2, 3))
    level = found.clone()
    level[:, 11] = wanted[:, 11]
    total, count = 0.0, 0
    for one, other in zip(points(level).tolist(), points(wanted).tolist(), strict=True):
        for a, b in zip(one, other, strict=True):
            total += (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2 + (a[2] - b[2]) ** 2
            count += 1
    assert count == 2 * (68 + 20)
    assert vertex_distance_cost(points, found, wanted).item() == pytest.approx(
        total / count, rel=1e-9
    )


def test_vdc_ignores_predicted_depth_offset() -> None:
    model = case_model("tiny 40+52")
    points = PosedPoints(model, count=20).double()
    wanted = torch.from_numpy(faces(model, 4))
    farther, aside, deeper = wanted.clone(), wanted.clone(), wanted.clone()
    farther[:, 11] += 30
    aside[:, 3] += 2  # px
    deeper[:, 7] -= 3
    assert vertex_distance_cost(points, wanted, wanted).item() == 0
    assert vertex_distance_cost(points, farther, wanted).item() == 0
    assert vertex_distance_cost(points, aside, wanted).item() == pytest.approx(4)
    assert vertex_distance_cost(points, deeper, wanted).item() == pytest.approx(9)


@pytest.mark.parametrize("case", CASES)
def test_gradient(case: str) -> None:
    model = case_model(case)
    points = PosedPoints(model, count=20).double()
    found, wanted = (torch.from_numpy(faces(model, seed)) for seed in (5, 6))
    found.requires_grad_()
    assert torch.autograd.gradcheck(lambda p: vertex_distance_cost(points, p, wanted), found)
    vertex_distance_cost(points, found, wanted).backward()
    assert found.grad is not None
    assert (found.grad[:, 11] == 0).all()
    assert (found.grad[:, [3, 7]] != 0).all()
