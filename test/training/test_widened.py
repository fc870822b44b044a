from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the extra [training] (torch) is not installed")

from support.tiny_networks import as_input, settled, textures  # noqa: E402

from tddfa_ros.training import initial_weights as widen  # noqa: E402
from tddfa_ros.training.initial_weights import start_from  # noqa: E402
from tddfa_ros.training.networks import FaceNet, MobileNetV1  # noqa: E402

HEADS = ("confidence", "parsing", "uv_position")


def network(width: float, seed: int, params: int = 20) -> FaceNet:
    torch.manual_seed(seed)
    mean, std = torch.linspace(-3, 3, params), torch.linspace(0.1, 2, params)
    return FaceNet(MobileNetV1(width), mean, std, HEADS).eval()


def narrow_network() -> FaceNet:
    return settled(network(0.125, 1)).eval()


@pytest.mark.parametrize("times", [2, 4])
def test_widened_network_preserves_function(times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(widen, "_NOISE", 0.0)
    narrow, wide = narrow_network(), network(0.125 * times, 2)
    state = widen.widened(narrow.state_dict(), wide.state_dict())
    assert set(state) == set(wide.state_dict())
    wide.load_state_dict(state)
    crops = as_input(textures(3, 120))
    with torch.no_grad():
        expected, found = narrow(crops), wide(crops)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


def test_widened_copies_differ() -> None:
    narrow, wide = narrow_network(), network(0.25, 2)
    state = widen.widened(narrow.state_dict(), wide.state_dict())
    for name, value in state.items():
        if value.dim() == 4 and name.startswith("backbone."):
            first, second = value.chunk(2)
            assert (first != second).any(), name
    again = widen.widened(narrow.state_dict(), wide.state_dict())
    assert all(torch.equal(value, again[name]) for name, value in state.items())


def test_noninteger_factor_copies_equal_shapes_only() -> None:
    narrow, wide = network(0.25, 1), network(0.375, 2)
    state = widen.widened(narrow.state_dict(), wide.state_dict())
    assert not any(value.dim() == 4 for name, value in state.items() if "backbone" in name)


def test_heads_of_other_size_are_not_copied() -> None:
    state = widen.widened(narrow_network().state_dict(), network(0.25, 2, params=40).state_dict())
    assert "param_head.weight" not in state and "landmark_head.weight" in state


def test_init_from_a_narrower_checkpoint(tmp_path: Path) -> None:
    narrow, wide = narrow_network(), network(0.25, 2)
    path = tmp_path / "narrow.pt"
    torch.save({"config": {}, "network": narrow.state_dict()}, path)
    assert start_from(wide, path) == []
    crops = as_input(textures(2, 120))
    with torch.no_grad():
        difference = (wide(crops).landmarks - narrow(crops).landmarks).norm(dim=2).mean()
    assert difference < 3.0  # px; the noise that sets copies apart
