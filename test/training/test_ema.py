from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="the extra [training] (torch) is not installed")

from torch import nn  # noqa: E402

from tddfa_ros.training.ema import EMA  # noqa: E402


class One(nn.Module):
    """One weight, one statistic and one counter."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.register_buffer("statistic", torch.zeros(()))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def move(self, value: float) -> None:
        with torch.no_grad():
            self.weight.fill_(value)
        self.statistic.fill_(value)
        self.count += 1


def run(average: EMA, network: One, values: list[float]) -> list[float]:
    out = []
    for value in values:
        network.move(value)
        average.update(network)
        out.append(float(average.weights["weight"]))
    return out


def test_the_average_moves_every_fourth_step_and_is_a_plain_mean_at_first() -> None:
    network = One()
    average = EMA(network, half_life=1000.0)
    seen = run(average, network, [float(step) for step in range(1, 13)])
    means = [0.0, (0 + 4) / 2, (0 + 4 + 8) / 3, (0 + 4 + 8 + 12) / 4]
    expected = [*[means[0]] * 3, *[means[1]] * 4, *[means[2]] * 4, means[3]]
    assert seen == pytest.approx(expected)


def test_what_is_older_than_the_half_life_counts_half() -> None:
    network = One()
    average = EMA(network, half_life=8.0)
    run(average, network, [1.0] * 400)
    later = run(average, network, [0.0] * 8)
    assert later[3] == pytest.approx(0.5**0.5, rel=1e-5)
    assert later[7] == pytest.approx(0.5, rel=1e-5)


def test_statistics_are_those_of_the_network() -> None:
    network = One()
    average = EMA(network, half_life=1000.0)
    run(average, network, [5.0, 5.0, 5.0, 9.0])
    assert average.weights["statistic"] == 9.0
    assert average.weights["count"] == 4
    assert average.weights["count"].dtype == torch.int64


def test_half_life_0_is_the_network_itself() -> None:
    network = One()
    values = [3.0, -1.0, 0.1, 7.0, 2.0]
    assert run(EMA(network, 0.0), network, values) == pytest.approx(values)


def test_equal_weights_stay_bit_equal() -> None:
    network = One()
    network.move(0.1)
    average = EMA(network, half_life=50.0)
    run(average, network, [0.1] * 40)
    assert torch.equal(average.weights["weight"], network.weight)


def test_an_average_goes_on_from_its_state() -> None:
    network = One()
    unbroken = EMA(network, half_life=12.0)
    values = [float(step % 5) for step in range(30)]
    run(unbroken, network, values[:17])
    state = {k: (dict(v) if isinstance(v, dict) else v) for k, v in unbroken.state_dict().items()}
    state["weights"] = {k: v.clone() for k, v in state["weights"].items()}
    other = EMA(One(), half_life=12.0)
    other.load_state_dict(state)
    assert run(other, network, values[17:]) == run(unbroken, network, values[17:])


def test_the_average_is_no_view_of_the_network() -> None:
    network = One()
    average = EMA(network, half_life=8.0)
    network.move(4.0)
    assert average.weights["weight"] == 0.0
