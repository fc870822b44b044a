from __future__ import annotations

import numpy as np
import pytest
from support.loss_cases import CASES, case_model, faces, mesh

torch = pytest.importorskip("torch", reason="the extra [training] (torch) is not installed")

from tddfa_ros.training.losses.terms import PosedPoints, crop_pixels  # noqa: E402


@pytest.mark.parametrize("case", CASES)
def test_posed_points_are_landmarks_and_vertices(case: str) -> None:
    model = case_model(case)
    params = faces(model, 1)
    found = PosedPoints(model, count=12).double()(torch.from_numpy(params)).numpy()
    assert found.shape == (2, 68 + 12, 3)
    vertices = np.stack([mesh(model, row) for row in params])
    np.testing.assert_allclose(found[:, :68], model.landmarks_of(vertices), atol=1e-3)
    for k in range(68, 80):
        nearest = np.linalg.norm(vertices - found[:, [k]], axis=2)
        assert nearest.min(axis=1).max() < 1e-3
        assert len(set(nearest.argmin(axis=1))) == 1, "the same vertex of every face"
        region = model.region_names[model.regions[nearest[0].argmin()]]
        assert region not in ("inner_mouth", "tongue", "neck", "scalp")


def test_vertex_sample_is_deterministic() -> None:
    model = case_model("tiny 40+10")
    one, two, other = (PosedPoints(model, 12, seed) for seed in (0, 0, 1))
    assert torch.equal(one.base, two.base)
    assert not torch.equal(one.base, other.base)


def test_small_model_uses_all_vertices() -> None:
    model = case_model("tiny 40+10")
    count = int((model.regions != model.region_names.index("neck")).sum())
    assert len(PosedPoints(model, 10_000).base) == 3 * (68 + count)


def test_crop_pixels() -> None:
    found = crop_pixels(torch.tensor([[1.0, 120.0, 7.0], [61.0, 60.0, 0.0]]))
    assert found.tolist() == [[0.0, 0.0], [60.0, 60.0]]
