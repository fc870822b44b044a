from __future__ import annotations

import numpy as np
import pytest
from support.posed import posed, random_faces
from support.synthetic_model import synthetic_model

from tddfa_ros.morphable import MorphableModel

torch = pytest.importorskip("torch", reason="the extra [training] (torch) is not installed")

from tddfa_ros.training.losses import (  # noqa: E402
    FaceLoss,
    LossWeights,
    PosedPoints,
    crop_pixels,
)

WEIGHTS = LossWeights(
    vertices=0.7, mesh_landmarks=1.3, direct_landmarks=0.9, coefficients=0.2, depth=0.4
)


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return synthetic_model(shape=5, expressions=7)


@pytest.fixture(scope="module")
def points(model: MorphableModel) -> PosedPoints:
    return PosedPoints(model, count=12).double()


def faces(model: MorphableModel, seed: int, count: int = 3) -> torch.Tensor:
    return torch.from_numpy(random_faces(model, np.random.default_rng(seed), count)).double()


def std(model: MorphableModel) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(8).uniform(0.1, 2, model.layout.size))


def test_points_are_posed_landmarks_and_vertices(
    model: MorphableModel, points: PosedPoints
) -> None:
    params = faces(model, 1)
    found = points(params).numpy()
    assert found.shape == (3, 68 + 12, 3)
    plain = params.numpy().astype(np.float32)
    np.testing.assert_allclose(found[:, :68], posed(model.head_landmarks(plain), plain), atol=2e-3)
    vertices = posed(model.head(plain), plain)
    for k in range(68, 80):
        nearest = np.linalg.norm(vertices - found[:, [k]], axis=2)
        assert nearest.min(axis=1).max() < 2e-3
        assert len(set(nearest.argmin(axis=1))) == 1, "the same vertex of every face"


def test_points_are_chosen_the_same_way_each_time(model: MorphableModel) -> None:
    one, two, other = (PosedPoints(model, 12, seed) for seed in (0, 0, 1))
    assert torch.equal(one.base, two.base)
    assert not torch.equal(one.base, other.base)


def slow_huber(values: list[float], delta: float = 1.5) -> float:
    total = 0.0
    for value in values:
        size = abs(value)
        total += size**2 / 2 if size <= delta else delta * (size - delta / 2)
    return total / len(values)


def slow_distance(found: np.ndarray, wanted: np.ndarray) -> float:
    flat, depth = [], []
    for face_found, face_wanted in zip(found, wanted, strict=True):
        difference = face_found - face_wanted
        middle = sum(row[2] for row in difference) / len(difference)
        for row in difference:
            flat += [row[0], row[1]]
            depth.append(row[2] - middle)
    return slow_huber(flat) + WEIGHTS.depth * slow_huber(depth)


def test_loss_is_what_it_says(model: MorphableModel, points: PosedPoints) -> None:
    found, wanted = faces(model, 2), faces(model, 3)
    direct = torch.from_numpy(np.random.default_rng(9).uniform(0, 120, (3, 68, 2)))
    total, terms = FaceLoss(points, std(model), WEIGHTS).double()(found, direct, wanted)
    a, b = points(found).numpy(), points(wanted).numpy()
    pixel = [
        (direct[n, k, 0].item() - (b[n, k, 0] - 1), direct[n, k, 1].item() - (120 - b[n, k, 1]))
        for n in range(3)
        for k in range(68)
    ]
    scaled = np.abs((found - wanted).numpy() / std(model).numpy())[:, 12:]
    expected = {
        "vertices": slow_distance(a[:, 68:], b[:, 68:]),
        "mesh_landmarks": slow_distance(a[:, :68], b[:, :68]),
        "direct_landmarks": slow_huber([v for pair in pixel for v in pair]),
        "coefficients": float(scaled.mean()),
    }
    assert {k: v.item() for k, v in terms.items()} == pytest.approx(expected, rel=1e-6)
    assert total.item() == pytest.approx(
        sum(getattr(WEIGHTS, name) * value for name, value in expected.items()), rel=1e-6
    )


def test_loss_of_the_truth_is_zero_wherever_its_depth_starts(
    model: MorphableModel, points: PosedPoints
) -> None:
    wanted = faces(model, 4)
    loss = FaceLoss(points, std(model), WEIGHTS).double()
    direct = crop_pixels(points(wanted)[:, :68])
    nearer = wanted.clone()
    nearer[:, 11] += 30  # t_z, whose origin is arbitrary
    for found in (wanted, nearer):
        assert loss(found, direct, wanted)[0].item() == pytest.approx(0, abs=1e-9)
    shifted = wanted.clone()
    shifted[:, 3] += 1
    assert loss(shifted, direct, wanted)[0].item() > 0.1


def test_gradients(model: MorphableModel, points: PosedPoints) -> None:
    wanted = faces(model, 5, 2)
    params = faces(model, 6, 2).requires_grad_()
    direct = torch.rand(2, 68, 2, dtype=torch.float64, requires_grad=True)
    loss = FaceLoss(points, std(model), WEIGHTS).double()
    assert torch.autograd.gradcheck(
        lambda p, d: loss(p, d, wanted)[0], (params, direct), eps=1e-6, atol=1e-4
    )


def test_crop_pixels() -> None:
    found = crop_pixels(torch.tensor([[1.0, 120.0, 7.0], [61.0, 60.0, 0.0]]))
    assert found.tolist() == [[0.0, 0.0], [60.0, 60.0]]
