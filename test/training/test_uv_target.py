from __future__ import annotations

import numpy as np
import pytest
from support.posed import random_faces

from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.data.uv_map import posed_vertices, uv_surface

torch = pytest.importorskip("torch", reason="the extra [training] (torch) is not installed")

from tddfa_ros.training.dataset import UvTarget  # noqa: E402
from tddfa_ros.training.networks import UV_SIZE  # noqa: E402


def test_uv_target_matches_numpy_map(tiny_model: MorphableModel) -> None:
    params = random_faces(tiny_model, np.random.default_rng(0), 3)
    target = UvTarget(tiny_model)
    found = target(torch.from_numpy(params))
    assert found.shape == (3, 3, UV_SIZE, UV_SIZE)
    surface = uv_surface(tiny_model, UV_SIZE)
    for row, one in zip(found.numpy(), params, strict=True):
        wanted = surface.unroll(tiny_model, posed_vertices(tiny_model, one))
        np.testing.assert_allclose(row.transpose(1, 2, 0), wanted, atol=1e-3)
    np.testing.assert_array_equal(target.mask.numpy() > 0, surface.mask)
    assert not found[:, :, ~surface.mask].any()
    assert surface.mask.mean() > 0.5
